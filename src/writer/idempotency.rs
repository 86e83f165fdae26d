//! `Idempotency-Key`: the same key and request replays the first answer for 24 hours.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::{Answer, WriteError};
use crate::model::etag::ETag;
use crate::model::ids::CompanyId;
use crate::retention::IDEMPOTENCY_KEYS_KEPT;

/// A key as the caller sent it, with the fingerprint of its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// 1–255 printable ASCII characters.
    key: String,
    /// SHA-256 of method, path and body.
    request: [u8; 32],
}

impl IdempotencyKey {
    /// Longest key, in characters.
    pub const MAX_LEN: usize = 255;

    /// A key for this request; `None` when the key is empty, too long or not printable ASCII.
    pub fn new(key: &str, method: &str, path: &str, body: &[u8]) -> Option<Self> {
        let well_formed =
            (1..=Self::MAX_LEN).contains(&key.len()) && key.bytes().all(|b| (0x20..0x7f).contains(&b));
        well_formed.then(|| {
            let mut hash = Sha256::new();
            // NUL occurs in neither method nor path, so the three cannot run together.
            for part in [method.as_bytes(), b"\0", path.as_bytes(), b"\0", body] {
                hash.update(part);
            }
            Self { key: key.to_owned(), request: hash.finalize().into() }
        })
    }
}

/// The answers a batch may have to replay, and those it adds.
#[derive(Default)]
pub(super) struct Answers {
    known: HashMap<(CompanyId, String), ([u8; 32], Answer)>,
    new: Vec<(CompanyId, String)>,
}

/// What is known about a key.
pub(super) enum KeyLookup {
    /// Nothing: go on.
    No,
    /// The same request was answered.
    Answered(Answer),
    /// Another request was answered.
    OtherRequest,
}

/// The answer that the request with this key has had, if there was one.
///
/// # Errors
/// When the database does not answer.
pub async fn answered(
    pool: &PgPool,
    company: CompanyId,
    key: &IdempotencyKey,
    now: DateTime<Utc>,
) -> Result<Option<Result<Answer, WriteError>>, sqlx::Error> {
    let answers = Answers::load(&mut *pool.acquire().await?, &[(company, key)], now).await?;
    Ok(match answers.find(company, key) {
        KeyLookup::No => None,
        KeyLookup::Answered(answer) => Some(Ok(answer)),
        KeyLookup::OtherRequest => Some(Err(WriteError::KeyReused)),
    })
}

impl Answers {
    pub(super) async fn load(
        connection: &mut PgConnection,
        keys: &[(CompanyId, &IdempotencyKey)],
        now: DateTime<Utc>,
    ) -> Result<Self, sqlx::Error> {
        let mut answers = Self::default();
        if keys.is_empty() {
            return Ok(answers);
        }
        let companies: Vec<Uuid> = keys.iter().map(|(company, _)| company.0).collect();
        let names: Vec<String> = keys.iter().map(|(_, key)| key.key.clone()).collect();
        let rows = sqlx::query!(
            "SELECT i.company_id, i.key, i.request, i.status, i.answer, i.etag
             FROM unnest($1::uuid[], $2::text[]) AS wanted (company_id, key)
             CROSS JOIN LATERAL (
                 SELECT * FROM idempotency_keys t
                 WHERE t.company_id = wanted.company_id AND t.key = wanted.key AND t.created_at > $3 LIMIT 1
             ) i",
            &companies,
            &names,
            now - IDEMPOTENCY_KEYS_KEPT,
        )
        .fetch_all(connection)
        .await?;
        for row in rows {
            let request = <[u8; 32]>::try_from(row.request).unwrap_or_default();
            let etag = row.etag.map(ETag::stored);
            let answer = Answer { status: row.status.unsigned_abs(), body: row.answer, etag, replayed: true };
            answers.known.insert((CompanyId(row.company_id), row.key), (request, answer));
        }
        Ok(answers)
    }

    pub(super) fn find(&self, company: CompanyId, key: &IdempotencyKey) -> KeyLookup {
        match self.known.get(&(company, key.key.clone())) {
            None => KeyLookup::No,
            Some((request, answer)) if *request == key.request => KeyLookup::Answered(answer.clone()),
            Some(_) => KeyLookup::OtherRequest,
        }
    }

    /// Keeps an answer; faults of ours and rate limits are not kept.
    pub(super) fn keep(&mut self, company: CompanyId, key: &IdempotencyKey, answer: &Answer) {
        if answer.status < 500 && answer.status != 429 {
            let id = (company, key.key.clone());
            self.known.insert(id.clone(), (key.request, Answer { replayed: true, ..answer.clone() }));
            self.new.push(id);
        }
    }

    /// Writes the new answers, sorted like every other lock. Returns whether there were any.
    pub(super) async fn store(
        mut self,
        connection: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<bool, sqlx::Error> {
        if self.new.is_empty() {
            return Ok(false);
        }
        self.new.sort();
        let (mut companies, mut keys, mut requests, mut statuses, mut answers, mut etags) =
            (vec![], vec![], vec![], vec![], vec![], vec![]);
        for (company, key) in self.new {
            let Some((request, answer)) = self.known.remove(&(company, key.clone())) else { continue };
            companies.push(company.0);
            keys.push(key);
            requests.push(request.to_vec());
            statuses.push(i16::try_from(answer.status).unwrap_or_default());
            answers.push(answer.body);
            etags.push(answer.etag.map(|etag| etag.as_str().to_owned()));
        }
        // A row that is over its age but not purged yet gives way; a fresh one is a
        // concurrent twin of another process: the unique violation reruns the batch.
        sqlx::query!(
            "DELETE FROM idempotency_keys i
             USING unnest($1::uuid[], $2::text[]) AS new (company_id, key)
             WHERE i.company_id = new.company_id AND i.key = new.key AND i.created_at <= $3",
            &companies,
            &keys,
            now - IDEMPOTENCY_KEYS_KEPT,
        )
        .execute(&mut *connection)
        .await?;
        sqlx::query!(
            "INSERT INTO idempotency_keys (company_id, key, request, status, answer, etag, created_at)
             SELECT *, $7::timestamptz
             FROM unnest($1::uuid[], $2::text[], $3::bytea[], $4::smallint[], $5::text[], $6::text[])",
            &companies,
            &keys,
            &requests,
            &statuses,
            &answers,
            &etags as &[Option<String>],
            now,
        )
        .execute(connection)
        .await?;
        Ok(true)
    }
}
