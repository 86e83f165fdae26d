//! `isao import`.

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use reqwest::Method;
use tokio::task::JoinHandle;

use super::super::listen::server::{Server, ServerArgs};
use super::super::print;
use super::batch::Batch;
use super::checkpoint::{Checkpoint, Kept};
use super::columns::Columns;
use super::dry_run;
use super::error::Error;
use super::fields::Kind;
use super::outcome::Outcome;
use super::progress::{self, Progress};
use super::refusals::Refusals;
use super::remote::{Answer, Remote};
use super::table::Table;
use crate::clock::Clock;
use crate::random;

/// Batches in flight: one that is written, and one that is ready when it is. More would only be told to come
/// back later, because each record takes a place in the server's queue.
const IN_FLIGHT: usize = 2;
/// Batches in flight when a row may change what a row before it wrote: they must not overtake each other.
const IN_FLIGHT_IN_ORDER: usize = 1;
/// Bytes of the random text that makes an import differ from earlier ones of the same file.
const SALT_BYTES: usize = 16;
/// What to do when the server stays away.
const ADVICE: &str = "Run the same command again to go on where it stopped";

/// What to import, and how.
#[derive(Args)]
#[command(after_help = "Examples:
  isao import contacts people.csv --dry-run                     what is wrong with which row
  isao import contacts people.csv --rejects bad.csv             import what is good, keep the rest
  isao import contacts people.csv --upsert                      change those that are there
  isao import contacts people.csv --map 'Mobile=phoneNumber' --map 'Title='
  zcat deals.csv.gz | isao import deals -

The file is UTF-8 with a header line, which says what the columns are: the fields of the API, or what other \
programs call them (First Name, E-mail, Company), in capitals or not. A contact needs a phone number, and a name or \
its parts; a deal needs a title. Columns that mean no field are left out. Commas, semicolons, tabs or | stand between \
cells. An empty cell says nothing about its field. Tags are separated by commas. An apostrophe in front of what looks \
like a formula is taken away.

Each row is written or refused by itself. The first 100 refused rows are shown, each with its line and the reason. \
Every row that creates or changes a record makes events, as any write does.

The place is kept in $XDG_STATE_HOME/isao or ~/.local/state/isao. After a crash the same command goes on where it was \
and writes nothing twice, within 24 hours. The same file imported again within 24 hours is recognised, too; \
--from-start imports it once more. A dry run asks no server: whether a contact is there already, it does not know.

The key needs the permission contacts:write or deals:write. The exit code is 0 when all rows were imported (or, with \
--dry-run, are good), and 1 when some were refused or the import could not go on.")]
pub struct Import {
    /// What the rows are
    #[arg(value_enum)]
    kind: Kind,

    /// The CSV file; - for standard input
    file: PathBuf,

    /// The field that a column means, if its header does not say; with nothing behind the = it is left out
    #[arg(long = "map", value_name = "COLUMN=FIELD")]
    maps: Vec<String>,

    /// Change contacts that have the phone number or email of a row, and create the others
    #[arg(long)]
    upsert: bool,

    /// Let an empty cell clear its field
    #[arg(long)]
    clear_empty: bool,

    /// Write nothing; tell of every bad row
    #[arg(long)]
    dry_run: bool,

    /// A file for refused rows, as they were, with a column that says why
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,

    /// What stands between cells, if it is not what the header line has most; tab for a tab
    #[arg(long, value_name = "CHARACTER", value_parser = parse_delimiter)]
    delimiter: Option<u8>,

    /// Forget where an earlier run of this file stopped, and that it was imported, and import all rows
    #[arg(long)]
    from_start: bool,

    #[command(flatten)]
    server: ServerArgs,
}

impl Import {
    /// Does it.
    pub async fn run(self) -> Result<ExitCode, Error> {
        match self.import().await {
            Err(error) if error.is_closed_output() => Ok(ExitCode::SUCCESS),
            ended => ended,
        }
    }

    async fn import(self) -> Result<ExitCode, Error> {
        if self.upsert && self.kind == Kind::Deals {
            return Err(Error::UpsertDeals);
        }
        let clock = Clock::system();
        let mut table = Table::open(&self.file, self.delimiter)?;
        let columns = Columns::new(self.kind, &table.headers, &self.maps, self.clear_empty)?;
        if let Some(missing) = columns.missing(self.kind).filter(|_| !self.upsert) {
            let (path, columns) = (table.path.clone(), table.headers.join(", "));
            return Err(Error::NoColumn { path, missing, columns });
        }
        self.spare_the_file()?;
        let (known, other) = columns.told(&table.headers);
        note(&format!("Columns: {}", known.join(", ")));
        if !other.is_empty() {
            note(&format!("Not imported: {}", other.join(", ")));
        }
        if self.dry_run {
            let mut refusals = Refusals::open(self.rejects, &table, 0, true)?;
            let mut progress = Progress::new(clock, "rows", 0.0);
            let how = (self.kind, self.upsert);
            let found = dry_run::check(how, (&mut table, &columns), &mut refusals, &mut progress)?;
            progress.clear();
            let told =
                format!("{} rows are good, {} are bad; nothing was written\n", found.good, found.refused);
            print::write(&told)?;
            return Ok(exit_code(found.refused));
        }
        let server = self.server.server().await?;
        let path = fs::canonicalize(&self.file).unwrap_or_else(|_| self.file.clone());
        let key = server.key.reveal();
        let identity = format!("{}\n{key}\n{}\n{}", server.shown(), self.kind.word(), path.display());
        let (checkpoint, kept) = Checkpoint::open(&identity, &table.path, self.from_start)?;
        let how = format!("{:?} {} {}", columns.names(), self.upsert, self.clear_empty);
        let resumed = kept.is_some();
        let mut kept = match kept {
            Some(kept) => kept,
            None => Kept {
                file: table.path.clone(),
                how: how.clone(),
                salt: salt(self.from_start)?,
                ..Kept::default()
            },
        };
        skip(&mut table, &kept, resumed, &how)?;
        if kept.rows > 0 {
            note(&format!("Going on after {} rows, where an earlier run stopped", kept.rows));
        }
        let rejects = self.rejects.map(|path| std::path::absolute(&path).unwrap_or(path));
        let keep = if kept.rejects == rejects { kept.rejects_bytes } else { 0 };
        let refusals = Refusals::open(rejects.clone(), &table, keep, false)?;
        kept.rejects = rejects;
        let skipped = table.size.map_or(0.0, |size| progress::part(table.bytes(), size));
        let before = kept.rows;
        let run = Run {
            kind: self.kind,
            upsert: self.upsert,
            remote: Arc::new(Remote::new(server, clock.clone(), ADVICE)),
            table,
            columns,
            refusals,
            checkpoint: &checkpoint,
            kept,
            progress: Progress::new(clock, self.kind.word(), skipped),
            before,
        };
        let told = run.run().await?;
        checkpoint.forget()?;
        print::write(&told.0)?;
        Ok(exit_code(told.1))
    }

    /// The file for refused rows must not be the one that is read.
    fn spare_the_file(&self) -> Result<(), Error> {
        let Some(rejects) = &self.rejects else { return Ok(()) };
        match (fs::canonicalize(rejects), fs::canonicalize(&self.file)) {
            (Ok(one), Ok(other)) if one == other => Err(Error::SameFile { path: rejects.clone() }),
            _ => Ok(()),
        }
    }
}

/// An import under way.
struct Run<'a> {
    kind: Kind,
    upsert: bool,
    remote: Arc<Remote>,
    table: Table,
    columns: Columns,
    refusals: Refusals,
    checkpoint: &'a Checkpoint,
    kept: Kept,
    progress: Progress,
    /// Rows that an earlier run settled.
    before: u64,
}

/// A batch whose answer is waited for.
type Sent = (Batch, JoinHandle<Result<Answer<Outcome>, Error>>);

impl Run<'_> {
    /// Sends and settles batches to the end of the file. What to say about it, and how many rows were refused.
    async fn run(mut self) -> Result<(String, u64), Error> {
        let in_flight = if self.upsert { IN_FLIGHT_IN_ORDER } else { IN_FLIGHT };
        let mut flight: VecDeque<Sent> = VecDeque::new();
        loop {
            while flight.len() < in_flight
                && let Some(batch) = Batch::next(&mut self.table, &self.columns)?
            {
                let answer = self.send(&batch);
                flight.push_back((batch, answer));
            }
            let Some((batch, answer)) = flight.pop_front() else { break };
            let answer = answer.await??;
            self.settle(batch, answer)?;
        }
        self.progress.clear();
        Ok((self.told(), self.kept.refused))
    }

    fn send(&self, batch: &Batch) -> JoinHandle<Result<Answer<Outcome>, Error>> {
        let remote = Arc::clone(&self.remote);
        let path = match (self.kind, self.upsert) {
            (Kind::Contacts, false) => "/contacts/batch",
            (Kind::Contacts, true) => "/contacts/upsert/batch",
            (Kind::Deals, _) => "/deals/batch",
        };
        let (records, body, key) =
            (batch.records, batch.body.clone(), batch.idempotency_key(&self.kept.salt));
        tokio::spawn(async move {
            if records == 0 {
                return Ok(Answer { body: Outcome::default(), replayed: false });
            }
            let request = |server: &Server| {
                let request = server.request(Method::POST, path, &[]);
                let request = request.header("content-type", "application/json");
                request.header("idempotency-key", &key).body(body.clone())
            };
            remote.ask(request).await
        })
    }

    /// Counts what became of the rows of a batch, tells of those that were refused, and moves the checkpoint.
    fn settle(&mut self, batch: Batch, answer: Answer<Outcome>) -> Result<(), Error> {
        let entries = answer.body.entries(batch.records).ok_or_else(|| Error::Answer {
            url: self.remote.shown(),
            why: "not an entry for each record".to_owned(),
        })?;
        let mut entries = entries.into_iter();
        for packed in batch.rows {
            let entry = if packed.refused.is_none() { entries.next() } else { None };
            let why = match (packed.refused, &entry) {
                (Some(why), _) => Some(why),
                (None, Some(entry)) => entry.error.as_ref().map(|refusal| refusal.reason()),
                (None, None) => None,
            };
            match why {
                Some(why) => {
                    self.kept.refused += 1;
                    self.progress.clear();
                    self.refusals.tell(&packed.row, &why)?;
                }
                None if entry.is_some_and(|entry| entry.created) => self.kept.created += 1,
                None => self.kept.present += 1,
            }
        }
        if answer.replayed {
            self.kept.replayed += u64::try_from(batch.records).unwrap_or_default();
        }
        self.kept.rejects_bytes = self.refusals.flush()?;
        self.kept.rows = batch.end.rows;
        self.kept.digest = batch.end.digest;
        self.checkpoint.keep(&self.kept)?;
        let part = self.table.size.map(|size| progress::part(batch.end.bytes, size));
        self.progress.at(self.kept.rows - self.before, part);
        Ok(())
    }

    fn told(&self) -> String {
        let Kept { created, present, refused, replayed, rows, .. } = &self.kept;
        let what = self.kind.word();
        let mut told = match self.upsert {
            false => format!("{created} {what} created, {refused} rows refused"),
            true => format!("{created} {what} created, {present} found, {refused} rows refused"),
        };
        told = format!("{told} ({})\n", self.progress.summary(rows - self.before));
        if *replayed > 0 {
            told.push_str(&format!(
                "{replayed} rows were sent before, within the last 24 hours, and were not written again; \
                 --from-start imports all rows once more\n"
            ));
        }
        told
    }
}

/// Reads over the rows that are settled, and checks that they are those of before.
fn skip(table: &mut Table, kept: &Kept, resumed: bool, how: &str) -> Result<(), Error> {
    if !resumed {
        return Ok(());
    }
    let changed = || Error::Changed { path: kept.file.clone(), rows: kept.rows };
    while table.rows < kept.rows {
        table.next()?.ok_or_else(changed)?;
    }
    let same = kept.how == how && kept.digest == table.digest();
    if same { Ok(()) } else { Err(changed()) }
}

/// Nothing, so that the same file has the same Idempotency-Keys; or something of its own.
fn salt(anew: bool) -> Result<String, Error> {
    if !anew {
        return Ok(String::new());
    }
    let bytes: [u8; SALT_BYTES] = random::bytes().map_err(|error| Error::Random(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn exit_code(refused: u64) -> ExitCode {
    if refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for people.
fn note(text: &str) {
    eprintln!("{}", print::shown(text));
}

fn parse_delimiter(text: &str) -> Result<u8, &'static str> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        [byte]
            if byte.is_ascii() && !byte.is_ascii_alphanumeric() && !matches!(byte, b'"' | b'\n' | b'\r') =>
        {
            Ok(*byte)
        }
        _ => Err("must be one character, such as ; or |, or the word tab"),
    }
}
