//! Writes whose answer was lost. Each is looked up until it is known what became of it; none
//! is made again on a guess.

use std::fmt;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;

use super::Domain;
use super::core::Core;
use super::job::{DecidedBatch, Outcomes, WriteError};
use super::session::Backend;
use crate::database::postgres;
use crate::log::append::{Appended, Entries, Numbers};

/// How often a write in doubt is asked about.
const RESOLVE_INTERVAL: Duration = Duration::from_millis(100);
/// How long one such question may take.
const ASK_TIMEOUT: Duration = Duration::from_secs(6);
/// How long a write in doubt is asked about before the callers are told that nobody
/// knows. The database keeps the answer far longer.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(600);

/// What was sent and not answered.
pub(super) enum Doubtful {
    /// COMMIT, of a transaction that appended this.
    Commit(Appended),
    /// A statement that is a transaction of its own.
    Statement(Statement),
}

/// A statement that appends.
pub(super) struct Statement {
    pub(super) entries: Entries,
    /// Who carries it out.
    pub(super) backend: Backend,
    /// A number of the log that was taken before.
    pub(super) after: i64,
}

impl fmt::Display for Doubtful {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Commit(appended) => write!(f, "COMMIT of {}", appended.xid.as_deref().unwrap_or_default()),
            Self::Statement(Statement { backend, after, .. }) => {
                write!(f, "a statement of {backend:?} after number {after}")
            }
        }
    }
}

/// What became of it.
enum Fate {
    Committed(Appended),
    Aborted,
    /// It may still run.
    Undecided,
    /// It was so long ago that the database no longer knows.
    Forgotten,
}

impl<D: Domain> Core<D> {
    /// Asks until it is decided whether the batch with these outcomes was committed. Returns
    /// the batch if it was.
    pub(super) async fn resolve(
        &mut self,
        outcomes: Outcomes,
        sent: Doubtful,
    ) -> Result<Option<DecidedBatch>, WriteError> {
        tracing::warn!(%sent, "the connection was lost during a commit; its outcome is looked up");
        let fate = timeout(RESOLVE_TIMEOUT, self.fate(&sent)).await;
        self.outage.set(false);
        match fate {
            Ok(Fate::Committed(appended)) => Ok(Some(DecidedBatch { outcomes, appended: Some(appended) })),
            Ok(Fate::Aborted) => Ok(None),
            Ok(Fate::Forgotten | Fate::Undecided) | Err(_) => Err(WriteError::OutcomeUnknown),
        }
    }

    /// Asks until it is decided.
    async fn fate(&mut self, sent: &Doubtful) -> Fate {
        loop {
            match timeout(ASK_TIMEOUT, self.ask(sent)).await {
                Ok(Ok(Fate::Undecided)) => self.outage.set(false),
                Ok(Ok(decided)) => return decided,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "the outcome of a commit cannot be looked up yet");
                    self.outage.set(true);
                }
                Err(_) => {
                    tracing::debug!("the outcome of a commit cannot be looked up yet: no answer");
                    self.outage.set(true);
                }
            }
            tokio::time::sleep(RESOLVE_INTERVAL).await;
        }
    }

    async fn ask(&mut self, sent: &Doubtful) -> Result<Fate, sqlx::Error> {
        let mut session = self.connected().await?;
        let fate = match sent {
            Doubtful::Commit(appended) => fate_of_commit(&mut session.connection, appended).await?,
            Doubtful::Statement(statement) => fate_of_statement(&mut session.connection, statement).await?,
        };
        self.session = Some(session);
        Ok(fate)
    }
}

async fn fate_of_commit(connection: &mut PgConnection, appended: &Appended) -> Result<Fate, sqlx::Error> {
    let status = sqlx::query_scalar!("SELECT pg_xact_status($1::text::xid8)", appended.xid)
        .fetch_one(&mut *connection)
        .await;
    match status {
        Ok(Some(status)) if status == "committed" => {
            // A crash may lose an xid just given out, and then it is given out once
            // more: what was committed is ours only if our event is there.
            if let Some(first) = appended.events.first() {
                let logged = sqlx::query_scalar!(
                    r#"SELECT EXISTS (SELECT FROM events WHERE seq = $1 AND id = $2) AS "logged!""#,
                    first.seq,
                    first.id.0,
                );
                if !logged.fetch_one(connection).await? {
                    return Ok(Fate::Aborted);
                }
            }
            Ok(Fate::Committed(appended.clone()))
        }
        Ok(Some(status)) if status == "aborted" => Ok(Fate::Aborted),
        Ok(Some(_)) => Ok(Fate::Undecided),
        Ok(None) => Ok(Fate::Forgotten),
        // "is in the future": lost in a crash, and not given out again.
        Err(error) if postgres::is_invalid_parameter(&error) => Ok(Fate::Aborted),
        Err(error) => Err(error),
    }
}

/// The statement has no id that is known, so its event is looked for; and that it is not there
/// says something only when nobody can put it there any more.
async fn fate_of_statement(
    connection: &mut PgConnection,
    Statement { entries, backend, after }: &Statement,
) -> Result<Fate, sqlx::Error> {
    if !backend.is_gone(connection).await? {
        return Ok(Fate::Undecided);
    }
    // Another statement than that, so that it sees all that was committed until then.
    let head = sqlx::query_as!(
        Numbers,
        r#"SELECT seq - 1 AS "before!", at, (SELECT version FROM subscription_version) AS "version!",
                  NULL::text AS xid, NULL::text AS ctid
           FROM events WHERE seq > $1 AND id = $2 ORDER BY seq LIMIT 1"#,
        after,
        entries.ids.first(),
    );
    Ok(match head.fetch_optional(connection).await? {
        Some(head) => Fate::Committed(entries.clone().numbered(head)),
        None => Fate::Aborted,
    })
}
