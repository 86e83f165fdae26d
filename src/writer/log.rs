//! Appending to the log: the last statement before COMMIT.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::NewEvent;
use crate::events::{Event, SOURCE_API};
use crate::ids::{CompanyId, EventId, Ids};

/// The channel on which processes tell each other that the log or the
/// subscriptions changed. A hint only: whoever waits also looks now and then.
pub const CHANNEL: &str = "isao_log";

/// What the transaction must know to be resolved and handed on.
pub(super) struct Appended {
    pub(super) events: Vec<Arc<Event>>,
    pub(super) version: i64,
    /// The transaction's id, to look up what became of a lost COMMIT.
    pub(super) xid: String,
    /// Where `log_head` is now, if something was appended.
    pub(super) head: Option<Place>,
}

/// Where the row of `log_head` is, as a `ctid`. Whoever looks for it there finds it at once.
/// Otherwise all its versions are gone through, and while another session holds a snapshot,
/// such as for a dump, PostgreSQL removes none of them: there is one for each transaction.
#[derive(Clone, Debug)]
pub(crate) struct Place(String);

/// Appends `events` and takes their numbers. The lock on `log_head` lasts until
/// commit, so the order of numbers is the order of commits. The time of the
/// events is `now`, or the log's last time if that is later. `place` is where
/// `log_head` was last, if that is known; it may be elsewhere by now.
pub(super) async fn append(
    connection: &mut PgConnection,
    ids: &Ids,
    new: Vec<(CompanyId, NewEvent)>,
    now: DateTime<Utc>,
    notify: bool,
    mut place: Option<Place>,
) -> Result<Appended, sqlx::Error> {
    let event_ids: Vec<_> = new.iter().map(|_| ids.next(now)).collect();
    let companies: Vec<_> = new.iter().map(|(company, _)| company.0).collect();
    let types: Vec<_> = new.iter().map(|(_, event)| event.event_type.name().to_owned()).collect();
    let records: Vec<_> = new.iter().map(|(_, event)| event.record).collect();
    let data: Vec<_> = new.iter().map(|(_, event)| event.data.clone()).collect();
    let head = loop {
        let appended = sqlx::query!(
            r#"WITH head AS (
                   UPDATE log_head SET seq = seq + cardinality($1::uuid[]), at = greatest(at, $6)
                   WHERE ctid = coalesce($10::text::tid, (SELECT ctid FROM log_head))
                   RETURNING seq - cardinality($1::uuid[]) AS before, at, ctid::text AS place
               ), appended AS (
                   INSERT INTO events (seq, company_id, type, id, record_id, source, at, data)
                   SELECT head.before + new.number, new.company_id, new.type, new.id, new.record_id, $7, head.at, new.data
                   FROM head, unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[])
                       WITH ORDINALITY AS new (id, company_id, type, record_id, data, number)
               )
               SELECT head.before AS "before!", head.at AS "at!", head.place AS "place!", subscription_version.version,
                      pg_current_xact_id()::text AS "xid!",
                      CASE WHEN $8 THEN pg_notify($9, '')::text END AS notified
               FROM head, subscription_version"#,
            &event_ids,
            &companies,
            &types,
            &records,
            &data,
            now,
            SOURCE_API,
            notify,
            CHANNEL,
            place.as_ref().map(|place| &*place.0),
        )
        .fetch_optional(&mut *connection)
        .await?;
        match appended {
            Some(head) => break head,
            // Another process has moved it. Locked, it stays where it is.
            None => place = Some(lock_head(connection).await?),
        }
    };
    let events = new.into_iter().zip(event_ids).zip(head.before + 1..);
    let events = events.map(|(((company, event), id), seq)| {
        Arc::new(Event {
            seq,
            company,
            event_type: event.event_type,
            id: EventId(id),
            record: event.record,
            source: SOURCE_API.to_owned(),
            at: head.at,
            data: event.data,
        })
    });
    let place = Some(Place(head.place));
    Ok(Appended { events: events.collect(), version: head.version, xid: head.xid, head: place })
}

/// Locks the row of `log_head`, wherever it is.
async fn lock_head(connection: &mut PgConnection) -> Result<Place, sqlx::Error> {
    let place = sqlx::query_scalar!(r#"SELECT ctid::text AS "place!" FROM log_head FOR UPDATE"#);
    place.fetch_one(connection).await.map(Place)
}

/// For a transaction that wrote, but appends nothing: its id, and the hint to
/// others (it may have changed subscriptions).
pub(super) async fn append_nothing(
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
    Ok(Appended { events: Vec::new(), version: row.version, xid: row.xid, head: None })
}
