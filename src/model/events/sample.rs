use chrono::DateTime;
use serde_json::{Value, json};

use super::EventType;
use crate::model::time::wire_time;

impl EventType {
    /// Invented values of before of fields of the sample, for events that are changes.
    pub fn sample_previous(self) -> Option<Value> {
        Some(match self {
            Self::ContactUpdated => json!({ "tags": [] }),
            Self::DealUpdated | Self::DealStageChanged => json!({ "stage": "new" }),
            _ => return None,
        })
    }

    /// An invented record of this type, with the keys that real ones have. That of
    /// contacts is the page's own, to the letter.
    pub fn sample(self) -> Value {
        let at = wire_time(DateTime::UNIX_EPOCH + chrono::TimeDelta::milliseconds(1_731_061_800_000));
        let contact = || {
            serde_json::json!({
                "id": "contact_sample",
                "name": "John Doe",
                "firstName": "John",
                "lastName": "Doe",
                "phoneNumber": "+33123456789",
                "email": "john.doe@example.com",
                "position": "CEO",
                "currentCompany": "Tech Corp",
                "industrySector": "Technology",
                "city": "Paris",
                "country": "France",
                "tags": ["vip", "enterprise"],
                "createdAt": at,
                "updatedAt": at,
            })
        };
        let deal = |stage: &str, probability: i16, status: &str, closed: bool| {
            serde_json::json!({
                "id": "deal_sample",
                "title": "Enterprise License",
                "description": "Annual licence for 50 seats",
                "value": 25000,
                "currency": "EUR",
                "stage": stage,
                "priority": "high",
                "probability": probability,
                "status": status,
                "expectedCloseDate": "2024-12-31T00:00:00.000Z",
                "actualCloseDate": closed.then_some(&at),
                "source": "website",
                "contact": {
                    "id": "contact_sample",
                    "name": "John Doe",
                    "email": "john.doe@example.com",
                    "phoneNumber": "+33123456789",
                    "currentCompany": "Tech Corp",
                },
                "assignedTo": {
                    "id": "member_sample",
                    "name": "Alice Martin",
                    "email": "alice.martin@example.com",
                },
                "createdAt": at,
                "updatedAt": at,
            })
        };
        match self {
            Self::ContactCreated | Self::ContactUpdated | Self::ContactDeleted => contact(),
            Self::DealCreated => deal("new", 10, "open", false),
            Self::DealUpdated => deal("proposal", 50, "open", false),
            Self::DealStageChanged => {
                let mut sample = deal("negotiation", 75, "open", false);
                sample["previousStage"] = "proposal".into();
                sample
            }
            Self::DealWon => deal("closed", 100, "won", true),
            Self::DealLost | Self::DealDeleted => deal("closed", 0, "lost", true),
        }
    }

    /// The fields of a record of this type, in the order they are shown.
    pub fn fields(self) -> Vec<String> {
        match self.sample() {
            Value::Object(record) => record.into_iter().map(|(field, _)| field).collect(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::records::StageChange;
    use crate::model::records::examples::{contact, deal};
    use crate::model::words::Words;

    /// Keys in order, those of objects inside too.
    fn keys(record: &Value) -> Vec<String> {
        let fields = record.as_object().unwrap().iter();
        fields
            .flat_map(|(key, value)| {
                let inner = if value.is_object() { keys(value) } else { vec![] };
                std::iter::once(key.clone())
                    .chain(inner.into_iter().map(move |inner| format!("{key}.{inner}")))
            })
            .collect()
    }

    #[test]
    fn samples_have_the_keys_of_real_records() {
        for event_type in EventType::ALL {
            let real = match event_type {
                EventType::ContactCreated | EventType::ContactUpdated | EventType::ContactDeleted => {
                    serde_json::to_value(contact())
                }
                EventType::DealStageChanged => {
                    serde_json::to_value(StageChange { deal: &deal(), previous_stage: "proposal" })
                }
                EventType::DealCreated
                | EventType::DealUpdated
                | EventType::DealWon
                | EventType::DealLost
                | EventType::DealDeleted => serde_json::to_value(deal()),
            };
            assert_eq!(keys(&event_type.sample()), keys(&real.unwrap()), "{}", event_type.word());
        }
    }
}
