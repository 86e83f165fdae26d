//! From one connection to the next: each event is forwarded or shown, and only then is the place behind it
//! kept.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::error::Error;
use super::feed::{Feed, Item, Start};
use super::forward::{Attempt, Forward, Subject};
use super::say::{Say, Told};
use super::server::{Failure, Server};
use super::state::State;
use crate::clock::Clock;
use crate::model::events::{Change, EventType, Filters};
use crate::model::ids::EventId;
use crate::outbound::retry::JITTER_SHARE;
use crate::random;

/// How long to wait before connecting again, unless the server says. Twice as long after each try.
const RECONNECT_DELAY: Duration = Duration::from_secs(2);
/// The longest such wait.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(30);

/// Follows the feed.
pub struct Follower {
    pub server: Server,
    /// As the feed's parameter has them.
    pub types: String,
    pub filters: Filters,
    pub forward: Option<Forward>,
    pub state: State,
    pub say: Say,
    pub clock: Clock,
    /// Turns true when somebody wants it to end.
    pub stopping: watch::Receiver<bool>,
}

/// An event as it is on the wire.
#[derive(Deserialize)]
struct Envelope<'a> {
    event: String,
    timestamp: String,
    #[serde(borrow)]
    data: &'a RawValue,
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    event_id: String,
}

/// What a person knows a record by.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    name: Option<String>,
    title: Option<String>,
}

impl Follower {
    /// Follows the feed until somebody wants it to end, or until it is of no use to go on.
    pub async fn follow(mut self, mut start: Start) -> Result<(), Error> {
        let url = self.server.shown();
        let mut stopping = self.stopping.clone();
        let mut connected_before = false;
        let mut delay = RECONNECT_DELAY;
        loop {
            self.say.connecting(&url)?;
            let opened = tokio::select! {
                opened = Feed::open(&self.server, (&start, &self.types), &self.clock) => opened,
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            };
            let failure = match opened {
                Ok((mut feed, cursor)) => {
                    let from = match &start {
                        _ if connected_before => "from where they stopped".to_owned(),
                        Start::Now => "from now on".to_owned(),
                        Start::Since(time) => format!("from {time} on"),
                        Start::After(_) => "from where the last run stopped".to_owned(),
                    };
                    // Whoever reads that it is connected may rely on it, whatever happens next.
                    self.state.reached(cursor.clone())?;
                    self.say.connected((&url, &cursor), &from)?;
                    start = Start::After(cursor);
                    connected_before = true;
                    delay = feed.retry.unwrap_or(RECONNECT_DELAY).min(RECONNECT_DELAY_MAX);
                    let Some(failure) = self.read(&mut feed, &mut start).await? else { return Ok(()) };
                    failure
                }
                Err(failure) => failure,
            };
            let Failure::Passing { why, retry_after, unreachable } = failure else {
                return Err(self.server.given_up(failure));
            };
            if unreachable && !connected_before {
                return Err(Error::NoServer { url, cause: why });
            }
            let wait = delay.max(retry_after.unwrap_or_default()).min(RECONNECT_DELAY_MAX);
            let wait = wait.mul_f64(1.0 + JITTER_SHARE * random::fraction());
            delay = (delay * 2).min(RECONNECT_DELAY_MAX);
            self.say.lost(&why, wait)?;
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(()),
            }
        }
    }

    /// Reads one stream. Gives why it is lost; nothing if somebody wants to end.
    async fn read(&mut self, feed: &mut Feed, start: &mut Start) -> Result<Option<Failure>, Error> {
        let mut stopping = self.stopping.clone();
        loop {
            let item = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
                item = feed.next(&self.server) => item,
            };
            let cursor = match item {
                Ok(Item::Place { cursor }) => cursor,
                Ok(Item::Event { cursor, body }) => {
                    if !self.event(&cursor, &body).await? {
                        return Ok(None);
                    }
                    cursor
                }
                Err(failure) => return Ok(Some(failure)),
            };
            self.state.reached(cursor.clone())?;
            *start = Start::After(cursor);
        }
    }

    /// Does what has to be done with an event. False if somebody wants to end before it is done.
    async fn event(&self, cursor: &str, body: &str) -> Result<bool, Error> {
        let envelope: Envelope =
            serde_json::from_str(body).map_err(|error| Error::Unknown(error.to_string()))?;
        let Envelope { event, timestamp, data, metadata: Metadata { event_id } } = &envelope;
        let event_type = EventType::parse(event).ok_or_else(|| Error::Unknown(event.clone()))?;
        let id = EventId::parse(event_id).ok_or_else(|| Error::Unknown(event_id.clone()))?;
        if !self.filters.matches(Change { data: data.get(), previous: None, actor: None }) {
            return Ok(true);
        }
        let record: Record = serde_json::from_str(data.get()).unwrap_or_default();
        let subject = record.name.or(record.title).unwrap_or_default();
        let told = Told { id: event_id, event_type: event, timestamp, subject: &subject, cursor, body };
        match &self.forward {
            None => self.say.event(&told, (0, None))?,
            Some(forward) => {
                let subject = Subject { id, event_type, test: false };
                return self.forward(forward, subject, &told).await;
            }
        }
        Ok(true)
    }

    async fn forward(&self, forward: &Forward, subject: Subject, told: &Told<'_>) -> Result<bool, Error> {
        let body = Bytes::from(told.body.to_owned());
        let mut stopping = self.stopping.clone();
        let mut number = 1;
        loop {
            let attempt = forward.attempt(subject, &body, number).await;
            if attempt.failure.is_some() {
                self.say.failed_attempt(told, number, &attempt)?;
            }
            let Attempt { retry_in: Some(wait), .. } = attempt else {
                self.say.event(told, (number, Some(&attempt)))?;
                return Ok(true);
            };
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                _ = stopping.wait_for(|stopping| *stopping) => return Ok(false),
            }
            number += 1;
        }
    }
}
