//! Times as they are on the wire.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SubsecRound, TimeDelta, Utc};
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

/// What is said about text that is no time.
pub const NOT_A_TIME: &str =
    "must be an ISO 8601 date or time between the years 1 and 9999, for example 2024-11-08T10:30:00.000Z";

/// Reads ISO 8601: a date, or a date and time with or without fraction, with an
/// offset, `Z` or nothing (then it is UTC); also its basic form (`20241108T103000Z`) and a comma
/// before the fraction. A space for `T` or for the `+` of an offset is forgiven (query strings turn
/// `+` into a space). The second 60 is the next one: nothing here has leap seconds.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let text = &*extended(text);
    let time = if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        date.and_hms_opt(0, 0, 0)?.and_utc()
    } else {
        let (date, rest) = text.split_at_checked(10)?;
        let clock = rest.strip_prefix(['T', 't', ' '])?;
        let normal = format!("{date}T{}", clock.replace(' ', "+").replace('z', "Z").replace(',', "."));
        match DateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.f%#z") {
            Ok(time) => time.to_utc(),
            Err(_) => NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.f")
                .or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%MZ"))
                .or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M"))
                .or_else(|_| NaiveDateTime::parse_from_str(&normal, "%Y-%m-%dT%H:%M:%S%.fZ"))
                .ok()?
                .and_utc(),
        }
    };
    // chrono keeps a leap second as the second before, with more than a second's nanoseconds.
    let leap = time.timestamp_subsec_nanos().checked_sub(1_000_000_000);
    let time = match leap {
        Some(nanos) => DateTime::from_timestamp(time.timestamp(), nanos)? + TimeDelta::seconds(1),
        None => time,
    };
    let years = 1..=9999;
    years.contains(&chrono::Datelike::year(&time)).then(|| time.trunc_subsecs(3))
}

/// The basic form with the hyphens and colons of the extended one; other text as it is.
fn extended(text: &str) -> String {
    let digits = |from: usize, to: usize| {
        text.get(from..to).filter(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let Some(date) = digits(0, 8) else { return text.to_owned() };
    let date = format!("{}-{}-{}", &date[..4], &date[4..6], &date[6..]);
    match text.as_bytes().get(8) {
        None => date,
        Some(b'T' | b't' | b' ') => match (digits(9, 13), digits(13, 15)) {
            (Some(clock), Some(seconds)) => {
                format!("{date}T{}:{}:{seconds}{}", &clock[..2], &clock[2..], &text[15..])
            }
            (Some(clock), None) => format!("{date}T{}:{}{}", &clock[..2], &clock[2..], &text[13..]),
            (None, _) => text.to_owned(),
        },
        Some(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_any_iso_form() {
        for (text, time) in [
            ("2024-11-08", "2024-11-08T00:00:00.000Z"),
            ("20241108", "2024-11-08T00:00:00.000Z"),
            ("20241108T103000Z", "2024-11-08T10:30:00.000Z"),
            ("20241108T103000.5+0100", "2024-11-08T09:30:00.500Z"),
            ("20241108T1030Z", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30:00Z", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30Z", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08 10:30:00", "2024-11-08T10:30:00.000Z"),
            ("2024-11-08T10:30:00,25Z", "2024-11-08T10:30:00.250Z"),
            ("2024-11-08T10:30:00.123456+01:00", "2024-11-08T09:30:00.123Z"),
            ("2024-11-08T10:30:00 01:00", "2024-11-08T09:30:00.000Z"),
            ("2024-11-08T10:30:00-0500", "2024-11-08T15:30:00.000Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000Z"),
            ("2024-11-08T23:59:60Z", "2024-11-09T00:00:00.000Z"),
            ("2024-11-08T23:59:60.5Z", "2024-11-09T00:00:00.500Z"),
            ("2024-11-08T10:30:60+01:00", "2024-11-08T09:31:00.000Z"),
        ] {
            assert_eq!(parse_time(text).map(wire_time).as_deref(), Some(time), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "2024-13-01",
            "20241301",
            "2024-11-08T25:00:00Z",
            "2024-11-08T10:30:61Z",
            "99999-01-01",
            "+12024-01-01",
            "0000-01-01",
            "1731061800",
            "9999-12-31T23:59:60Z",
        ] {
            assert_eq!(parse_time(text), None, "{text}");
        }
    }
}
