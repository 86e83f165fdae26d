//! Times as they are on the wire.

use chrono::{DateTime, Utc};
use serde::Serializer;

/// RFC 3339 in UTC with exactly three decimals and `Z`.
pub fn wire_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// `serialize_with` for timestamps.
pub fn serialize_time<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&wire_time(*time))
}

/// `serialize_with` for timestamps that may be missing.
pub fn serialize_time_option<S: Serializer>(
    time: &Option<DateTime<Utc>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serialize_time(time, serializer),
        None => serializer.serialize_none(),
    }
}
