//! `isao export`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use reqwest::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::super::listen::server::{Server, ServerArgs};
use super::error::Error;
use super::progress::{self, Progress};
use super::remote::Remote;
use super::rows::{Exported, Format, Writer};
use crate::clock::Clock;
use crate::model::duration::parse_duration;
use crate::model::time::{parse_time, wire_time};

/// Records of a page, the most that the server gives.
const PAGE: &str = "200";
/// What to do when the server stays away.
const ADVICE: &str = "Run the command again";

/// What to export, and where to.
#[derive(Args)]
#[command(after_help = "Examples:
  isao export contacts --output contacts.csv
  isao export deals --format jsonl | jq .title
  isao export events --since 24h --format jsonl --output day.jsonl

Records come oldest first, events in the order in which they occurred. What is there when the export begins is in the \
file, once, however much is written meanwhile, unless it is deleted meanwhile; a record is as it is when its page is \
read. Text that a spreadsheet would take for a formula has an apostrophe in front of it in a CSV file, which `isao \
import` takes away again.

FILE appears when all of it is written. The key needs the permission contacts:read, deals:read or webhooks:read.")]
pub struct Export {
    /// What to export
    #[arg(value_enum)]
    what: Exported,

    /// How the file looks
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,

    /// The file, instead of stdout
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Only events of this time (2030-01-31T12:00:00Z) and later, or of so long ago (24h)
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    since: Option<Since>,

    #[command(flatten)]
    server: ServerArgs,
}

/// When to begin.
#[derive(Clone, Debug)]
enum Since {
    Ago(std::time::Duration),
    Time(DateTime<Utc>),
}

/// A page of records or of events.
#[derive(Deserialize)]
struct Page {
    data: Vec<Box<RawValue>>,
    meta: Meta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Meta {
    next_cursor: Option<String>,
    /// Of events, which have a cursor also when there are no more.
    has_more: Option<bool>,
    total: Option<u64>,
}

impl Export {
    /// Does it.
    pub async fn run(self) -> Result<ExitCode, Error> {
        match self.export().await {
            Err(error) if error.is_closed_output() => Ok(ExitCode::SUCCESS),
            ended => ended.map(|()| ExitCode::SUCCESS),
        }
    }

    async fn export(self) -> Result<(), Error> {
        if self.since.is_some() && self.what != Exported::Events {
            return Err(Error::SinceRecords);
        }
        let clock = Clock::system();
        let since = self.since.map(|since| match since {
            Since::Time(time) => time,
            Since::Ago(ago) => {
                let ago = chrono::TimeDelta::from_std(ago).ok();
                ago.and_then(|ago| clock.now().checked_sub_signed(ago)).unwrap_or(DateTime::UNIX_EPOCH)
            }
        });
        let remote = Remote::new(self.server.server().await?, clock.clone(), ADVICE);
        let pages = Pages { what: self.what, since: since.map(wire_time), remote };
        let progress = Progress::new(clock, self.what.word(), 0.0);
        let (count, progress) = match self.output {
            None => pages
                .write(BufWriter::new(io::stdout().lock()), self.format, progress)
                .await
                .map_err(Failed::output)?,
            Some(path) => {
                let mut draft = path.clone().into_os_string();
                draft.push(".partial");
                let draft = PathBuf::from(draft);
                let failed = |path: &PathBuf, cause| Error::Write { path: path.clone(), cause };
                let file = File::create(&draft).map_err(|cause| failed(&draft, cause))?;
                let written = pages.write(BufWriter::new(file), self.format, progress).await;
                let written = written.map_err(|error| error.writing(&draft))?;
                fs::rename(&draft, &path).map_err(|cause| failed(&path, cause))?;
                written
            }
        };
        progress.clear();
        eprintln!("{count} {} exported ({})", self.what.word(), progress.summary(count));
        Ok(())
    }
}

/// Why an export stopped.
enum Failed {
    Asking(Error),
    Writing(io::Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Asking(error)
    }
}

impl From<csv::Error> for Failed {
    fn from(error: csv::Error) -> Self {
        Self::Writing(error.into())
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Writing(error)
    }
}

impl Failed {
    fn output(self) -> Error {
        match self {
            Self::Asking(error) => error,
            Self::Writing(cause) => Error::Output(cause),
        }
    }

    fn writing(self, path: &std::path::Path) -> Error {
        match self {
            Self::Asking(error) => error,
            Self::Writing(cause) => Error::Write { path: path.to_owned(), cause },
        }
    }
}

/// What is read page by page.
struct Pages {
    what: Exported,
    since: Option<String>,
    remote: Remote,
}

impl Pages {
    /// Writes all of it, and gives how many records that were.
    async fn write(
        &self,
        out: impl Write,
        format: Format,
        mut progress: Progress,
    ) -> Result<(u64, Progress), Failed> {
        let mut writer = Writer::new(out, self.what, format)?;
        let (mut count, mut total, mut cursor) = (0, None, None::<String>);
        loop {
            let page = self.remote.ask::<Page>(|server| self.request(server, cursor.as_deref())).await?.body;
            for record in &page.data {
                writer.write(record)?;
            }
            count += u64::try_from(page.data.len()).unwrap_or_default();
            total = total.or(page.meta.total);
            progress.at(count, total.map(|total| progress::part(count, total)));
            cursor = page.meta.next_cursor;
            if cursor.is_none() || page.meta.has_more == Some(false) {
                break;
            }
        }
        writer.flush()?;
        Ok((count, progress))
    }

    fn request(&self, server: &Server, cursor: Option<&str>) -> reqwest::RequestBuilder {
        let mut query = vec![("limit", PAGE)];
        match self.what {
            Exported::Events => {
                query.extend(cursor.map(|cursor| ("after", cursor)));
                query
                    .extend(self.since.as_deref().filter(|_| cursor.is_none()).map(|since| ("since", since)));
                server.request(Method::GET, "/events", &query)
            }
            Exported::Contacts | Exported::Deals => {
                query.push(("sort", "createdAt"));
                if let Some(cursor) = cursor {
                    // The first page has said how many there are.
                    query.extend([("cursor", cursor), ("total", "false")]);
                }
                server.request(Method::GET, &format!("/{}", self.what.word()), &query)
            }
        }
    }
}

fn parse_since(text: &str) -> Result<Since, &'static str> {
    match (parse_duration(text), parse_time(text)) {
        (Ok(ago), _) => Ok(Since::Ago(ago)),
        (_, Some(time)) => Ok(Since::Time(time)),
        _ => Err("must be a time in ISO 8601, or how long ago it was, such as 24h"),
    }
}
