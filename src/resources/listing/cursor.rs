//! Cursors: the place of a record in one list, and in no other.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Datelike as _};
use rust_decimal::Decimal;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{Filter, Key, Kind, Order, Source};
use crate::http::error::ApiError;

/// What tells lists with another order or other filters apart.
pub(super) fn digest(source: &Source, order: &Order, filters: &[Filter]) -> [u8; 8] {
    let mut text = format!("{} {}{}", source.table, order.sort.name, order.direction());
    for filter in filters {
        filter.describe(&mut text);
    }
    let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(Sha256::digest(text));
    [a, b, c, d, e, f, g, h]
}

/// The cursor of what comes after a record.
pub(super) fn encode(digest: [u8; 8], key: &Key, id: Uuid) -> String {
    let mut bytes = [&digest[..], id.as_bytes()].concat();
    match key {
        Key::Null => {}
        Key::Time(at) => bytes.extend(at.timestamp_micros().to_string().bytes()),
        Key::Text(text) => {
            bytes.push(b'=');
            bytes.extend(text.bytes());
        }
        Key::Number(number) => bytes.extend(number.to_string().bytes()),
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The place that a cursor is of.
pub(super) fn decode(text: &str, digest: [u8; 8], order: &Order) -> Result<(Key, Uuid), ApiError> {
    read(text, digest, order).ok_or_else(|| {
        ApiError::invalid_query(
            "cursor",
            "must be the `meta.nextCursor` of an earlier answer to the same `sort` and filters",
        )
    })
}

fn read(text: &str, digest: [u8; 8], order: &Order) -> Option<(Key, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let rest = bytes.strip_prefix(&digest[..])?;
    let (id, key) = rest.split_at_checked(16)?;
    let (id, key) = (Uuid::from_slice(id).ok()?, std::str::from_utf8(key).ok()?);
    if key.is_empty() {
        return order.sort.is_nullable.then_some((Key::Null, id));
    }
    let key = match order.sort.kind {
        Kind::Time => {
            let at = DateTime::from_timestamp_micros(key.parse().ok()?)?;
            // Beyond these years PostgreSQL has no dates, and we made no such cursor.
            Key::Time(Some(at).filter(|at| (1..=9999).contains(&at.year()))?)
        }
        Kind::Text => Key::Text(key.strip_prefix('=').filter(|text| !text.contains('\0'))?.to_owned()),
        Kind::Number => Key::Number(key.parse::<Decimal>().ok()?),
    };
    Some((key, id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::listing::Sort;

    const SORTS: [Sort; 3] = [
        Sort { name: "time", column: "c.time", kind: Kind::Time, is_nullable: true },
        Sort { name: "text", column: "c.text", kind: Kind::Text, is_nullable: false },
        Sort { name: "number", column: "c.number", kind: Kind::Number, is_nullable: true },
    ];

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        static SORTED: [Sort; 3] = SORTS;
        let at = DateTime::from_timestamp_millis(1_731_061_800_123).unwrap();
        let (digest, id) = ([7; 8], Uuid::from_u128(7));
        for (sort, key) in [
            (&SORTED[0], Key::Time(at)),
            (&SORTED[0], Key::Null),
            (&SORTED[1], Key::Text(String::new())),
            (&SORTED[1], Key::Text("élodie".to_owned())),
            (&SORTED[2], Key::Number(Decimal::new(-15, 1))),
        ] {
            let order = Order { sort, is_descending: false };
            let cursor = encode(digest, &key, id);
            assert_eq!(read(&cursor, digest, &order), Some((key, id)));
            for bad in ["", "x", "AAAA", "!!!!", &cursor[1..]] {
                assert_eq!(read(bad, digest, &order), None, "{bad}");
            }
            assert_eq!(read(&cursor, [8; 8], &order), None, "of another list");
        }
        let order = Order { sort: &SORTED[0], is_descending: false };
        let absurd =
            URL_SAFE_NO_PAD.encode([&digest[..], id.as_bytes(), i64::MAX.to_string().as_bytes()].concat());
        assert_eq!(read(&absurd, digest, &order), None);
    }
}
