use bytes::Bytes;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Change, EventType};
use crate::model::actor::Actor;
use crate::model::ids::{CompanyId, EventId};
use crate::model::time::wire_time;
use crate::model::words::words;

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
    /// Who caused the event. None for an event that an older version wrote.
    pub actor: Option<Actor>,
    /// Of a change: a JSON object with the values before the change of the fields that changed.
    pub previous: Option<String>,
}

/// What a delivery carries beyond the envelope of the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Include {
    /// The values before the change of the fields that changed.
    pub previous: bool,
    /// Who caused the event.
    pub actor: bool,
}

words! {
    /// Something that a delivery can carry beyond the envelope of the page.
    pub enum IncludeWord {
        /// The values before the change of the fields that changed.
        Previous = "previous",
        /// Who caused the event.
        Actor = "actor",
    }
}

/// What is not a list of things to include.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a list of these words: {}", IncludeWord::WORDS.join(", "))]
pub struct IncludeError;

impl Include {
    /// The number of different values.
    pub const COUNT: usize = 4;

    /// A number below [`Self::COUNT`] that no other value has.
    pub fn index(self) -> usize {
        usize::from(self.previous) + 2 * usize::from(self.actor)
    }

    /// Reads words; each text may have several of them, with commas between.
    ///
    /// # Errors
    /// When one is not known.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, IncludeError> {
        let mut include = Self::default();
        for word in texts.into_iter().flat_map(|text| text.split(',')).map(str::trim) {
            match IncludeWord::parse(word) {
                Some(IncludeWord::Previous) => include.previous = true,
                Some(IncludeWord::Actor) => include.actor = true,
                None if word.is_empty() => {}
                None => return Err(IncludeError),
            }
        }
        Ok(include)
    }

    /// The words of what is included.
    pub fn words(self) -> Vec<IncludeWord> {
        let previous = self.previous.then_some(IncludeWord::Previous);
        previous.into_iter().chain(self.actor.then_some(IncludeWord::Actor)).collect()
    }

    /// The words with commas between, as they are stored.
    pub fn stored(self) -> String {
        self.words().iter().map(|word| word.word()).collect::<Vec<_>>().join(",")
    }
}

impl Event {
    /// The body of a delivery: exactly these keys in this order (the page, "Event
    /// Payload Structure"), and between them what the subscriber wants included. Every attempt
    /// sends and signs these bytes.
    pub fn envelope(&self, include: Include) -> Bytes {
        let previous = self.previous.as_deref().filter(|_| include.previous);
        let previous = previous.map_or_else(String::new, |previous| format!(r#","previous":{previous}"#));
        let actor = self.actor.filter(|_| include.actor);
        let actor = actor.map_or_else(String::new, |actor| {
            format!(r#","actor":{{"type":"{}","id":"{actor}"}}"#, actor.word())
        });
        // Ids, type names, times and sources need no escaping; `data` and `previous` are JSON already.
        Bytes::from(format!(
            r#"{{"event":"{}","timestamp":"{}","data":{}{previous},"metadata":{{"companyId":"{}","eventId":"{}","source":"{}"{actor}}}}}"#,
            self.event_type.word(),
            wire_time(self.at),
            self.data,
            self.company,
            self.id,
            self.source,
        ))
    }

    /// What subscriptions judge the event by.
    pub fn change(&self) -> Change<'_> {
        Change { data: &self.data, previous: self.previous.as_deref(), actor: self.actor.map(Actor::id) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::actor::SOURCE_API;
    use crate::model::ids::KeyId;

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
            actor: Some(Actor::Key(KeyId(Uuid::from_u128(4)))),
            previous: Some(r#"{"city":null}"#.into()),
        };
        assert_eq!(
            event.envelope(Include { previous: true, actor: true }),
            r#"{"event":"contact.created","timestamp":"2024-11-08T10:30:00.000Z","data":{"id":"contact_1"},"previous":{"city":null},"metadata":{"companyId":"company_00000000000000000000000000000001","eventId":"event_00000000000000000000000000000002","source":"api","actor":{"type":"api_key","id":"key_00000000000000000000000000000004"}}}"#
        );
        assert_eq!(
            event.envelope(Include::default()),
            r#"{"event":"contact.created","timestamp":"2024-11-08T10:30:00.000Z","data":{"id":"contact_1"},"metadata":{"companyId":"company_00000000000000000000000000000001","eventId":"event_00000000000000000000000000000002","source":"api"}}"#
        );
    }

    #[test]
    fn what_is_included_reads_back() {
        for words in ["", "previous", "actor", "previous,actor"] {
            let include = Include::parse([words]).unwrap();
            assert_eq!(include.stored(), words);
        }
        assert_eq!(Include::parse(["actor", " previous "]).unwrap().stored(), "previous,actor");
        assert!(Include::parse(["everything"]).unwrap_err().to_string().contains("previous, actor"));
    }
}
