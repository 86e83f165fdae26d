//! `isao listen`: webhooks without a subscription, a tunnel or a public address.
//!
//! It *connects* to the feed of a server, is *connected* when the first message of the stream is there,
//! and *loses* the connection when the stream ends or nothing comes for three heartbeats; then it connects
//! again where it was. Each event is *received*, or, with a URL to forward to, *delivered* or, after the
//! last attempt, *undelivered*. Only then is the place behind it kept, so a run that is killed loses
//! nothing, and the next one repeats no more than the event in flight. It gives up when going on is of no
//! use: the key is refused, or what comes next is no longer kept.
//!
//! `server` asks; `feed` is one stream, which `sse` cuts into messages; `follow` goes from one
//! stream to the next; `forward` sends; `state` is kept; `say` is what is seen.

mod error;
mod feed;
mod follow;
mod forward;
mod say;
pub(super) mod server;
mod sse;
pub(super) mod state;
mod trigger;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use url::Url;

use super::print;
use crate::clock::Clock;
use crate::model::duration::parse_duration;
use crate::model::events::{EventSelection, Filters};
use crate::model::time::{parse_time, wire_time};
use crate::outbound::retry::RetryDelays;

pub use error::Error;
use feed::Start;
use follow::Follower;
use forward::Forward;
use say::{Format, Say};
use server::{ServerArgs, parse_url};
use state::State;
pub use trigger::Trigger;

/// The exit code when a second signal ends the process at once: that of a shell for SIGINT.
const INTERRUPTED: i32 = 130;
/// Characters of a cursor: eight bytes in base64.
const CURSOR_LENGTH: usize = 11;

/// What to listen to, and what to do with it.
#[derive(Args)]
#[command(after_help = "Examples:
  isao listen                                                   show what happens
  isao listen --forward http://localhost:3000/webhook           forward it, signed
  isao listen --events 'contact.*,deal.won' --since 1h          from an hour ago
  isao listen --events 'contact.*' --filter tags=lead --format json | jq .body.data.name
  SECRET=$(isao listen --print-secret) node receiver.js         the secret for the receiver

Forwarding is like a delivery: the same body, byte for byte, with the headers of Standard Webhooks, one \
event after the other. An attempt may take 30 s. An event that fails is tried 3 more times (after 2 s, 15 s and \
60 s, or later if a 429 or 503 asks for it with Retry-After, up to 1 h), while those behind it wait. An event \
whose last attempt fails is shown as undelivered, and the next one comes. Redirects are not followed.

The connection counts as lost when nothing came for 45 s. It is made again after 2 s to 30 s. HTTP_PROXY, \
HTTPS_PROXY and NO_PROXY hold for the server, unless it is on this machine. A company has 20 streams.

The place is kept in $XDG_STATE_HOME/isao or ~/.local/state/isao, in a file for each server and key, which one \
process uses at a time. In a container, set XDG_STATE_HOME to a volume. The server keeps events for 30 days, \
unless it is set otherwise. Events that are sent again to a subscription (by a replay) do not come here; use --since.

The exit code is 0 when it is ended by Ctrl-C or SIGTERM, which lets the attempt in flight finish, and 1 when \
it gives up: no server at the start, or 401, 403 or 410.")]
pub struct Command {
    #[command(flatten)]
    server: ServerArgs,

    /// Only events of these types, separated by commas; contact.* and deal.* are patterns
    #[arg(long, value_name = "TYPES", default_value = "*", value_parser = parse_events)]
    events: EventSelection,

    /// Only events whose record has this value in this field; repeat it for several
    ///
    /// As for subscriptions: of one field any value may match, several fields must all match.
    #[arg(long = "filter", value_name = "FIELD=VALUE")]
    filters: Vec<String>,

    /// A URL to which each event is posted
    #[arg(long, value_name = "URL", value_parser = parse_url)]
    forward: Option<Url>,

    /// Begin earlier: so long ago (1h), at a time (2030-01-31T12:00:00Z), or after a cursor
    ///
    /// Without it, events come from where the last run stopped, and at the first run from now on.
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Since>,

    /// Forget where the last run stopped, and begin with what happens from now on
    #[arg(long, conflicts_with = "since")]
    from_now: bool,

    /// Accept any TLS certificate of the URL that is forwarded to
    #[arg(long, requires = "forward")]
    skip_verify: bool,

    /// How long to wait before the second, third and fourth attempt
    #[arg(long, env = "ISAO_RETRY_DELAYS", value_name = "DELAYS", default_value = "2s,15s,60s")]
    retry_delays: RetryDelays,

    /// How the output looks
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Print the secret that signs what is forwarded, and end; it is the same for as long as the key is
    #[arg(long)]
    print_secret: bool,
}

/// When to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Since {
    Ago(Duration),
    Time(DateTime<Utc>),
    Cursor(String),
}

impl Since {
    fn start(self, now: DateTime<Utc>) -> Start {
        let ago = |ago| TimeDelta::from_std(ago).ok().and_then(|ago| now.checked_sub_signed(ago));
        match self {
            Self::Ago(duration) => Start::Since(wire_time(ago(duration).unwrap_or(DateTime::UNIX_EPOCH))),
            Self::Time(time) => Start::Since(wire_time(time)),
            Self::Cursor(cursor) => Start::After(cursor),
        }
    }
}

impl Command {
    /// Does it.
    pub async fn run(self) -> Result<ExitCode, Error> {
        match self.listen().await {
            Err(error) if error.is_closed_output() => Ok(ExitCode::SUCCESS),
            ended => ended.map(|()| ExitCode::SUCCESS),
        }
    }

    async fn listen(self) -> Result<(), Error> {
        let clock = Clock::system();
        let filters = parse_filters(&self.events, &self.filters)?;
        let server = self.server.server().await?;
        if self.print_secret {
            return Ok(print::write(&format!("{}\n", forward::secret(&server.key).reveal()))?);
        }
        let say = Say::new(self.format);
        let anew = self.from_now || self.since.is_some();
        let (mut state, unkept) = State::open((&server.shown(), server.key.reveal()), anew)?;
        if let Some(why) = unkept {
            say.warn(&format!(
                "the place cannot be kept, because {why}; after a restart only new events come (set XDG_STATE_HOME)"
            ));
        }
        let start = match (self.since, state.cursor()) {
            (Some(since), _) => since.start(clock.now()),
            (None, Some(cursor)) if !self.from_now => Start::After(cursor.to_owned()),
            _ => Start::Now,
        };
        let forward = match self.forward {
            Some(url) => {
                let how = (clock.clone(), self.retry_delays);
                let forward = Forward::new(url, (&server.key, self.skip_verify), how)?;
                let secret = match state.shows_secret()? {
                    true => forward.secret.reveal().to_owned(),
                    false => "the same secret as before (isao listen --print-secret)".to_owned(),
                };
                say.note(&format!("Forwarding to {}, signed with {secret}", forward.target));
                Some(forward)
            }
            None => None,
        };
        let stopping = signals()?;
        let types = self.events.to_string();
        let follower = Follower { server, types, filters, forward, state, say, clock, stopping };
        follower.follow(start).await
    }
}

/// Turns true at the first signal to end; the second one ends the process at once.
fn signals() -> Result<watch::Receiver<bool>, Error> {
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [mut interrupt, mut terminate, mut hangup] = kinds.map(signal);
    let failed = |error: &mut std::io::Result<_>| error.as_ref().err().map(std::io::Error::kind);
    if let Some(kind) = [&mut interrupt, &mut terminate, &mut hangup].into_iter().find_map(failed) {
        return Err(Error::Signals(kind.into()));
    }
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        let (Ok(interrupt), Ok(terminate), Ok(hangup)) = (&mut interrupt, &mut terminate, &mut hangup) else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            if sender.send_replace(true) {
                std::process::exit(INTERRUPTED);
            }
        }
    });
    Ok(receiver)
}

fn parse_events(text: &str) -> Result<EventSelection, String> {
    EventSelection::parse([text]).map_err(|error| error.to_string())
}

fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(duration) = parse_duration(text) {
        return Ok(Since::Ago(duration));
    }
    if let Some(time) = parse_time(text) {
        return Ok(Since::Time(time));
    }
    let is_cursor = text.len() == CURSOR_LENGTH
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    match is_cursor {
        true => Ok(Since::Cursor(text.to_owned())),
        false => {
            Err("must be a duration (1h), a time in ISO 8601, or a cursor that an earlier run printed"
                .to_owned())
        }
    }
}

/// Reads filters by the rules of subscriptions.
fn parse_filters(events: &EventSelection, texts: &[String]) -> Result<Filters, Error> {
    let mut fields: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for text in texts {
        let (field, value) = text.split_once('=').ok_or_else(|| Error::BadFilter(text.clone()))?;
        if field.trim() == "changed" {
            return Err(Error::Changed);
        }
        fields.entry(field.trim()).or_default().push(value.into());
    }
    let filters = fields.into_iter().map(|(field, values)| (field.to_owned(), Value::from(values)));
    Ok(Filters::parse(events, &Value::Object(filters.collect()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_duration_a_time_or_a_cursor() {
        let now = parse_time("2030-01-31T12:00:00Z").unwrap();
        let start = |text: &str| parse_since(text).unwrap().start(now);
        assert_eq!(start("90m"), Start::Since("2030-01-31T10:30:00.000Z".to_owned()));
        assert_eq!(start("2029-12-31"), Start::Since("2029-12-31T00:00:00.000Z".to_owned()));
        assert_eq!(start("AAAAAAAAAGQ"), Start::After("AAAAAAAAAGQ".to_owned()));
        for bad in ["", "yesterday", "AAAAAAAAAG!", "-1h"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn filters_are_those_of_subscriptions() {
        let filters = |events: &str, texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            parse_filters(&parse_events(events).unwrap(), &texts)
        };
        assert_eq!(
            filters("contact.*", &["tags=lead", "tags=vip", "city=Paris"]).unwrap().to_json().to_string(),
            r#"{"city":["Paris"],"tags":["lead","vip"]}"#
        );
        assert!(matches!(filters("contact.*", &["tags"]), Err(Error::BadFilter(_))));
        assert!(matches!(filters("*", &["tags=lead"]), Err(Error::Filter(_))));
        assert!(matches!(filters("contact.updated", &["changed=city"]), Err(Error::Changed)));
    }
}
