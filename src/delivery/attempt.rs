//! One attempt: a signed POST, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::health::FailedAttempt;
use super::lane::{Lane, Outcome};
use super::outgoing::Outgoing;
use super::record::Attempt;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::attempt::{AttemptCause, AttemptOutcome};
use crate::model::events::Event;
use crate::outbound::client::{Client, Response};
use crate::outbound::request::{self, Exchange, Failure, Request};
use crate::outbound::retry::{MAX_ATTEMPTS, RetryDelays, retry_after};
use crate::random;
use crate::subscription::Subscription;

/// Makes attempts.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) clock: Clock,
    pub(super) client: Client,
    pub(super) retry_delays: RetryDelays,
    /// For a whole attempt: connect, send, response headers and body.
    pub(super) timeout: Duration,
    pub(super) metrics: Arc<Metrics>,
}

/// An attempt that has ended.
pub(super) struct EndedAttempt {
    pub(super) at: DateTime<Utc>,
    pub(super) duration: Duration,
    outcome: AttemptOutcome,
    signature: String,
    answer: Option<Response>,
    failure: Option<Failure>,
    next_attempt_at: Option<DateTime<Utc>>,
}

impl Sender {
    /// Posts an event. Never takes longer than the timeout, by the clock.
    pub(super) async fn send(
        &self,
        outgoing: &Arc<Outgoing>,
        subscription: &Subscription,
        attempt: u8,
    ) -> EndedAttempt {
        let Self { clock, client, retry_delays, timeout, metrics } = self;
        let in_flight = metrics.attempt_begins();
        let body = outgoing.body(subscription.include);
        let (at, began) = (clock.now(), clock.monotonic());
        let Event { id, event_type, .. } = *outgoing.event;
        let request = Request { event: id, event_type, attempt, at, test: false };
        let signature = request.sign(&subscription.secrets, &body);
        let loopback = client.lift_loopback(subscription.company, subscription.loopback);
        let target = (&subscription.target, loopback);
        let headers = || {
            let mut headers = request.headers(&signature);
            subscription.headers.add_to(&mut headers);
            headers
        };
        let Exchange { response: answer, failure } =
            request::send(client, (clock, *timeout), target, headers, body).await;
        let ended = clock.now();
        drop(in_flight);
        let delay = failure.as_ref().and_then(|_| {
            let wished = answer.as_ref().filter(|answer| matches!(answer.status, 429 | 503));
            let wished = wished.and_then(|answer| retry_after(answer.retry_after.as_deref()?, ended));
            retry_delays.after(attempt, wished, random::fraction())
        });
        let outcome = match &failure {
            None => AttemptOutcome::Delivered,
            Some(_) if attempt < MAX_ATTEMPTS => AttemptOutcome::Failed,
            Some(_) => AttemptOutcome::Undelivered,
        };
        let duration = clock.monotonic() - began;
        metrics.attempt_ended(outcome, duration);
        EndedAttempt {
            at,
            duration,
            outcome,
            signature,
            answer,
            failure,
            next_attempt_at: delay.map(|delay| ended + delay),
        }
    }
}

impl EndedAttempt {
    /// 410: the receiver wants nothing more.
    pub(super) fn is_gone(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.status == 410)
    }

    pub(super) fn outcome(&self) -> Outcome {
        match &self.failure {
            None => Outcome::Delivered,
            Some(failure) => {
                Outcome::Failed { error: failure.message.clone(), next_attempt_at: self.next_attempt_at }
            }
        }
    }

    /// What the operator should know of attempt `number` for this event, if it failed.
    pub(super) fn failed(&self, event: &Arc<Event>, attempt: u8) -> Option<FailedAttempt> {
        let failure = self.failure.as_ref()?;
        let (error, error_class) = (failure.message.clone(), failure.class);
        Some(FailedAttempt { event: event.clone(), attempt, error, error_class })
    }

    /// As it is recorded.
    pub(super) fn into_record(self, lane: &Lane, event: &Event, number: u8, cause: AttemptCause) -> Attempt {
        let (error, error_class) = self.failure.map(|failure| (failure.message, failure.class)).unzip();
        Attempt {
            company: lane.company,
            subscription: lane.id,
            shard: lane.shard.clone(),
            seq: event.seq,
            event: event.id,
            occurred: event.at,
            number,
            cause,
            at: self.at,
            duration: self.duration,
            outcome: self.outcome,
            error,
            error_class,
            signature: self.signature,
            answer: self.answer,
            place: None,
        }
    }
}
