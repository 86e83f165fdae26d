//! Why an import or an export gives up.

use std::io;
use std::path::PathBuf;

use super::super::listen;

/// Why there is nothing more to do, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(transparent)]
    Server(#[from] listen::Error),
    #[error("{url} did not take the request for {seconds} s ({cause}). {advice}")]
    GaveUp { url: String, seconds: u64, cause: String, advice: &'static str },
    #[error("{url} answered something else than was asked for ({why}); use the server's version of isao")]
    Answer { url: String, why: String },
    #[error("{path} could not be read ({cause})")]
    Read { path: String, cause: io::Error },
    #[error("{path} could not be written ({cause})")]
    Write { path: PathBuf, cause: io::Error },
    #[error("{path} has no header line, which says what the columns are")]
    NoHeader { path: String },
    #[error("{path} is UTF-16; save it as UTF-8, in a spreadsheet as \"CSV UTF-8\"")]
    Utf16 { path: String },
    #[error("the header line of {path} is not UTF-8; save the file as UTF-8")]
    HeaderNotUtf8 { path: String },
    #[error("{path} could not be read as CSV ({cause})")]
    Csv { path: String, cause: csv::Error },
    #[error(
        "{path} has no column for {missing}, which is required; its columns are: {columns}. Say which one it is with --map \"Column={missing}\""
    )]
    NoColumn { path: String, missing: &'static str, columns: String },
    #[error("--map {text:?} must be a column and a field, such as \"Mobile=phoneNumber\"")]
    BadMap { text: String },
    #[error("--map names the column {column:?}, but the columns are: {columns}")]
    UnknownColumn { column: String, columns: String },
    #[error("--map names the field {field:?}, but the fields are: {fields}")]
    UnknownField { field: String, fields: String },
    #[error("--map gives two columns to the field {field}; a field has one column")]
    TwoColumns { field: &'static str },
    #[error("--rejects must not be the file that is imported ({path})")]
    SameFile { path: PathBuf },
    #[error("--upsert is for contacts; deals have nothing by which they could be found again")]
    UpsertDeals,
    #[error("--since is for events")]
    SinceRecords,
    #[error("{path} is being imported by another process; wait for it, or stop it ({state})")]
    InUse { path: String, state: PathBuf },
    #[error(
        "{path}, or how it is read, is not what it was when an import of it stopped after {rows} rows. Restore it, or run \
         again with --from-start: then all of its rows are imported, also those that were imported already"
    )]
    Changed { path: String, rows: u64 },
    #[error("{state} is damaged, so it is not known where the import stopped; run again with --from-start")]
    DamagedState { state: PathBuf },
    #[error("the checkpoint could not be kept in {state} ({cause})")]
    State { state: PathBuf, cause: io::Error },
    #[error("no random bytes could be had for the run ({0})")]
    Random(String),
    #[error("a batch could not be sent ({0})")]
    Task(#[from] tokio::task::JoinError),
    #[error("the output could not be written ({0})")]
    Output(#[from] io::Error),
}

impl Error {
    /// Returns whether whoever reads stdout has gone, as `| head` does: nobody wants to hear more.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
