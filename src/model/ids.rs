//! Identifiers: UUIDs of version 7 (RFC 9562), shown with a prefix for each kind.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Makes ids that increase in the order they are made, also within a millisecond.
#[derive(Clone, Debug, Default)]
pub struct Ids(Arc<std::sync::Mutex<ContextV7>>);

impl Ids {
    /// A new id that carries the time `now`.
    pub fn next(&self, now: DateTime<Utc>) -> Uuid {
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        let context = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, now.timestamp_subsec_nanos()))
    }
}

/// Defines one kind of id: the UUID inside, a prefix on the wire.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// What comes before the 32 hexadecimal digits.
            pub const PREFIX: &'static str = $prefix;

            /// Reads the form it is shown in; anything else names nothing.
            pub fn parse(text: &str) -> Option<Self> {
                parse_prefixed(text, $prefix).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($prefix)?;
                f.write_str(self.0.simple().encode_lower(&mut [0; 32]))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

id!(
    /// A company: the tenant that keys, records and subscriptions belong to.
    CompanyId, "company_"
);
id!(
    /// An API key (its public id, not the key).
    KeyId, "key_"
);
id!(
    /// Somebody who signs in to the dashboard.
    UserId, "user_"
);
id!(
    /// A team member, to whom deals are assigned.
    MemberId, "member_"
);
id!(
    /// A contact.
    ContactId, "contact_"
);
id!(
    /// A deal.
    DealId, "deal_"
);
id!(
    /// An event, the same on every attempt and for every subscriber.
    EventId, "event_"
);
id!(
    /// A webhook subscription. The page shows each under two names, `sub_…` and `hook_…`.
    SubscriptionId, "sub_"
);

id!(
    /// A replay of events that a subscriber wants again.
    ReplayId, "replay_"
);

impl SubscriptionId {
    /// The second name of the subscription, `hook_…`.
    pub fn hook(self) -> String {
        format!("hook_{}", self.0.simple())
    }

    /// Reads either name.
    pub fn parse_either(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| parse_prefixed(text, "hook_").map(Self))
    }
}

/// A delivery: one event to one subscription. Nothing else has to be stored to name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// The event's number in the log.
    pub seq: i64,
    /// To whom.
    pub subscription: SubscriptionId,
}

impl DeliveryId {
    /// What comes before the digits: 32 of the subscription, 16 of the event's number.
    pub const PREFIX: &'static str = "delivery_";

    /// Reads the form it is shown in; anything else names nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let (subscription, seq) = text.strip_prefix(Self::PREFIX)?.split_at_checked(32)?;
        let seq_digits = seq.len() == 16 && seq.bytes().all(is_hex);
        let seq = if seq_digits { i64::from_str_radix(seq, 16).ok()? } else { return None };
        Some(Self { seq, subscription: SubscriptionId(parse_simple(subscription)?) })
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:016x}", Self::PREFIX, self.subscription.0.simple(), self.seq)
    }
}

impl serde::Serialize for DeliveryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn parse_prefixed(text: &str, prefix: &str) -> Option<Uuid> {
    parse_simple(text.strip_prefix(prefix)?)
}

/// The 32 digits of a UUID.
fn parse_simple(digits: &str) -> Option<Uuid> {
    let simple = digits.len() == 32 && digits.bytes().all(is_hex);
    if simple { Uuid::try_parse(digits).ok() } else { None }
}

fn is_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_only_in_its_own_form() {
        let id = SubscriptionId(Uuid::from_u128(7));
        assert_eq!(SubscriptionId::parse(&id.to_string()), Some(id));
        assert_eq!(SubscriptionId::parse_either(&id.hook()), Some(id));
        assert_eq!(ContactId::parse(&id.to_string()), None);
        assert_eq!(SubscriptionId::parse("sub_00000000-0000-0000-0000-000000000007"), None);
        assert_eq!(SubscriptionId::parse(&id.to_string().to_uppercase()), None);
    }

    #[test]
    fn the_id_of_a_delivery_holds_both_its_parts() {
        let id = DeliveryId { seq: 258, subscription: SubscriptionId(Uuid::from_u128(7)) };
        let text = id.to_string();
        assert_eq!(text, "delivery_000000000000000000000000000000070000000000000102");
        assert_eq!(DeliveryId::parse(&text), Some(id));
        let negative = format!("{}ffffffffffffffff", &text[..text.len() - 16]);
        for bad in
            [&text[1..], &text[..text.len() - 1], &text.replace('1', "+"), &text.to_uppercase(), &negative]
        {
            assert_eq!(DeliveryId::parse(bad), None, "{bad}");
        }
        assert_eq!(DeliveryId::parse("delivery_00000000000000000000000000000ü"), None);
    }

    #[test]
    fn ids_of_one_millisecond_increase() {
        let ids = Ids::default();
        let now = DateTime::from_timestamp_millis(1_700_000_000_000).unwrap();
        let made: Vec<_> = (0..1000).map(|_| ids.next(now)).collect();
        assert!(made.is_sorted());
    }
}
