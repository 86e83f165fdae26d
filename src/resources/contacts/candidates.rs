//! The contacts that upserts may match, in the database.

use sqlx::PgConnection;

use super::Contacts;
use super::upsert::{MAX_MATCHES, Upsert};
use crate::model::ids::{CompanyId, ContactId};
use crate::resources::table::Key;

/// The kind of the advisory locks on emails, any number, but always the same: nothing else is locked by
/// two numbers.
const EMAILS: i32 = 20;

/// Looks for the contacts that upserts may match, and notes who may have their emails. Returns the keys
/// of all of them, which are to be locked: only then it is certain that they match.
///
/// The database does not keep two contacts with one email apart, as it does for phone numbers. So
/// whoever matches by an email locks it until the transaction ends; a process that finds it locked waits.
pub(super) async fn load(
    contacts: &mut Contacts,
    connection: &mut PgConnection,
    upserts: &[(CompanyId, &Upsert)],
) -> Result<Vec<Key>, sqlx::Error> {
    let mut emails: Vec<_> =
        upserts.iter().filter_map(|(company, upsert)| Some((*company, upsert.email.clone()?))).collect();
    emails.sort();
    emails.dedup();
    if !emails.is_empty() {
        let (companies, texts): (Vec<_>, Vec<_>) =
            emails.iter().map(|(company, email)| (company.0, email.clone())).unzip();
        let locked = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_xact_lock($3, hashtext(wanted.company_id::text || wanted.email)) AS "locked!"
               FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS wanted (company_id, email, place)
               ORDER BY wanted.place"#,
            &companies,
            &texts,
            EMAILS,
        )
        .fetch_all(&mut *connection)
        .await?;
        let held = emails.iter().zip(locked).filter(|(_, locked)| !locked).map(|(email, _)| email.clone());
        contacts.held_emails.extend(held);
    }
    // Each number and each email once, whoever they stand beside: many records may have one email.
    let mut wanted: Vec<_> = upserts
        .iter()
        .filter_map(|(company, upsert)| Some((*company, Some(upsert.phone.clone()?), None)))
        .chain(emails.iter().map(|(company, email)| (*company, None, Some(email.clone()))))
        .collect();
    wanted.sort();
    wanted.dedup();
    contacts.emails.extend(emails.into_iter().map(|email| (email, Vec::new())));
    let companies: Vec<_> = wanted.iter().map(|(company, ..)| company.0).collect();
    let (phones, emails): (Vec<_>, Vec<_>) =
        wanted.into_iter().map(|(_, phone, email)| (phone, email)).unzip();
    // One more than are named, so that it is known that there are more.
    let most = i64::try_from(MAX_MATCHES + 1).unwrap_or(i64::MAX);
    let found = sqlx::query!(
        r#"SELECT wanted.company_id AS "company!", found.id AS "id!", found.email
           FROM unnest($1::uuid[], $2::text[], $3::text[]) AS wanted (company_id, phone_key, email)
           CROSS JOIN LATERAL (
               (SELECT t.id, NULL::text AS email FROM contacts t
                WHERE t.company_id = wanted.company_id AND t.phone_key = wanted.phone_key LIMIT 1)
               UNION ALL
               (SELECT t.id, wanted.email FROM contacts t
                WHERE t.company_id = wanted.company_id AND t.email IS NOT NULL
                  AND lower(t.email COLLATE "C") = wanted.email
                ORDER BY t.company_id, lower(t.email COLLATE "C"), t.id LIMIT $4)
           ) found"#,
        &companies,
        &phones as &[Option<String>],
        &emails as &[Option<String>],
        most,
    )
    .fetch_all(connection)
    .await?;
    let mut keys = Vec::with_capacity(found.len());
    for row in found {
        let company = CompanyId(row.company);
        keys.push((company, row.id));
        if let Some(email) = row.email
            && let Some(known) = contacts.emails.get_mut(&(company, email))
            && !known.contains(&ContactId(row.id))
        {
            known.push(ContactId(row.id));
        }
    }
    Ok(keys)
}
