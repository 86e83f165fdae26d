use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::EventType;
use crate::model::ids::{CompanyId, EventId};
use crate::model::time::wire_time;

/// `source` of events that a call of this API caused.
pub const SOURCE_API: &str = "api";

/// One entry of the log: something that happened to a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Place in the log. Numbers follow the order of commits, without gaps.
    pub seq: i64,
    /// Whose it is.
    pub company: CompanyId,
    /// What happened.
    pub event_type: EventType,
    /// The same on every attempt and for every subscriber.
    pub id: EventId,
    /// The contact or deal.
    pub record: Uuid,
    /// `api` or `ui`.
    pub source: String,
    /// When; never before the event at `seq - 1`.
    pub at: DateTime<Utc>,
    /// The record as JSON text.
    pub data: String,
}

impl Event {
    /// The body of a delivery: exactly these keys in this order (the page, "Event
    /// Payload Structure"). Every attempt sends and signs these bytes.
    pub fn envelope(&self) -> Bytes {
        // Ids, type names, times and sources need no escaping; `data` is JSON already.
        Bytes::from(format!(
            r#"{{"event":"{}","timestamp":"{}","data":{},"metadata":{{"companyId":"{}","eventId":"{}","source":"{}"}}}}"#,
            self.event_type.word(),
            wire_time(self.at),
            self.data,
            self.company,
            self.id,
            self.source,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_envelope_has_the_keys_of_the_page_in_its_order() {
        let event = Event {
            seq: 1,
            company: CompanyId(Uuid::from_u128(1)),
            event_type: EventType::ContactCreated,
            id: EventId(Uuid::from_u128(2)),
            record: Uuid::from_u128(3),
            source: SOURCE_API.into(),
            at: DateTime::from_timestamp_millis(1_731_061_800_000).unwrap(),
            data: r#"{"id":"contact_1"}"#.into(),
        };
        assert_eq!(
            event.envelope(),
            r#"{"event":"contact.created","timestamp":"2024-11-08T10:30:00.000Z","data":{"id":"contact_1"},"metadata":{"companyId":"company_00000000000000000000000000000001","eventId":"event_00000000000000000000000000000002","source":"api"}}"#
        );
    }
}
