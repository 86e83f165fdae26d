//! A client of the stream.

use reqwest::{Method, Response};
use serde_json::Value;
use tokio::time::timeout;

use crate::support::{PATIENCE, World};

/// What came between two blank lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub retry: Option<String>,
    pub comment: Option<String>,
}

impl Message {
    pub fn envelope(&self) -> Value {
        serde_json::from_str(self.data.as_ref().unwrap()).unwrap()
    }
}

/// Follows the feed.
pub struct Follower {
    response: Response,
    read: String,
    /// The last `id`: where to go on.
    pub last_id: String,
}

impl Follower {
    /// Begins to follow; answers when the server has said from where.
    pub async fn connect(world: &World, query: &str, last_id: Option<&str>) -> Self {
        let mut request = world.request(Method::GET, &format!("/events/stream{query}"));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut follower = Self { response, read: String::new(), last_id: String::new() };
        let hello = follower.message().await.expect("a first message");
        assert_eq!(hello.retry.as_deref(), Some("2000"));
        assert!(hello.id.is_some() && hello.data.is_none());
        follower
    }

    /// The next message; none when the stream has ended, as it should.
    pub async fn message(&mut self) -> Option<Message> {
        loop {
            if let Some((message, rest)) = self.read.split_once("\n\n") {
                let message = parse(message);
                self.read = rest.to_owned();
                if let Some(id) = &message.id {
                    self.last_id = id.clone();
                }
                return Some(message);
            }
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("the stream goes on or ends");
            self.read.push_str(std::str::from_utf8(&chunk.expect("the stream is not cut off")?).unwrap());
        }
    }

    /// The next event, whatever else comes before it.
    pub async fn event(&mut self) -> Option<Message> {
        loop {
            let message = self.message().await?;
            if message.event.is_some() {
                return Some(message);
            }
        }
    }

    /// The names of the records of the next events.
    pub async fn names(&mut self, count: usize) -> Vec<String> {
        let mut names = Vec::new();
        for _ in 0..count {
            let event = self.event().await.expect("another event");
            names.push(event.envelope()["data"]["name"].as_str().unwrap().to_owned());
        }
        names
    }

    /// Reads to the end of the stream, while the clock goes on.
    pub async fn ends_in_time(&mut self, world: &World) {
        let read = async { while self.message().await.is_some() {} };
        let time = async {
            loop {
                world.clock.advance(std::time::Duration::from_secs(1));
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = async { timeout(PATIENCE, read).await.expect("the stream ends") } => {}
            () = time => {}
        }
    }
}

fn parse(text: &str) -> Message {
    let mut message = Message::default();
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap();
        let slot = match field {
            "" => &mut message.comment,
            "id" => &mut message.id,
            "event" => &mut message.event,
            "data" => &mut message.data,
            "retry" => &mut message.retry,
            _ => panic!("{line}"),
        };
        assert!(slot.is_none(), "twice in one message: {text}");
        *slot = Some(value.strip_prefix(' ').unwrap_or(value).to_owned());
    }
    message
}
