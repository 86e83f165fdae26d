//! Sending an event to a URL: signed, with the headers and the retries of a delivery.

use std::time::Duration;

use bytes::Bytes;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::Client;
use sha2::Sha256;
use url::Url;

use super::error::Error;
use super::server::{cause, client};
use crate::clock::Clock;
use crate::model::api_key::ApiKey;
use crate::model::events::EventType;
use crate::model::ids::EventId;
use crate::outbound::request::Request;
use crate::outbound::retry::{RetryDelays, retry_after};
use crate::outbound::signature::{Secret, Secrets};
use crate::random;

/// For a whole attempt: connect, send, response headers and body. The server's default.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// What the secret is made for, so that no other use of the key gives the same.
const PURPOSE: &[u8] = b"isao listen: the secret that signs what is forwarded";

/// The secret that signs what is forwarded with this key. It follows from the key, so it is the same on
/// every machine and in every container, and does not tell the key.
pub fn secret(key: &ApiKey) -> Secret {
    // Its hash fills half a block.
    let mut block = [0; 64];
    block[..32].copy_from_slice(&key.hash());
    let mut mac: Hmac<Sha256> = Hmac::new(&block.into());
    mac.update(PURPOSE);
    Secret::generate(mac.finalize().into_bytes().into())
}

/// Which event is sent.
#[derive(Clone, Copy)]
pub struct Subject {
    pub id: EventId,
    pub event_type: EventType,
    /// Is it only a test?
    pub test: bool,
}

/// What came of an attempt.
pub struct Attempt {
    /// What the receiver answered.
    pub status: Option<u16>,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    pub duration: Duration,
    /// How long to wait before the next one, if there is one.
    pub retry_in: Option<Duration>,
}

/// Sends to one URL.
pub struct Forward {
    /// The URL.
    pub target: Url,
    /// What signs.
    pub secret: Secret,
    client: Client,
    clock: Clock,
    delays: RetryDelays,
}

impl Forward {
    /// With `skip_verify` any certificate of the target is good.
    pub fn new(
        target: Url,
        (key, skip_verify): (&ApiKey, bool),
        (clock, delays): (Clock, RetryDelays),
    ) -> Result<Self, Error> {
        let client = client().no_proxy().tls_danger_accept_invalid_certs(skip_verify);
        let client = client.build().map_err(|error| Error::Client(cause(&error)))?;
        Ok(Self { target, secret: secret(key), client, clock, delays })
    }

    /// Makes attempt number `attempt`, from 1.
    pub async fn attempt(&self, subject: Subject, body: &Bytes, attempt: u8) -> Attempt {
        let Subject { id: event, event_type, test } = subject;
        let (at, began) = (self.clock.now(), self.clock.monotonic());
        let request = Request { event, event_type, attempt, at, test };
        let signature = request.sign(&Secrets::new(self.secret.clone()), body);
        let sent =
            self.client.post(self.target.clone()).headers(request.headers(&signature)).body(body.clone());
        let mut wished = None;
        let mut status = None;
        let exchange = async {
            let mut answer = sent.send().await.map_err(|error| cause(&error))?;
            status = Some(answer.status().as_u16());
            if matches!(status, Some(429 | 503)) {
                let header = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                wished = header.and_then(|header| retry_after(header, self.clock.now()));
            }
            // The answer counts once it is complete; nobody reads it.
            while answer.chunk().await.map_err(|error| cause(&error))?.is_some() {}
            match answer.status() {
                status if status.is_success() => Ok(()),
                status => Err(format!("answered {}", status.as_u16())),
            }
        };
        let late = || Err(format!("no complete answer within {} s", ATTEMPT_TIMEOUT.as_secs()));
        let ended = tokio::time::timeout(ATTEMPT_TIMEOUT, exchange).await.unwrap_or_else(|_| late());
        let failure = ended.err();
        let duration = self.clock.monotonic() - began;
        let delay = |_: &String| self.delays.after(attempt, wished, random::fraction());
        let retry_in = failure.as_ref().and_then(delay);
        Attempt { status, failure, duration, retry_in }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::api_key::ServiceType;

    #[test]
    fn the_secret_follows_from_the_key() {
        let key = |byte| ApiKey::generate(ServiceType::Generic, [byte; 32]);
        assert_eq!(secret(&key(1)), secret(&key(1)));
        assert_ne!(secret(&key(1)), secret(&key(2)));
        assert!(secret(&key(1)).reveal().parse::<Secret>().is_ok());
    }
}
