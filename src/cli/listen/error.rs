//! Why `isao listen` and `isao trigger` give up.

use std::io;
use std::path::PathBuf;

use crate::admin;
use crate::model::events::FiltersError;
use crate::outbound::retry::MAX_ATTEMPTS;

/// Why there is nothing more to do, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Error {
    #[error(
        "there is no API key; give one with --key or ISAO_API_KEY (`isao keys create --help` says how to make one)"
    )]
    NoKey,
    #[error("the demo key of this machine's server could not be read: {0}")]
    DemoKey(#[from] admin::Error),
    #[error(
        "no server answers at {url} ({cause}). Start one with `isao serve`, or name another one with --url or ISAO_URL"
    )]
    NoServer { url: String, cause: String },
    #[error(
        "{url} is not an isao server ({why}). Name one with --url or ISAO_URL, such as http://127.0.0.1:8080"
    )]
    NotIsao { url: String, why: String },
    #[error("{url} refused the API key {hint} (401): {message}. Give another one with --key or ISAO_API_KEY")]
    BadKey { url: String, hint: String, message: String },
    #[error("{url} does not let the API key {hint} do this (403): {message}")]
    Forbidden { url: String, hint: String, message: String },
    #[error(
        "the events since the last run are no longer kept by {url} (410), so some are lost to this listener. \
         Run again with --from-now, or with --since 1h for those that are kept"
    )]
    Expired { url: String },
    #[error("{url} refused the request ({status}): {message}")]
    Refused { url: String, status: u16, message: String },
    #[error(
        "{url} refused where to begin (400): {message}. If the server has another database now, run again with --from-now"
    )]
    BadStart { url: String, message: String },
    #[error(
        "the server sent an event that this version of isao does not know ({0}); use the server's version of isao"
    )]
    Unknown(String),
    #[error(
        "another `isao listen` uses the same server and key; stop it, or give this one an API key of its own ({path})"
    )]
    InUse { path: PathBuf },
    #[error("{path} is damaged, so it is not known where to go on; run again with --from-now or --since")]
    DamagedState { path: PathBuf },
    #[error("the place to go on could not be kept in {path} ({cause})")]
    State { path: PathBuf, cause: io::Error },
    #[error("--filter {0:?} must be a field and a value, such as tags=lead")]
    BadFilter(String),
    #[error(
        "--filter changed does not work here, because the feed does not say what changed; subscribe for that"
    )]
    Changed,
    #[error("--filter {0}")]
    Filter(#[from] FiltersError),
    #[error("--set {text:?} {why}")]
    BadSet { text: String, why: String },
    #[error(
        "no active subscription wants this event, so nothing was sent. Subscribe first (POST /webhooks/subscribe), \
         or send it to a URL with --forward"
    )]
    NobodyWants,
    #[error(
        "{failed} of {sent} test events were not delivered; a test is one attempt, whereas an event gets {MAX_ATTEMPTS}"
    )]
    NotDelivered { failed: usize, sent: usize },
    #[error("the HTTP client could not be made ({0})")]
    Client(String),
    #[error("signals cannot be listened for ({0})")]
    Signals(io::Error),
    #[error("the output could not be written ({0})")]
    Output(#[from] io::Error),
}

impl Error {
    /// Returns whether whoever reads stdout has gone, as `| head` does: nobody wants to hear more.
    pub fn is_closed_output(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
