//! The request of an attempt, and what came of it: Standard Webhooks and our own headers.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::Bytes;
use chrono::{DateTime, Utc};

use super::client::{Client, Response};
use super::custom_headers::CustomHeaders;
use super::signature::Secrets;
use crate::clock::Clock;
use crate::model::duration::format_duration;
use crate::model::events::EventType;
use crate::model::ids::EventId;
use crate::outbound::address::TargetUrl;

/// `X-ISAO-Event`
const EVENT: HeaderName = HeaderName::from_static("x-isao-event");
/// `X-ISAO-Attempt`
const ATTEMPT: HeaderName = HeaderName::from_static("x-isao-attempt");
/// `X-ISAO-Test`
const TEST: HeaderName = HeaderName::from_static("x-isao-test");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
/// In place of a signature that is not shown.
pub const MASKED_SIGNATURE: &str = "v1,(not shown)";
/// In place of a value that is not shown.
const MASKED: HeaderValue = HeaderValue::from_static("(not shown)");
/// Headers of an attempt, with those that the client adds.
const HEADERS: usize = 12;
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("ISAO-Webhooks/", env!("CARGO_PKG_VERSION")));

/// What the headers of an attempt tell.
pub struct Request {
    /// `webhook-id`
    pub event: EventId,
    /// `X-ISAO-Event`
    pub event_type: EventType,
    /// `X-ISAO-Attempt`, from 1.
    pub attempt: u8,
    /// The attempt's own time, `webhook-timestamp` in whole seconds.
    pub at: DateTime<Utc>,
    /// Is it only a test? Then `X-ISAO-Test` says so.
    pub test: bool,
}

impl Request {
    /// `webhook-signature`
    pub fn sign(&self, secrets: &Secrets, body: &[u8]) -> String {
        secrets.sign(&self.event.to_string(), self.at, body)
    }

    /// All headers.
    pub fn headers(&self, signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(HEADERS);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::USER_AGENT, USER_AGENT);
        headers.insert(EVENT, HeaderValue::from_static(self.event_type.word()));
        headers.insert(ATTEMPT, HeaderValue::from(u16::from(self.attempt)));
        if self.test {
            headers.insert(TEST, HeaderValue::from_static("true"));
        }
        headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(self.at.timestamp()));
        // Ids and base64 are always fit for a header.
        for (name, value) in [(WEBHOOK_ID, &*self.event.to_string()), (WEBHOOK_SIGNATURE, signature)] {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(name, value);
            }
        }
        headers
    }

    /// For showing: all headers as HTTP/1.1 carries them, in order. After ours come
    /// those of the client, for this target and a body of `length` bytes, if that is known. Values
    /// of the subscriber's own headers are left out.
    pub fn shown_headers(
        &self,
        signature: &str,
        (target, custom): (&TargetUrl, &CustomHeaders),
        length: Option<usize>,
    ) -> Vec<(String, String)> {
        let mut headers = self.headers(signature);
        for name in custom.masked().into_keys() {
            if let Ok(name) = HeaderName::try_from(name) {
                headers.insert(name, MASKED);
            }
        }
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        let url = target.url();
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        if let Ok(host) = HeaderValue::try_from(host) {
            headers.insert(header::HOST, host);
        }
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }
}

/// What came of a request: an answer, or a failure, or an answer that is one.
pub struct Exchange {
    /// What the receiver answered, if it did so completely.
    pub response: Option<Response>,
    /// Why it counts as not delivered.
    pub failure: Option<Failure>,
}

/// Why a delivery failed.
pub struct Failure {
    /// For people.
    pub message: String,
    /// `dns`, `connect`, `tls`, `timeout`, `status`, `blocked`, `broken` or `other`.
    pub class: &'static str,
}

/// Posts, within `timeout` by the clock.
pub async fn send(
    client: &Client,
    (clock, timeout): (&Clock, Duration),
    (target, loopback): (&TargetUrl, bool),
    headers: impl Fn() -> HeaderMap,
    body: Bytes,
) -> Exchange {
    let answered = tokio::select! {
        answered = client.post(target, loopback, headers, body) => answered,
        () = clock.sleep(timeout) => {
            let message = format!("no complete answer within {}", format_duration(timeout));
            return Exchange { response: None, failure: Some(Failure { message, class: "timeout" }) };
        }
    };
    match answered {
        Ok(response) => {
            let failure = (!(200..300).contains(&response.status))
                .then(|| Failure { message: format!("answered {}", response.status), class: "status" });
            Exchange { response: Some(response), failure }
        }
        Err(error) => {
            let failure = Failure { message: error.to_string(), class: error.class() };
            Exchange { response: None, failure: Some(failure) }
        }
    }
}
