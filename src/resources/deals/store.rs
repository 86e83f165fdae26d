//! Deals in the database.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde_json::value::{RawValue, to_raw_value};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Command, Deals};
use crate::http::error::ApiError;
use crate::model::ids::{CompanyId, ContactId, DealId, MemberId};
use crate::model::records::{AssignedTo, Contact, Deal, DealContact, Money, Priority, Status};
use crate::resources::Command as AnyCommand;
use crate::resources::contacts::{self, Contacts};
use crate::resources::table::{Key, RowHeld, Table, arrays, hold_rest};

/// Stages of a company whose order is remembered. Stages are free text, and a caller that makes up a
/// new one with every write must not fill the table.
const MAX_REMEMBERED_STAGES: i64 = 1_000;

/// A row of `deals`, with the contact and the member it was joined with, if it was.
pub(super) struct Row {
    pub(super) company_id: Uuid,
    pub(super) id: Uuid,
    pub(super) title: String,
    pub(super) description: Option<String>,
    pub(super) value: Option<Decimal>,
    pub(super) currency: String,
    pub(super) stage: String,
    pub(super) priority: String,
    pub(super) probability: Option<i16>,
    pub(super) status: String,
    pub(super) expected_close_date: Option<DateTime<Utc>>,
    pub(super) actual_close_date: Option<DateTime<Utc>>,
    pub(super) source: Option<String>,
    pub(super) contact_id: Option<Uuid>,
    pub(super) assigned_to_id: Option<Uuid>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
    pub(super) contact_name: Option<String>,
    pub(super) contact_email: Option<String>,
    pub(super) contact_phone_number: Option<String>,
    pub(super) contact_company: Option<String>,
    pub(super) member_name: Option<String>,
    pub(super) member_email: Option<String>,
}

impl Row {
    pub(super) fn decode(self) -> Result<Deal, sqlx::Error> {
        let contact = match (self.contact_id, self.contact_name, self.contact_phone_number) {
            (Some(id), Some(name), Some(phone_number)) => Some(DealContact {
                id: ContactId(id),
                name,
                email: self.contact_email,
                phone_number,
                current_company: self.contact_company,
            }),
            _ => None,
        };
        let assigned_to = match (self.assigned_to_id, self.member_name, self.member_email) {
            (Some(id), Some(name), Some(email)) => Some(AssignedTo { id: MemberId(id), name, email }),
            _ => None,
        };
        // CHECK constraints keep the words right.
        let unknown = |word: &str| sqlx::Error::Decode(format!("unknown word {word:?}").into());
        Ok(Deal {
            id: DealId(self.id),
            title: self.title,
            description: self.description,
            value: self.value.map(Money::from_decimal),
            currency: self.currency,
            stage: self.stage,
            priority: Priority::parse(&self.priority).ok_or_else(|| unknown(&self.priority))?,
            probability: self.probability,
            status: Status::parse(&self.status).ok_or_else(|| unknown(&self.status))?,
            expected_close_date: self.expected_close_date,
            actual_close_date: self.actual_close_date,
            source: self.source,
            contact,
            assigned_to,
            created_at: self.created_at,
            updated_at: self.updated_at,
        })
    }
}

/// Selects [`Row`]s: `joined` with their contacts and members, or `alone` from what `$rest`
/// calls `d`.
///
/// A macro because `query_as!` wants the text spelt out.
macro_rules! select {
    ($executor:expr, joined $rest:literal, $($parameter:expr),+ $(,)?) => {
        $crate::resources::deals::store::select!(
            @ $executor,
            r#"c.name AS "contact_name?", c.email AS contact_email, c.phone_number AS "contact_phone_number?",
               c.current_company AS contact_company, m.name AS "member_name?", m.email AS "member_email?"
               FROM deals d
               LEFT JOIN contacts c ON c.company_id = d.company_id AND c.id = d.contact_id
               LEFT JOIN team_members m ON m.company_id = d.company_id AND m.id = d.assigned_to_id "#,
            $rest,
            $($parameter),+
        )
    };
    ($executor:expr, alone $rest:literal, $($parameter:expr),+ $(,)?) => {
        $crate::resources::deals::store::select!(
            @ $executor,
            "NULL::text AS contact_name, NULL::text AS contact_email, NULL::text AS contact_phone_number,
             NULL::text AS contact_company, NULL::text AS member_name, NULL::text AS member_email
             FROM ",
            $rest,
            $($parameter),+
        )
    };
    (@ $executor:expr, $joined:literal, $rest:literal, $($parameter:expr),+) => {
        sqlx::query_as!(
            $crate::resources::deals::store::Row,
            "SELECT d.company_id, d.id, d.title, d.description, d.value, d.currency, d.stage, d.priority, d.probability,
                    d.status, d.expected_close_date, d.actual_close_date, d.source, d.contact_id, d.assigned_to_id,
                    d.created_at, d.updated_at, " + $joined + $rest,
            $($parameter),+
        )
        .fetch_all($executor)
        .await
    };
}
pub(super) use select;

/// One deal.
pub async fn find(pool: &PgPool, company: CompanyId, id: DealId) -> Result<Option<Deal>, sqlx::Error> {
    let rows = select!(pool, joined "WHERE d.company_id = $1 AND d.id = $2", company.0, id.0)?;
    rows.into_iter().next().map(Row::decode).transpose()
}

/// Are these a contact and a member of the company?
pub async fn exist(
    pool: &PgPool,
    company: CompanyId,
    contact: Option<ContactId>,
    member: Option<MemberId>,
) -> Result<(bool, bool), sqlx::Error> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM contacts WHERE company_id = $1 AND id = $2) AS "contact!",
                  EXISTS (SELECT FROM team_members WHERE company_id = $1 AND id = $3) AS "member!""#,
        company.0,
        contact.map(|id| id.0) as Option<Uuid>,
        member.map(|id| id.0) as Option<Uuid>,
    )
    .fetch_one(pool)
    .await?;
    Ok((row.contact, row.member))
}

/// Locks and loads the deals that commands change, and reads the contacts and
/// members that they and the commands refer to. The contacts that commands name are
/// locked as their foreign key will lock them, so that storing waits for nobody: a
/// deal need not wait for a write to its contact, unless that deletes or renumbers it.
pub async fn load(
    deals: &mut Deals,
    contacts: &Contacts,
    connection: &mut PgConnection,
    commands: &[(CompanyId, &AnyCommand)],
) -> Result<(), sqlx::Error> {
    let (mut touched, mut named, mut member_keys) = (Vec::new(), Vec::new(), Vec::new());
    for (company, command) in commands {
        let AnyCommand::Deal(command) = command else { continue };
        if let Command::Update(id, _) | Command::Delete(id) = command {
            touched.push((*company, id.0));
        }
        let changes = match command {
            Command::Create(_, new) => &new.rest,
            Command::Update(_, changes) => changes,
            Command::Delete(_) => continue,
        };
        named.extend(changes.contact.value().map(|id| (*company, id.0)));
        member_keys.extend(changes.assigned_to.value().map(|id| (*company, id.0)));
    }
    let locked = if touched.is_empty() { Vec::new() } else { lock(connection, touched.clone()).await? };
    named.retain(|key| contacts.rows.seen(*key).is_none());
    if !named.is_empty() {
        let mut shared = Table::default();
        contacts::store::share(&mut shared, connection, named.clone()).await?;
        for key in named {
            match shared.get(key) {
                Ok(Some(contact)) => drop(deals.contacts.insert(key, Contact::clone(contact))),
                Ok(None) => {}
                Err(RowHeld) => drop(deals.held.insert(key)),
            }
        }
    }
    let mut known: Vec<_> = locked.iter().filter_map(|row| row.contact).collect();
    known.retain(|key| contacts.rows.seen(*key).is_none() && !deals.contacts.contains_key(key));
    if !known.is_empty() {
        deals.contacts.extend(contacts::store::find_many(connection, known).await?);
    }
    member_keys.extend(locked.iter().filter_map(|row| row.assigned_to));
    if !member_keys.is_empty() {
        deals.members = find_members(connection, member_keys).await?;
    }
    for LockedDeal { key, mut deal, contact, assigned_to } in locked {
        deal.contact = contact.and_then(|key| deals.contact(contacts, key));
        deal.assigned_to = assigned_to.and_then(|key| deals.members.get(&key).cloned());
        deals.rows.loaded(key, deal);
    }
    hold_rest!(deals.rows, connection, touched, "deals");
    Ok(())
}

/// A deal as locked, its contact and member only by key.
struct LockedDeal {
    key: Key,
    deal: Deal,
    contact: Option<Key>,
    assigned_to: Option<Key>,
}

/// No join here: a row that changed while its lock was taken would come with the
/// contact it had before.
async fn lock(connection: &mut PgConnection, touched: Vec<Key>) -> Result<Vec<LockedDeal>, sqlx::Error> {
    let (companies, ids) = arrays(touched);
    let rows = select!(
        connection,
        alone "unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id)
               CROSS JOIN LATERAL (
                   SELECT * FROM deals t WHERE t.company_id = wanted.company_id AND t.id = wanted.id
                   FOR UPDATE SKIP LOCKED
               ) d",
        &companies,
        &ids,
    )?;
    let rows = rows.into_iter().map(|row| {
        let company = CompanyId(row.company_id);
        Ok(LockedDeal {
            key: (company, row.id),
            contact: row.contact_id.map(|id| (company, id)),
            assigned_to: row.assigned_to_id.map(|id| (company, id)),
            deal: row.decode()?,
        })
    });
    rows.collect()
}

async fn find_members(
    connection: &mut PgConnection,
    keys: Vec<Key>,
) -> Result<HashMap<Key, AssignedTo>, sqlx::Error> {
    let (companies, ids) = arrays(keys);
    let rows = sqlx::query!(
        "SELECT m.company_id, m.id, name, email
         FROM unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id)
         JOIN team_members m USING (company_id, id)",
        &companies,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let members = rows.into_iter().map(|row| {
        let member = AssignedTo { id: MemberId(row.id), name: row.name, email: row.email };
        ((CompanyId(row.company_id), row.id), member)
    });
    Ok(members.collect())
}

/// Writes what changed. Returns whether anything did.
pub async fn store(
    deals: &Deals,
    contacts: &Contacts,
    connection: &mut PgConnection,
) -> Result<bool, sqlx::Error> {
    let (changed, deleted) = deals.rows.changes();
    if changed.is_empty() && deleted.is_empty() {
        return Ok(false);
    }
    if !deleted.is_empty() {
        let (companies, ids) = arrays(deleted);
        sqlx::query!(
            "DELETE FROM deals d USING unnest($1::uuid[], $2::uuid[]) AS gone (company_id, id)
             WHERE d.company_id = gone.company_id AND d.id = gone.id",
            &companies,
            &ids,
        )
        .execute(&mut *connection)
        .await?;
    }
    if !changed.is_empty() {
        upsert(&changed, contacts, connection).await?;
    }
    Ok(true)
}

async fn upsert(
    rows: &[(Key, &Deal)],
    contacts: &Contacts,
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    fn column<T>(rows: &[(Key, &Deal)], value: impl Fn(&Deal) -> T) -> Vec<T> {
        rows.iter().map(|(_, deal)| value(deal)).collect()
    }
    let companies: Vec<_> = rows.iter().map(|((company, _), _)| company.0).collect();
    // The batch may have deleted a contact after the deal was decided.
    let contact_ids: Vec<_> = rows
        .iter()
        .map(|((company, _), deal)| {
            let id = deal.contact.as_ref()?.id.0;
            (!matches!(contacts.rows.seen((*company, id)), Some(None))).then_some(id)
        })
        .collect();
    // Deals come in the order of their ids, so new ones in the order in which they were made: that is the
    // order of the numbers of new stages. They are inserted in another order, which is the same everywhere,
    // so that two processes do not wait for each other.
    sqlx::query!(
        "WITH used AS (
             SELECT company_id, stage, min(place) AS place
             FROM unnest($1::uuid[], $7::text[]) WITH ORDINALITY AS deal (company_id, stage, place)
             GROUP BY company_id, stage
         ), first_used AS (
             SELECT company_id, stage, place FROM used
             WHERE CASE WHEN EXISTS (SELECT FROM deal_stages k
                                     WHERE k.company_id = used.company_id AND k.stage = used.stage OFFSET 0)
                   THEN false
                   ELSE (SELECT count(*) FROM deal_stages k WHERE k.company_id = used.company_id) < $18 END
             ORDER BY place
         ), numbered AS MATERIALIZED (
             SELECT company_id, stage, nextval('deal_stages_number') AS number FROM first_used
         ), remembered AS (
             INSERT INTO deal_stages (company_id, stage, number)
             SELECT company_id, stage, number FROM numbered ORDER BY company_id, stage
             ON CONFLICT DO NOTHING
         )
         INSERT INTO deals (company_id, id, title, description, value, currency, stage, priority, probability, status,
                            expected_close_date, actual_close_date, source, contact_id, assigned_to_id,
                            created_at, updated_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::numeric[], $6::text[], $7::text[],
                              $8::text[], $9::smallint[], $10::text[], $11::timestamptz[], $12::timestamptz[],
                              $13::text[], $14::uuid[], $15::uuid[], $16::timestamptz[], $17::timestamptz[])
         ON CONFLICT (company_id, id) DO UPDATE SET
             title = excluded.title, description = excluded.description, value = excluded.value,
             currency = excluded.currency, stage = excluded.stage, priority = excluded.priority,
             probability = excluded.probability, status = excluded.status,
             expected_close_date = excluded.expected_close_date, actual_close_date = excluded.actual_close_date,
             source = excluded.source, contact_id = excluded.contact_id, assigned_to_id = excluded.assigned_to_id,
             updated_at = excluded.updated_at",
        &companies,
        &column(rows, |deal| deal.id.0),
        &column(rows, |deal| deal.title.clone()),
        &column(rows, |deal| deal.description.clone()) as &[Option<String>],
        &column(rows, |deal| deal.value.map(Money::decimal)) as &[Option<Decimal>],
        &column(rows, |deal| deal.currency.clone()),
        &column(rows, |deal| deal.stage.clone()),
        &column(rows, |deal| deal.priority.word().to_owned()),
        &column(rows, |deal| deal.probability) as &[Option<i16>],
        &column(rows, |deal| deal.status.word().to_owned()),
        &column(rows, |deal| deal.expected_close_date) as &[Option<DateTime<Utc>>],
        &column(rows, |deal| deal.actual_close_date) as &[Option<DateTime<Utc>>],
        &column(rows, |deal| deal.source.clone()) as &[Option<String>],
        &contact_ids as &[Option<Uuid>],
        &column(rows, |deal| deal.assigned_to.as_ref().map(|member| member.id.0)) as &[Option<Uuid>],
        &column(rows, |deal| deal.created_at),
        &column(rows, |deal| deal.updated_at),
        MAX_REMEMBERED_STAGES,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The newest deals besides those already known, as JSON.
pub async fn newest(
    pool: &PgPool,
    company: CompanyId,
    since: Option<DateTime<Utc>>,
    known: &[Uuid],
    limit: i64,
) -> Result<Vec<(Uuid, Box<RawValue>)>, ApiError> {
    let rows = select!(
        pool,
        joined "WHERE d.company_id = $1 AND ($2::timestamptz IS NULL OR d.created_at >= $2) AND d.id <> ALL ($3)
                ORDER BY d.created_at DESC, d.id DESC LIMIT $4",
        company.0,
        since,
        known,
        limit,
    )?;
    rows.into_iter()
        .map(|row| {
            let deal = row.decode()?;
            Ok((deal.id.0, to_raw_value(&deal).map_err(|error| ApiError::internal(&error))?))
        })
        .collect()
}
