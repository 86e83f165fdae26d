//! Contacts in the database.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::value::{RawValue, to_raw_value};
use sqlx::types::Json;
use sqlx::{PgConnection, PgPool};

use uuid::Uuid;

use super::{Command, Contacts, candidates};
use crate::http::error::ApiError;
use crate::log::{Entries, Numbers, appending};
use crate::model::ids::{CompanyId, ContactId};
use crate::model::records::Contact;
use crate::resources::table::{Key, Table, arrays, hold_rest};
use crate::resources::{Command as AnyCommand, contacts::input::phone_key};

/// A row of `contacts`.
pub(super) struct Row {
    pub(super) company_id: Uuid,
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) first_name: Option<String>,
    pub(super) last_name: Option<String>,
    pub(super) phone_number: String,
    pub(super) email: Option<String>,
    pub(super) position: Option<String>,
    pub(super) current_company: Option<String>,
    pub(super) industry_sector: Option<String>,
    pub(super) city: Option<String>,
    pub(super) country: Option<String>,
    pub(super) tags: Json<Vec<String>>,
    pub(super) created_at: DateTime<Utc>,
    pub(super) updated_at: DateTime<Utc>,
}

impl Row {
    pub(super) fn decode(self) -> (Key, Contact) {
        let contact = Contact {
            id: ContactId(self.id),
            name: self.name,
            first_name: self.first_name,
            last_name: self.last_name,
            phone_number: self.phone_number,
            email: self.email,
            position: self.position,
            current_company: self.current_company,
            industry_sector: self.industry_sector,
            city: self.city,
            country: self.country,
            tags: self.tags.0,
            created_at: self.created_at,
            updated_at: self.updated_at,
        };
        ((CompanyId(self.company_id), self.id), contact)
    }
}

/// Selects contacts, from what `$rest` calls `c`, each with its key.
///
/// A macro because `query_as!` wants the text spelt out.
macro_rules! select {
    ($executor:expr, $($rest:literal)+, $($parameter:expr),+ $(,)?) => {
        sqlx::query_as!(
            $crate::resources::contacts::store::Row,
            r#"SELECT c.company_id, c.id, c.name, c.first_name, c.last_name, c.phone_number, c.email, c.position,
                      c.current_company, c.industry_sector, c.city, c.country, c.tags AS "tags: _",
                      c.created_at, c.updated_at FROM "# $(+ $rest)+,
            $($parameter),+
        )
        .fetch_all($executor)
        .await
        .map(|rows| rows.into_iter().map($crate::resources::contacts::store::Row::decode).collect::<Vec<_>>())
    };
}
pub(super) use select;

/// Locks and loads contacts; those that are locked already are held. A macro because
/// `query!` wants the strength of the lock spelt out.
macro_rules! lock {
    ($contacts:expr, $connection:expr, $keys:expr, $strength:literal) => {{
        let (companies, ids) = arrays($keys.clone());
        let contacts = select!(
            &mut *$connection,
            "unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id)
             CROSS JOIN LATERAL (
                 SELECT * FROM contacts t WHERE t.company_id = wanted.company_id AND t.id = wanted.id " $strength
                " SKIP LOCKED
             ) c",
            &companies,
            &ids,
        )?;
        for (key, contact) in contacts {
            $contacts.loaded(key, contact);
        }
        hold_rest!($contacts, $connection, $keys, "contacts");
    }};
}

/// One contact.
pub async fn find(pool: &PgPool, company: CompanyId, id: ContactId) -> Result<Option<Contact>, sqlx::Error> {
    let found = select!(pool, "contacts c WHERE c.company_id = $1 AND c.id = $2", company.0, id.0)?;
    Ok(found.into_iter().next().map(|(_, contact)| contact))
}

/// Locks and loads the contacts that commands change, and looks up who has the
/// phone numbers they want.
///
/// Who deletes a contact or may give it another number locks it against everybody.
/// Other changes leave its keys alone, and whoever writes a deal of it need not wait.
pub async fn load(
    contacts: &mut Contacts,
    connection: &mut PgConnection,
    commands: &[(CompanyId, &AnyCommand)],
) -> Result<(), sqlx::Error> {
    let (mut touched, mut rekeyed) = (Vec::new(), Vec::new());
    let (mut companies, mut phones) = (Vec::new(), Vec::new());
    let mut upserts = Vec::new();
    for (company, command) in commands {
        let AnyCommand::Contact(command) = command else { continue };
        let phone = match command {
            Command::Create(_, new) => Some(&new.phone),
            Command::Update(_, changes) => changes.phone.as_ref(),
            Command::Upsert(_, upsert) => upsert.changes.phone.as_ref(),
            Command::Delete(_) => None,
        };
        match command {
            Command::Update(id, changes) if changes.phone.is_none() => touched.push((*company, id.0)),
            Command::Update(id, _) | Command::Delete(id) => rekeyed.push((*company, id.0)),
            Command::Upsert(_, upsert) => upserts.push((*company, &**upsert)),
            Command::Create(..) => {}
        }
        if let Some(phone) = phone {
            companies.push(company.0);
            phones.push(phone.key().to_owned());
        }
    }
    if !upserts.is_empty() {
        let found = candidates::load(contacts, connection, &upserts).await?;
        let keys =
            if upserts.iter().any(|(_, upsert)| upsert.may_renumber()) { &mut rekeyed } else { &mut touched };
        keys.extend(found);
    }
    let strongly: HashSet<Key> = rekeyed.iter().copied().collect();
    touched.retain(|key| !strongly.contains(key));
    if !rekeyed.is_empty() {
        lock!(contacts.rows, connection, rekeyed, "FOR UPDATE");
    }
    if !touched.is_empty() {
        lock!(contacts.rows, connection, touched, "FOR NO KEY UPDATE");
    }
    if !phones.is_empty() {
        let rows = sqlx::query!(
            "SELECT c.company_id, c.phone_key, c.id
             FROM unnest($1::uuid[], $2::text[]) AS wanted (company_id, phone_key)
             CROSS JOIN LATERAL (
                 SELECT company_id, phone_key, id FROM contacts t
                 WHERE t.company_id = wanted.company_id AND t.phone_key = wanted.phone_key LIMIT 1
             ) c",
            &companies,
            &phones,
        )
        .fetch_all(connection)
        .await?;
        let owners =
            rows.into_iter().map(|row| ((CompanyId(row.company_id), row.phone_key), ContactId(row.id)));
        contacts.phones.extend(owners);
    }
    Ok(())
}

/// Writes what changed. Returns whether anything did.
pub async fn store(contacts: &Contacts, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (changed, deleted) = contacts.rows.changes();
    if changed.is_empty() && deleted.is_empty() {
        return Ok(false);
    }
    if !deleted.is_empty() {
        let (companies, ids) = arrays(deleted);
        sqlx::query!(
            "DELETE FROM contacts c USING unnest($1::uuid[], $2::uuid[]) AS gone (company_id, id)
             WHERE c.company_id = gone.company_id AND c.id = gone.id",
            &companies,
            &ids,
        )
        .execute(&mut *connection)
        .await?;
    }
    renumber(contacts, &changed, connection).await?;
    if !changed.is_empty() {
        upsert(&in_order_of_numbers(changed), connection).await?;
    }
    Ok(true)
}

/// Gives contacts their new numbers, before somebody else takes the old ones.
async fn renumber(
    contacts: &Contacts,
    changed: &[(Key, &Contact)],
    connection: &mut PgConnection,
) -> Result<(), sqlx::Error> {
    let (mut companies, mut ids, mut phones) = (Vec::new(), Vec::new(), Vec::new());
    for (key, contact) in changed.iter().filter(|(key, _)| contacts.renumbered.contains(key)) {
        companies.push(key.0.0);
        ids.push(key.1);
        phones.push(phone_key(&contact.phone_number));
    }
    if !ids.is_empty() {
        sqlx::query!(
            "UPDATE contacts c SET phone_key = new.phone_key
             FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS new (company_id, id, phone_key)
             WHERE c.company_id = new.company_id AND c.id = new.id",
            &companies,
            &ids,
            &phones,
        )
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Two processes that insert the same numbers must not wait for each other in a circle.
fn in_order_of_numbers(mut rows: Vec<(Key, &Contact)>) -> Vec<(Key, &Contact)> {
    rows.sort_by_cached_key(|((company, _), contact)| (*company, phone_key(&contact.phone_number)));
    rows
}

/// A statement whose last parameters are the columns of these rows. A macro because `query!`
/// wants them spelt out.
macro_rules! with_columns {
    ($rows:expr, $($statement:ident)::+!($($first:tt)+)) => {
        $($statement)::+!(
            $($first)+,
            &$rows.iter().map(|((company, _), _)| company.0).collect::<Vec<_>>(),
            &column($rows, |contact| contact.id.0),
            &column($rows, |contact| contact.name.clone()),
            &column($rows, |contact| contact.first_name.clone()) as &[Option<String>],
            &column($rows, |contact| contact.last_name.clone()) as &[Option<String>],
            &column($rows, |contact| contact.phone_number.clone()),
            &column($rows, |contact| phone_key(&contact.phone_number)),
            &column($rows, |contact| contact.email.clone()) as &[Option<String>],
            &column($rows, |contact| contact.position.clone()) as &[Option<String>],
            &column($rows, |contact| contact.current_company.clone()) as &[Option<String>],
            &column($rows, |contact| contact.industry_sector.clone()) as &[Option<String>],
            &column($rows, |contact| contact.city.clone()) as &[Option<String>],
            &column($rows, |contact| contact.country.clone()) as &[Option<String>],
            &column($rows, |contact| Json(contact.tags.clone())) as &[Json<Vec<String>>],
            &column($rows, |contact| contact.created_at),
            &column($rows, |contact| contact.updated_at),
        )
    };
}

fn column<T>(rows: &[(Key, &Contact)], value: impl Fn(&Contact) -> T) -> Vec<T> {
    rows.iter().map(|(_, contact)| value(contact)).collect()
}

/// Without the key of those that there are: setting it, even to what it is, would lock
/// the contact against every deal that is being written.
async fn upsert(rows: &[(Key, &Contact)], connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    with_columns!(
        rows,
        sqlx::query!(
            "INSERT INTO contacts (company_id, id, name, first_name, last_name, phone_number, phone_key, email, position,
                                   current_company, industry_sector, city, country, tags, created_at, updated_at)
             SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                                  $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::jsonb[],
                                  $15::timestamptz[], $16::timestamptz[])
             ON CONFLICT (company_id, id) DO UPDATE SET
                 name = excluded.name, first_name = excluded.first_name, last_name = excluded.last_name,
                 phone_number = excluded.phone_number, email = excluded.email,
                 position = excluded.position, current_company = excluded.current_company,
                 industry_sector = excluded.industry_sector, city = excluded.city, country = excluded.country,
                 tags = excluded.tags, updated_at = excluded.updated_at"
        )
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Are all of them to make new contacts? Then nothing has to be loaded: if a number is taken,
/// storing fails.
pub fn are_new(commands: &[(CompanyId, &AnyCommand)]) -> bool {
    commands.iter().all(|(_, command)| matches!(command, AnyCommand::Contact(Command::Create(..))))
}

/// Writes contacts that are all new and appends to the log, in one statement.
pub async fn insert_and_append(
    contacts: &Contacts,
    connection: &mut PgConnection,
    entries: &Entries,
) -> Result<Numbers, sqlx::Error> {
    let rows = &in_order_of_numbers(contacts.rows.changes().0)[..];
    let head = with_columns!(
        rows,
        appending!(
            connection,
            entries,
            "INSERT INTO contacts (company_id, id, name, first_name, last_name, phone_number, phone_key, email, position,
                                   current_company, industry_sector, city, country, tags, created_at, updated_at)
             SELECT * FROM unnest($13::uuid[], $14::uuid[], $15::text[], $16::text[], $17::text[], $18::text[], $19::text[],
                                  $20::text[], $21::text[], $22::text[], $23::text[], $24::text[], $25::text[], $26::jsonb[],
                                  $27::timestamptz[], $28::timestamptz[])
             RETURNING id"
        )
    );
    head?.ok_or(sqlx::Error::RowNotFound)
}

/// Loads contacts that are about to be referred to, and sees to it that they stay.
pub async fn share(
    contacts: &mut Table<Contact>,
    connection: &mut PgConnection,
    keys: Vec<Key>,
) -> Result<(), sqlx::Error> {
    lock!(contacts, connection, keys, "FOR KEY SHARE");
    Ok(())
}

/// Contacts by id, as they are now.
pub async fn find_many(
    connection: &mut PgConnection,
    keys: Vec<Key>,
) -> Result<HashMap<Key, Contact>, sqlx::Error> {
    let (companies, ids) = arrays(keys);
    let contacts = select!(
        connection,
        "unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id)
         CROSS JOIN LATERAL (
             SELECT * FROM contacts t WHERE t.company_id = wanted.company_id AND t.id = wanted.id LIMIT 1
         ) c",
        &companies,
        &ids,
    )?;
    Ok(contacts.into_iter().collect())
}

/// The newest contacts besides those already known, as JSON.
pub async fn newest(
    pool: &PgPool,
    company: CompanyId,
    since: Option<DateTime<Utc>>,
    known: &[Uuid],
    limit: i64,
) -> Result<Vec<(Uuid, Box<RawValue>)>, ApiError> {
    let contacts = select!(
        pool,
        "contacts c
         WHERE c.company_id = $1 AND ($2::timestamptz IS NULL OR c.created_at >= $2) AND c.id <> ALL ($3)
         ORDER BY c.created_at DESC, c.id DESC LIMIT $4",
        company.0,
        since,
        known,
        limit,
    )?;
    contacts
        .into_iter()
        .map(|((_, id), contact)| {
            Ok((id, to_raw_value(&contact).map_err(|error| ApiError::internal(&error))?))
        })
        .collect()
}
