//! Asking the server, until it answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;

use super::super::listen::server::{self, Failure, Server};
use super::error::Error;
use crate::clock::Clock;
use crate::http::answer::REPLAYED;
use crate::outbound::retry::JITTER_SHARE;
use crate::random;

/// How long to wait before asking again, unless the server says. Twice as long after each try.
const RETRY_DELAY: Duration = Duration::from_millis(250);
/// The longest such wait, and the longest that the server is obeyed at a time.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);
/// For how long a request is tried: a restart of the server, or its database, takes less.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// A server that is asked again while it is away.
pub struct Remote {
    server: Server,
    clock: Clock,
    /// What to do when it stays away.
    advice: &'static str,
    answered: AtomicBool,
}

/// An answer.
pub struct Answer<T> {
    pub body: T,
    /// Is it the answer to an earlier request with this Idempotency-Key?
    pub replayed: bool,
}

impl Remote {
    /// A server; `advice` says what to do when it stays away.
    pub fn new(server: Server, clock: Clock, advice: &'static str) -> Self {
        Self { server, clock, advice, answered: AtomicBool::new(false) }
    }

    /// The server, as people know it.
    pub fn shown(&self) -> String {
        self.server.shown()
    }

    /// Asks until there is an answer.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        request: impl Fn(&Server) -> RequestBuilder,
    ) -> Result<Answer<T>, Error> {
        let begun = self.clock.monotonic();
        let mut delay = RETRY_DELAY;
        loop {
            let (why, retry_after, unreachable) = match self.once(request(&self.server)).await {
                Ok(answer) => {
                    self.answered.store(true, Ordering::Relaxed);
                    return Ok(answer);
                }
                Err(Ok(Failure::Passing { why, retry_after, unreachable })) => {
                    (why, retry_after, unreachable)
                }
                Err(Ok(failure)) => return Err(self.server.given_up(failure).into()),
                Err(Err(error)) => return Err(error),
            };
            if unreachable && !self.answered.load(Ordering::Relaxed) {
                let failure = Failure::Passing { why, retry_after, unreachable };
                return Err(self.server.given_up(failure).into());
            }
            let waited = self.clock.monotonic().saturating_sub(begun);
            if waited > GIVE_UP_AFTER {
                let (url, seconds) = (self.shown(), waited.as_secs());
                return Err(Error::GaveUp { url, seconds, cause: why, advice: self.advice });
            }
            let wait = delay.max(retry_after.unwrap_or_default()).min(RETRY_DELAY_MAX);
            tracing::debug!(%why, ?wait, "asking again");
            self.clock.sleep(wait.mul_f64(1.0 + JITTER_SHARE * random::fraction())).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn once<T: DeserializeOwned>(
        &self,
        request: RequestBuilder,
    ) -> Result<Answer<T>, Result<Failure, Error>> {
        let answer = self.server.send(request, self.clock.now()).await.map_err(Ok)?;
        let replayed = answer.headers().contains_key(REPLAYED);
        // The request is repeated as it was: what was written is not written again.
        let broken = |why| Ok(Failure::Passing { why, retry_after: None, unreachable: false });
        let bytes = server::body(answer).await.map_err(broken)?;
        let body = serde_json::from_slice(&bytes)
            .map_err(|error| Err(Error::Answer { url: self.shown(), why: error.to_string() }))?;
        Ok(Answer { body, replayed })
    }
}
