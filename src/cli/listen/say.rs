//! What `isao listen` says: events on stdout, a line each, and how it goes on stderr; or, for programs,
//! everything on stdout, a JSON object a line.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::print;
use super::error::Error;
use super::forward::Attempt;
use crate::outbound::retry::MAX_ATTEMPTS;

/// How the output looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A line for each event, for people
    Text,
    /// A JSON object for each event and for whatever else happens
    Json,
}

/// An event to be told of.
pub struct Told<'a> {
    pub id: &'a str,
    pub event_type: &'a str,
    pub timestamp: &'a str,
    /// The name of the record, for people.
    pub subject: &'a str,
    pub cursor: &'a str,
    pub body: &'a str,
}

/// One line for programs.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Line<'a> {
    Connecting {
        url: &'a str,
    },
    Connected {
        url: &'a str,
        cursor: &'a str,
    },
    Lost {
        reason: &'a str,
        retry_in_ms: u128,
    },
    Attempt {
        event_id: &'a str,
        attempt: u8,
        status: Option<u16>,
        error: &'a str,
        duration_ms: u128,
        retry_in_ms: Option<u128>,
    },
    Event {
        event_id: &'a str,
        event: &'a str,
        timestamp: &'a str,
        cursor: &'a str,
        /// `received` without a URL to forward to, `delivered` or `undelivered`.
        outcome: &'a str,
        attempts: u8,
        status: Option<u16>,
        duration_ms: Option<u128>,
        body: &'a RawValue,
    },
}

/// Says it.
pub struct Say {
    format: Format,
    color: bool,
}

impl Say {
    /// In colour where a person looks on and does not mind (<https://no-color.org>).
    pub fn new(format: Format) -> Self {
        let minds = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { format, color: io::stdout().is_terminal() && !minds }
    }

    /// A line for people that programs do not need.
    pub fn note(&self, text: &str) {
        if self.format == Format::Text {
            eprintln!("{}", print::shown(text));
        }
    }

    pub fn warn(&self, text: &str) {
        eprintln!("isao: {}", print::shown(text));
    }

    pub fn connecting(&self, url: &str) -> Result<(), Error> {
        self.note(&format!("Connecting to {url} …"));
        self.line(&Line::Connecting { url })
    }

    pub fn connected(&self, (url, cursor): (&str, &str), from: &str) -> Result<(), Error> {
        self.note(&format!("Connected. Events come {from}"));
        self.line(&Line::Connected { url, cursor })
    }

    pub fn lost(&self, reason: &str, retry_in: Duration) -> Result<(), Error> {
        self.note(&format!("Lost the connection: {reason}. The next try is in {}", seconds(retry_in)));
        self.line(&Line::Lost { reason, retry_in_ms: retry_in.as_millis() })
    }

    /// An attempt has failed.
    pub fn failed_attempt(&self, told: &Told, number: u8, attempt: &Attempt) -> Result<(), Error> {
        let error = attempt.failure.as_deref().unwrap_or_default();
        let next = attempt.retry_in.map_or_else(
            || "it was the last one".to_owned(),
            |wait| format!("the next one is in {}", seconds(wait)),
        );
        let id = told.id;
        self.note(&format!("  {id}: attempt {number} of {MAX_ATTEMPTS} failed ({error}); {next}"));
        self.line(&Line::Attempt {
            event_id: id,
            attempt: number,
            status: attempt.status,
            error,
            duration_ms: attempt.duration.as_millis(),
            retry_in_ms: attempt.retry_in.map(|wait| wait.as_millis()),
        })
    }

    /// An event is done with, after these many attempts, of which this is the last one.
    pub fn event(&self, told: &Told, (attempts, last): (u8, Option<&Attempt>)) -> Result<(), Error> {
        let failure = last.and_then(|last| last.failure.as_deref());
        let outcome = match (last, failure) {
            (None, _) => "received",
            (Some(_), None) => "delivered",
            (Some(_), Some(_)) => "undelivered",
        };
        if self.format == Format::Json {
            let body: &RawValue = serde_json::from_str(told.body).map_err(io::Error::from)?;
            return self.line(&Line::Event {
                event_id: told.id,
                event: told.event_type,
                timestamp: told.timestamp,
                cursor: told.cursor,
                outcome,
                attempts,
                status: last.and_then(|last| last.status),
                duration_ms: last.map(|last| last.duration.as_millis()),
                body,
            });
        }
        let subject = print::shown(told.subject);
        let timestamp = print::shown(told.timestamp);
        let mut line = format!("{timestamp}  {:18}  {}  \"{subject}\"", told.event_type, told.id);
        // Writing to a text does not fail.
        let _ = match (last, failure) {
            (None, _) => Ok(()),
            (Some(last), None) => {
                let status = last.status.map_or_else(String::new, |status| status.to_string());
                write!(line, "  {}  {} ms", self.colored(GREEN, &status), last.duration.as_millis())
            }
            (Some(_), Some(failure)) => {
                let text = format!("undelivered after {attempts} attempts ({failure})");
                write!(line, "  {}", self.colored(RED, &text))
            }
        };
        line.push('\n');
        Ok(print::write(&line)?)
    }

    fn colored(&self, color: &str, text: &str) -> String {
        let text = print::shown(text);
        if self.color { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.into_owned() }
    }

    fn line(&self, line: &Line) -> Result<(), Error> {
        if self.format == Format::Json {
            let json = serde_json::to_string(line).map_err(io::Error::from)?;
            print::write(&format!("{}\n", print::inert(&json)))?;
        }
        Ok(())
    }
}

const GREEN: &str = "32";
const RED: &str = "31";

/// A time to wait, for people.
fn seconds(wait: Duration) -> String {
    format!("{:.1} s", wait.as_secs_f64())
}
