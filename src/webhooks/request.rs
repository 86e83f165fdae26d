//! The headers of a delivery: Standard Webhooks and our own two.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::events::EventType;
use crate::ids::EventId;

/// `X-ISAO-Event`
const EVENT: HeaderName = HeaderName::from_static("x-isao-event");
/// `X-ISAO-Attempt`
const ATTEMPT: HeaderName = HeaderName::from_static("x-isao-attempt");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("ISAO-Webhooks/", env!("CARGO_PKG_VERSION")));

/// The headers of an attempt. `timestamp` (Unix seconds) is the attempt's own, which
/// `signature` covers.
pub fn headers(
    event: EventId,
    event_type: EventType,
    attempt: u8,
    timestamp: i64,
    signature: &str,
) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, USER_AGENT);
    headers.insert(EVENT, HeaderValue::from_static(event_type.name()));
    headers.insert(ATTEMPT, HeaderValue::from(u16::from(attempt)));
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(timestamp));
    // Ids and base64 are always fit for a header.
    for (name, value) in [
        (WEBHOOK_ID, HeaderValue::try_from(event.to_string())),
        (WEBHOOK_SIGNATURE, HeaderValue::try_from(signature)),
    ] {
        if let Ok(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}
