//! How many files and sockets this process may have open at a time.
//!
//! Many systems begin with 1,024, for the sake of programs that use `select`, and let
//! whoever does not raise it. Every attempt in flight and every connection takes one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files beside the attempts in flight: unused connections of the client, connections of
/// the API, event streams, the database.
const OTHERS: u64 = 1024;

/// Connections of callers, however many files there may be: each takes some memory.
const CONNECTIONS: u64 = 8192;
/// The part of all files that connections of callers may take.
const CONNECTIONS_PART: u64 = 4;

/// Raises the limit as far as it may be, and warns if that is not enough for `in_flight`
/// attempts at a time. Returns how many connections of callers may be open at a time.
pub fn raise(in_flight: usize) -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = if raised.is_ok() { maximum } else { current };
    let enough = in_flight as u64 + OTHERS;
    // None: there is no limit.
    if let Some(limit) = limit.filter(|limit| *limit < enough) {
        tracing::warn!(
            "this process may have {limit} files open, and could need {enough}: raise the hard limit (ulimit -Hn, \
             LimitNOFILE= in systemd), or lower ISAO_IN_FLIGHT"
        );
    }
    let connections = limit.map_or(CONNECTIONS, |limit| CONNECTIONS.min(limit / CONNECTIONS_PART));
    usize::try_from(connections).unwrap_or(usize::MAX)
}
