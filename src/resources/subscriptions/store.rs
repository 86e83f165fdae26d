//! Subscriptions in the database.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::Command;
use super::decide::{MAX_PER_COMPANY, Subscriptions, Twin, changed, twin};
use crate::model::events::Filters;
use crate::model::ids::CompanyId;
use crate::resources::Command as AnyCommand;
use crate::resources::table::{Key, arrays};
use crate::subscription::{self, Status, Stored, Subscription};

/// Locks and loads the subscriptions that commands change, those they would be
/// twins of, and how many their companies have.
pub async fn load(
    subscriptions: &mut Subscriptions,
    connection: &mut PgConnection,
    commands: &[(CompanyId, &AnyCommand)],
) -> Result<(), sqlx::Error> {
    let (mut touched, mut wanted, mut siblings, mut subscribers, mut replaying) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let commands = || {
        commands.iter().filter_map(|(company, command)| match command {
            AnyCommand::Subscription(command) => Some((*company, command)),
            _ => None,
        })
    };
    for (company, command) in commands() {
        match command {
            Command::Subscribe(_, new) => {
                subscribers.push(company.0);
                // The first of them tells the secret; one that is sent may be for all of them.
                let count = if new.secret.is_some() { MAX_PER_COMPANY } else { 1 };
                siblings.push((company, new.target.as_str().to_owned(), count));
                wanted.push((
                    company,
                    new.events.to_string(),
                    new.target.as_str().to_owned(),
                    new.filters.canonical(),
                ));
            }
            Command::Change(id, _) | Command::Rotate(id, _) | Command::Unsubscribe(id) => {
                touched.push((company, id.0))
            }
            Command::Replay(id, ..) => {
                touched.push((company, id.0));
                replaying.push(company.0);
            }
        }
    }
    if touched.is_empty() && wanted.is_empty() {
        return Ok(());
    }
    lock(subscriptions, connection, touched).await?;
    for (company, command) in commands() {
        match command {
            Command::Change(id, changes) => {
                if let Ok(Some(current)) = subscriptions.rows.get((company, id.0))
                    && let Ok(changed) = changed(current, changes, current.updated_at)
                {
                    wanted.push(twin(&changed.subscription));
                }
            }
            Command::Rotate(id, _) => {
                if let Ok(Some(current)) = subscriptions.rows.get((company, id.0)) {
                    siblings.push((company, current.target.as_str().to_owned(), MAX_PER_COMPANY));
                }
            }
            Command::Subscribe(..) | Command::Unsubscribe(_) | Command::Replay(..) => {}
        }
    }
    let refilters =
        |command: &Command| matches!(command, Command::Change(_, changes) if changes.filters.is_some());
    if commands().any(|(_, command)| refilters(command)) {
        // What is committed from now on has a higher number.
        subscriptions.head =
            sqlx::query_scalar!("SELECT seq FROM log_head").fetch_one(&mut *connection).await?;
    }
    let mut others = twins(connection, wanted).await?;
    others.extend(of_endpoints(connection, siblings).await?);
    lock(subscriptions, connection, others).await?;
    if !subscribers.is_empty() {
        let rows = sqlx::query!(
            r#"SELECT company_id, count(*) AS "count!" FROM subscriptions
               WHERE company_id = ANY($1) AND status <> 'deleted' GROUP BY company_id"#,
            &subscribers,
        )
        .fetch_all(&mut *connection)
        .await?;
        let counts =
            rows.into_iter().map(|row| (CompanyId(row.company_id), usize::try_from(row.count).unwrap_or(0)));
        subscriptions.counts.extend(counts);
    }
    if !replaying.is_empty() {
        let rows = sqlx::query!(
            r#"SELECT r.company_id, count(*) AS "count!" FROM replays r JOIN subscriptions s ON s.id = r.subscription_id
               WHERE r.company_id = ANY($1) AND r.status = 'running' AND s.status <> 'deleted' GROUP BY r.company_id"#,
            &replaying,
        )
        .fetch_all(connection)
        .await?;
        subscriptions.running.extend(rows.into_iter().map(|row| (CompanyId(row.company_id), row.count)));
    }
    Ok(())
}

async fn lock(
    subscriptions: &mut Subscriptions,
    connection: &mut PgConnection,
    touched: Vec<Key>,
) -> Result<(), sqlx::Error> {
    if touched.is_empty() {
        return Ok(());
    }
    let (companies, ids) = arrays(touched);
    for Stored { subscription, progress, .. } in subscription::lock(connection, (&companies, &ids)).await? {
        subscriptions.done.insert(subscription.id, progress.done);
        match subscription.status {
            Status::Active | Status::Paused => {
                subscriptions.twins.insert(twin(&subscription), subscription.id);
            }
            Status::Deactivated => subscriptions.deactivated.push(subscription.id),
            Status::Deleted => {}
        }
        subscriptions.rows.loaded((subscription.company, subscription.id.0), subscription);
    }
    Ok(())
}

async fn twins(connection: &mut PgConnection, wanted: Vec<Twin>) -> Result<Vec<Key>, sqlx::Error> {
    let companies: Vec<_> = wanted.iter().map(|(company, ..)| company.0).collect();
    let events: Vec<_> = wanted.iter().map(|(_, events, ..)| events.clone()).collect();
    let keys: Vec<_> = wanted.iter().map(|(.., url, filters)| format!("{url} {filters}")).collect();
    let rows = sqlx::query!(
        "SELECT s.company_id, s.id
         FROM unnest($1::uuid[], $2::text[], $3::text[]) AS wanted (company_id, events, key)
         JOIN subscriptions s ON s.company_id = wanted.company_id AND s.events = wanted.events
             AND md5(s.target_url || ' ' || s.filters) = md5(wanted.key)
         WHERE s.status IN ('active', 'paused', 'deactivated')",
        &companies,
        &events,
        &keys,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (CompanyId(row.company_id), row.id)).collect())
}

/// The ids of companies' subscriptions to URLs, of each URL the oldest ones up to a limit.
async fn of_endpoints(
    connection: &mut PgConnection,
    wanted: Vec<(CompanyId, String, usize)>,
) -> Result<Vec<Key>, sqlx::Error> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let companies: Vec<_> = wanted.iter().map(|(company, ..)| company.0).collect();
    let limits: Vec<_> = wanted.iter().map(|(.., limit)| i64::try_from(*limit).unwrap_or(i64::MAX)).collect();
    let urls: Vec<_> = wanted.into_iter().map(|(_, url, _)| url).collect();
    let rows = sqlx::query!(
        r#"SELECT s.company_id, s.id FROM unnest($1::uuid[], $2::text[], $3::bigint[]) AS wanted (company_id, url, max)
           CROSS JOIN LATERAL (
               SELECT company_id, id FROM subscriptions
               WHERE company_id = wanted.company_id AND md5(target_url) = md5(wanted.url) AND status <> 'deleted'
               ORDER BY created_at, id LIMIT wanted.max) s"#,
        &companies,
        &urls,
        &limits,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (CompanyId(row.company_id), row.id)).collect())
}

/// Writes what changed, under a new version, and gives new subscriptions a cursor
/// at the head of the log. Returns whether anything changed.
pub async fn store(
    subscriptions: &Subscriptions,
    connection: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    let (changed, _) = subscriptions.rows.changes();
    if changed.is_empty() {
        return Ok(false);
    }
    fn column<T>(rows: &[(Key, &Subscription)], value: impl Fn(&Subscription) -> T) -> Vec<T> {
        rows.iter().map(|(_, subscription)| value(subscription)).collect()
    }
    let companies: Vec<_> = changed.iter().map(|((company, _), _)| company.0).collect();
    let ids = column(&changed, |subscription| subscription.id.0);
    let version = subscription::next_version(connection).await?;
    sqlx::query!(
        "INSERT INTO subscriptions (company_id, id, events, target_url, filters, secret, status, status_reason,
                                    loopback, ordering, concurrency, created_at, updated_at, previous_secrets,
                                    previous_secrets_due, resumed_at, headers, ignored_actor, include,
                                    earlier_filters, version)
         SELECT *, $21::bigint FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[],
                                           $7::text[], $8::text[], $9::bool[], $10::text[], $11::smallint[],
                                           $12::timestamptz[], $13::timestamptz[], $14::jsonb[], $15::timestamptz[],
                                           $16::timestamptz[], $17::jsonb[], $18::uuid[], $19::text[], $20::jsonb[])
         ON CONFLICT (company_id, id) DO UPDATE SET
             target_url = excluded.target_url, filters = excluded.filters, status = excluded.status,
             status_reason = excluded.status_reason, loopback = excluded.loopback, ordering = excluded.ordering,
             concurrency = excluded.concurrency, secret = excluded.secret,
             previous_secrets = excluded.previous_secrets, previous_secrets_due = excluded.previous_secrets_due,
             resumed_at = excluded.resumed_at, headers = excluded.headers, ignored_actor = excluded.ignored_actor,
             include = excluded.include, earlier_filters = excluded.earlier_filters, updated_at = excluded.updated_at,
             version = excluded.version",
        &companies,
        &ids,
        &column(&changed, |subscription| subscription.events.to_string()),
        &column(&changed, |subscription| subscription.target.to_string()),
        &column(&changed, |subscription| subscription.filters.canonical()),
        &column(&changed, |subscription| subscription.secrets.current.reveal().to_owned()),
        &column(&changed, |subscription| subscription.status.word().to_owned()),
        &column(&changed, |subscription| subscription.status_reason.clone()) as &[Option<String>],
        &column(&changed, |subscription| subscription.loopback),
        &column(&changed, |subscription| subscription.ordering.word().to_string()),
        &column(&changed, |subscription| i16::from(subscription.ordering.concurrency())),
        &column(&changed, |subscription| subscription.created_at),
        &column(&changed, |subscription| subscription.updated_at),
        &column(&changed, |subscription| serde_json::from_str(&subscription.secrets.previous_to_json()).unwrap_or_default()) as &[serde_json::Value],
        &column(&changed, |subscription| subscription.secrets.previous.iter().map(|(_, until)| *until).min()) as &[Option<DateTime<Utc>>],
        &column(&changed, |subscription| subscription.resumed_at) as &[Option<DateTime<Utc>>],
        &column(&changed, |subscription| serde_json::from_str(&subscription.headers.to_json()).unwrap_or_default()) as &[serde_json::Value],
        &column(&changed, |subscription| subscription.ignored_actor) as &[Option<Uuid>],
        &column(&changed, |subscription| subscription.include.stored()),
        &column(&changed, |subscription| earlier_filters(&subscription.earlier_filters)) as &[serde_json::Value],
        version,
    )
    .execute(&mut *connection)
    .await?;
    // Every event committed after this transaction has a higher number than the head now.
    // Lagging: the checkpoint may pass that number before the process that delivers
    // hears of the subscription.
    sqlx::query!(
        "INSERT INTO cursors (company_id, subscription_id, seq, lagging, shard)
         SELECT new.company_id, new.id, least(coalesce(new.start, log_head.seq), log_head.seq), true,
                endpoint_shard(new.company_id, new.target_url)
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) AS new (company_id, id, start, target_url),
              log_head
         ON CONFLICT (subscription_id) DO NOTHING",
        &companies,
        &ids,
        &column(&changed, |subscription| subscriptions.starts.get(&subscription.id).copied())
            as &[Option<i64>],
        &column(&changed, |subscription| subscription.target.to_string()),
    )
    .execute(&mut *connection)
    .await?;
    if !subscriptions.moved.is_empty() {
        move_shards(connection, subscriptions.moved.iter().map(|(_, id)| *id).collect()).await?;
    }
    replay(connection, subscriptions).await?;
    if !subscriptions.hurried.is_empty() {
        hurry(connection, subscriptions.hurried.iter().map(|(_, id)| *id).collect()).await?;
    }
    if !subscriptions.skipping.is_empty() {
        skip(connection, subscriptions.skipping.iter().copied().collect()).await?;
    }
    Ok(true)
}

/// The filters of before, as they are stored.
fn earlier_filters(earlier: &[(i64, Filters)]) -> serde_json::Value {
    earlier.iter().map(|(to, filters)| serde_json::json!([to, filters.to_json()])).collect()
}

/// Gives those whose URL changed to the shards of their new endpoints. From now on nothing that
/// the shards of before have to record of them counts, and no checkpoint: what is done is
/// what the cursor says.
async fn move_shards(connection: &mut PgConnection, ids: Vec<Uuid>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE cursors c SET shard = endpoint_shard(s.company_id, s.target_url), seq = greatest(c.seq, done.seq),
                lagging = true
         FROM subscriptions s JOIN done ON done.subscription_id = s.id
         WHERE s.id = ANY($1) AND c.subscription_id = s.id AND c.shard <> endpoint_shard(s.company_id, s.target_url)",
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has what waits for its time tried at once by whoever delivers next. Whoever does now
/// hears of the change and does so by itself; it may be recording just then, and is not
/// waited for.
async fn hurry(connection: &mut PgConnection, ids: Vec<Uuid>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE cursors c SET undelivered_in_row = 0, next_attempt_at = NULL
         FROM (SELECT subscription_id FROM cursors WHERE subscription_id = ANY($1) FOR UPDATE SKIP LOCKED) free
         WHERE c.subscription_id = free.subscription_id",
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Skips everything up to the end of the log, and keeps on record what that was.
async fn skip(connection: &mut PgConnection, skipping: Vec<Key>) -> Result<(), sqlx::Error> {
    let (companies, ids) = arrays(skipping);
    sqlx::query!(
        "WITH skipped AS (
             UPDATE subscriptions s SET skip_to = log_head.seq
             FROM log_head, unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id)
             WHERE s.company_id = wanted.company_id AND s.id = wanted.id
             RETURNING s.company_id, s.id, s.events AS wanted, s.skip_to, s.updated_at
         )
         INSERT INTO gaps (company_id, subscription_id, from_seq, to_seq, events, reason, at)
         SELECT s.company_id, s.id, done.seq + 1, s.skip_to, waiting.events, 'skipped', s.updated_at
         FROM skipped s JOIN done ON done.subscription_id = s.id, LATERAL (
             SELECT count(*) AS events FROM events e
             WHERE e.company_id = s.company_id AND e.type = ANY (wanted_types(s.wanted)) AND e.seq > done.seq AND e.seq <= s.skip_to
         ) AS waiting
         WHERE waiting.events > 0",
        &companies,
        &ids,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Has replays begin.
async fn replay(connection: &mut PgConnection, subscriptions: &Subscriptions) -> Result<(), sqlx::Error> {
    for (company, subscription, id, new, now) in &subscriptions.replays {
        sqlx::query!(
            "INSERT INTO replays (company_id, id, subscription_id, only_undelivered, per_second, from_seq, to_seq,
                                  position, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'running', $9, $9)",
            company.0,
            id.0,
            subscription.0,
            new.only_undelivered,
            new.per_second,
            new.from,
            new.to,
            new.position,
            now,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
