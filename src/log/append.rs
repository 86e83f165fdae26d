//! Appending to the log: the last thing that a transaction does before it commits.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Author, CHANNEL, LogState, NewEvent};
use crate::model::actor::Actor;
use crate::model::events::{Event, EventType};
use crate::model::ids::{CompanyId, EventId, Ids};

/// What is to be appended, as the columns of the statement that does.
#[derive(Clone)]
pub struct Entries {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) companies: Vec<Uuid>,
    event_types: Vec<EventType>,
    pub(crate) records: Vec<Uuid>,
    pub(crate) data: Vec<String>,
    pub(crate) actors: Vec<Uuid>,
    pub(crate) sources: Vec<&'static str>,
    pub(crate) previous: Vec<Option<String>>,
    /// The time of the events, or the log's last time if that is later.
    pub(crate) now: DateTime<Utc>,
    /// Whether other processes are notified.
    pub(crate) notify: bool,
    /// Where `log_head` was last, if that is known; it may be elsewhere by now.
    pub(crate) head: Option<HeadRow>,
}

/// Which numbers the entries got, and what else their transaction saw.
pub struct Numbers {
    /// The number before the first one.
    pub(crate) before: i64,
    pub(crate) at: DateTime<Utc>,
    pub(crate) version: i64,
    pub(crate) xid: Option<String>,
    /// The `ctid` of `log_head` as it is now.
    pub(crate) ctid: Option<String>,
}

/// What the transaction must know to be resolved and handed on.
#[derive(Clone)]
pub(crate) struct Appended {
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) version: i64,
    /// The transaction's id, to look up what became of a lost COMMIT.
    pub(crate) xid: Option<String>,
    /// Where `log_head` is now, if something was appended and it is known.
    pub(crate) head: Option<HeadRow>,
}

/// Where the row of `log_head` is, as a `ctid`. Whoever looks for it there finds it at once.
/// Otherwise all its versions are gone through, and while another session holds a snapshot,
/// such as for a dump, PostgreSQL removes none of them: there is one for each transaction.
#[derive(Clone, Debug)]
pub(crate) struct HeadRow {
    pub(crate) ctid: String,
    /// The last number of the log, as it was there.
    pub(crate) seq: i64,
}

/// Appends entries and takes their numbers. The lock on `log_head` lasts until commit, so
/// the order of numbers is the order of commits. Returns nothing if the row is not in its
/// place any more.
///
/// With the text of an INSERT, which must return something, and its parameters from `$13`
/// on, that comes first: until all of it is stored, `log_head` is not locked. There, the
/// statement may be a transaction of its own, and must not store without appending: if
/// `log_head` is not in its place, the events have no number, which `events` refuses.
///
/// A macro because `query!` wants the text spelt out.
macro_rules! appending {
    ($connection:expr, $entries:expr) => {
        $crate::log::appending!(@ "", "", "", "", "JOIN", $connection, $entries,)
    };
    ($connection:expr, $entries:expr, $insert:literal, $($parameter:tt)+) => {
        $crate::log::appending!(
            @ "stored AS (", $insert, "), ", "AND (SELECT count(*) FROM stored) >= 0", "LEFT JOIN",
            $connection, $entries, $($parameter)+
        )
    };
    (@ $before:literal, $insert:literal, $after:literal, $and:literal, $join:literal,
     $connection:expr, $entries:expr, $($parameter:tt)*) => {{
        let entries: &$crate::log::Entries = $entries;
        sqlx::query!(
            "WITH " + $before + $insert + $after
                + r#"head AS (
                   UPDATE log_head SET seq = seq + cardinality($1::uuid[]), at = greatest(at, $6)
                   WHERE ctid = coalesce($10::text::tid, (SELECT ctid FROM log_head)) "#
                + $and
                + r#"
                   RETURNING seq - cardinality($1::uuid[]) AS before, at, ctid::text
               ), appended AS (
                   INSERT INTO events (seq, company_id, type, id, record_id, source, at, data, actor, previous)
                   SELECT head.before + new.number, new.company_id, new.type, new.id, new.record_id, new.source, head.at, new.data,
                          new.actor, new.previous
                   FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $7::text[], $11::uuid[], $12::text[])
                       WITH ORDINALITY AS new (id, company_id, type, record_id, data, source, actor, previous, number) "#
                + $join
                + r#" head ON true
               )
               SELECT head.before AS "before!", head.at AS "at!", head.ctid AS "ctid!", subscription_version.version,
                      pg_current_xact_id()::text AS "xid!",
                      CASE WHEN $8 THEN pg_notify($9, '')::text END AS notified
               FROM head, subscription_version"#,
            &entries.ids,
            &entries.companies,
            &entries.types(),
            &entries.records,
            &entries.data,
            entries.now,
            &entries.sources as &[&str],
            entries.notify,
            $crate::log::CHANNEL,
            entries.head.as_ref().map(|head| &*head.ctid),
            &entries.actors,
            &entries.previous as &[Option<String>],
            $($parameter)*
        )
        .map(|row| $crate::log::Numbers {
            before: row.before,
            at: row.at,
            version: row.version,
            xid: Some(row.xid),
            ctid: Some(row.ctid),
        })
        .fetch_optional(&mut *$connection)
        .await
    }};
}
pub(crate) use appending;

/// Appends to the log for the one writer of this process.
pub struct Appender {
    ids: Ids,
    state: LogState,
    /// Where `log_head` was after the last commit that is known here.
    head: Option<HeadRow>,
}

impl Appender {
    /// An appender that gives events their ids from `ids`.
    pub fn new(ids: Ids, state: LogState) -> Self {
        Self { ids, state, head: None }
    }

    /// Entries for `new` events. If another process may wait for them, or write, it is
    /// notified, and `log_head` is looked for: it has probably moved.
    pub(crate) fn entries(&self, new: Vec<(Author, NewEvent)>, now: DateTime<Utc>) -> Entries {
        let (authors, events): (Vec<_>, Vec<_>) = new.into_iter().unzip();
        let mut entries = Entries {
            ids: events.iter().map(|_| self.ids.next(now)).collect(),
            companies: authors.iter().map(|author| author.company.0).collect(),
            actors: authors.iter().map(|author| author.actor.id()).collect(),
            sources: authors.iter().map(|author| author.actor.source()).collect(),
            event_types: events.iter().map(|event| event.event_type).collect(),
            records: events.iter().map(|event| event.record).collect(),
            data: Vec::with_capacity(events.len()),
            previous: Vec::with_capacity(events.len()),
            now,
            notify: self.notifies(),
            head: self.head().cloned(),
        };
        for event in events {
            entries.data.push(event.data);
            entries.previous.push(event.previous);
        }
        entries
    }

    /// Where `log_head` is, if that is known and no other process is likely to move it.
    pub(crate) fn head(&self) -> Option<&HeadRow> {
        self.head.as_ref().filter(|_| !self.notifies())
    }

    /// Returns whether other processes have to be notified of what is committed.
    pub(crate) fn notifies(&self) -> bool {
        !self.state.is_sole_deliverer()
    }

    /// Notes what was committed.
    pub(crate) fn committed(&mut self, appended: &Appended) {
        if let Some(last) = appended.events.last() {
            self.state.set_last_appended(last.seq);
            self.head = appended.head.clone();
        }
    }

    /// Has `log_head` looked for the next time: it is not where it was.
    pub(crate) fn forget_head(&mut self) {
        self.head = None;
    }
}

impl Entries {
    /// The names of the types.
    pub(crate) fn types(&self) -> Vec<String> {
        self.event_types.iter().map(|event_type| event_type.word().to_owned()).collect()
    }

    /// The events, with their numbers.
    pub(crate) fn numbered(self, numbers: Numbers) -> Appended {
        let seq = numbers.before + self.ids.len() as i64;
        let head = numbers.ctid.map(|ctid| HeadRow { ctid, seq });
        let rows = self.ids.into_iter().zip(self.companies).zip(self.event_types);
        let rows = rows.zip(self.records).zip(self.data).zip(self.actors.into_iter().zip(self.sources));
        let rows = rows.zip(self.previous).zip(numbers.before + 1..);
        let events = rows.map(
            |(((((((id, company), event_type), record), data), (actor, source)), previous), seq)| {
                Arc::new(Event {
                    seq,
                    company: CompanyId(company),
                    event_type,
                    id: EventId(id),
                    record,
                    source: source.to_owned(),
                    at: numbers.at,
                    data,
                    actor: Some(Actor::stored(actor, source)),
                    previous,
                })
            },
        );
        Appended { events: events.collect(), version: numbers.version, xid: numbers.xid, head }
    }
}

/// Appends `entries`, as the last statement before COMMIT.
pub(crate) async fn append(
    connection: &mut PgConnection,
    mut entries: Entries,
) -> Result<Appended, sqlx::Error> {
    loop {
        match appending!(connection, &entries)? {
            Some(numbers) => return Ok(entries.numbered(numbers)),
            // Another process has moved it. Locked, it stays where it is.
            None => entries.head = Some(lock_head(connection).await?),
        }
    }
}

/// Locks the row of `log_head`, wherever it is.
async fn lock_head(connection: &mut PgConnection) -> Result<HeadRow, sqlx::Error> {
    let head = sqlx::query_as!(HeadRow, r#"SELECT ctid::text AS "ctid!", seq FROM log_head FOR UPDATE"#);
    head.fetch_one(connection).await
}

/// For a transaction that wrote, but appends nothing: its id, and the hint to
/// others (it may have changed subscriptions).
pub(crate) async fn append_nothing(
    connection: &mut PgConnection,
    notify: bool,
) -> Result<Appended, sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT version, pg_current_xact_id()::text AS "xid!",
                  CASE WHEN $1 THEN pg_notify($2, '')::text END AS notified
           FROM subscription_version"#,
        notify,
        CHANNEL,
    )
    .fetch_one(connection)
    .await?;
    Ok(Appended { events: Vec::new(), version: row.version, xid: Some(row.xid), head: None })
}
