//! One connection to the feed: opened, read, and lost in the end.

use std::collections::VecDeque;
use std::time::Duration;

use reqwest::{Method, Response};
use serde::Deserialize;

use super::error::Error;
use super::server::{Failure, Server, cause};
use super::sse::{Message, Parser};
use crate::clock::Clock;

/// How often the server sends something when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Heartbeats that may be missed before the connection counts as lost.
const MISSED_HEARTBEATS: u32 = 3;
/// The type of the message that says why the stream ends.
const ERROR: &str = "error";
/// The code of the error when retention has passed over the cursor.
const CURSOR_EXPIRED: &str = "CURSOR_EXPIRED";

/// Where to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With what happens from now on.
    Now,
    /// With the events of this time (ISO 8601) and later.
    Since(String),
    /// After this place of the log.
    After(String),
}

/// What the feed says.
#[derive(Debug)]
pub enum Item {
    /// An event, as it is delivered to webhooks.
    Event { cursor: String, body: String },
    /// There was nothing up to this place.
    Place { cursor: String },
}

/// An open stream.
pub struct Feed {
    response: Response,
    parser: Parser,
    waiting: VecDeque<Message>,
    /// How long the server wants a client to wait before it connects again.
    pub retry: Option<Duration>,
}

impl Feed {
    /// Connects. Gives the place where the stream begins, too: nothing is said to be connected
    /// before the server has said that.
    pub async fn open(
        server: &Server,
        (start, types): (&Start, &str),
        clock: &Clock,
    ) -> Result<(Self, String), Failure> {
        let mut query = vec![("types", types)];
        if let Start::Since(time) = start {
            query.push(("since", time));
        }
        let mut request = server.request(Method::GET, "/events/stream", &query);
        if let Start::After(cursor) = start {
            request = request.header("last-event-id", cursor);
        }
        let response = server.send(request.header("accept", "text/event-stream"), clock.now()).await?;
        let kind = response.headers().get("content-type").and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let why = "it has no event stream where isao has one".to_owned();
            return Err(Failure::Final(Error::NotIsao { url: server.shown(), why }));
        }
        let mut feed = Self { response, parser: Parser::default(), waiting: VecDeque::new(), retry: None };
        let hello = feed.message().await?;
        feed.retry = hello.retry.map(Duration::from_millis);
        match (hello.id.clone(), hello.data.is_none()) {
            (Some(cursor), true) => Ok((feed, cursor)),
            _ => Err(feed.failed(server, hello)),
        }
    }

    /// What comes next. Can be dropped and asked again.
    pub async fn next(&mut self, server: &Server) -> Result<Item, Failure> {
        loop {
            let message = self.message().await?;
            return Ok(match (message.event.as_deref(), message.id, message.data) {
                (Some(ERROR), id, data) => {
                    let event = Some(ERROR.to_owned());
                    return Err(self.failed(server, Message { id, event, data, retry: None }));
                }
                (_, Some(cursor), Some(body)) => Item::Event { cursor, body },
                (_, Some(cursor), None) => Item::Place { cursor },
                // Nothing that a place belongs to.
                (_, None, _) => continue,
            });
        }
    }

    async fn message(&mut self) -> Result<Message, Failure> {
        let silence = HEARTBEAT * MISSED_HEARTBEATS;
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return Ok(message);
            }
            let chunk = match tokio::time::timeout(silence, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => chunk,
                Ok(Ok(None)) => return Err(lost("the server ended the stream".to_owned())),
                Ok(Err(error)) => return Err(lost(format!("the stream broke off ({})", cause(&error)))),
                Err(_) => return Err(lost(format!("nothing came for {} s", silence.as_secs()))),
            };
            self.parser.push(&chunk).map_err(|_| lost("a message is too long".to_owned()))?;
            while let Some(message) = self.parser.next() {
                self.waiting.push_back(message);
            }
        }
    }

    /// The server says why there is no more.
    fn failed(&self, server: &Server, message: Message) -> Failure {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Body {
            code: String,
            message: String,
        }
        let data = message.data.unwrap_or_default();
        let body: Body = serde_json::from_str(&data).unwrap_or_default();
        if body.code == CURSOR_EXPIRED {
            return Failure::Final(Error::Expired { url: server.shown() });
        }
        lost(format!("the server ended the stream: {}", body.message))
    }
}

fn lost(why: String) -> Failure {
    Failure::Passing { why, retry_after: None, unreachable: false }
}
