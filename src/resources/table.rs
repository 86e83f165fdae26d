//! The rows that a batch touches: as loaded, then as changed.

use std::collections::HashMap;

use uuid::Uuid;

use crate::model::ids::CompanyId;

/// Company and id of a row.
pub type Key = (CompanyId, Uuid);

/// Rows of one table.
pub struct Table<R>(HashMap<Key, Slot<R>>);

enum Slot<R> {
    /// Another process has it locked.
    Held,
    Loaded(R),
    Changed(R),
    Deleted,
}

/// A row is locked by another process; the command must wait.
#[derive(Debug)]
pub struct RowHeld;

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<R> Table<R> {
    /// Notes a row as it is in the database.
    pub fn loaded(&mut self, key: Key, row: R) {
        self.0.insert(key, Slot::Loaded(row));
    }

    /// Notes that a row exists, but is locked by another process.
    pub fn held(&mut self, key: Key) {
        self.0.entry(key).or_insert(Slot::Held);
    }

    /// The row as of now, or none.
    pub fn get(&self, key: Key) -> Result<Option<&R>, RowHeld> {
        match self.0.get(&key) {
            Some(Slot::Held) => Err(RowHeld),
            _ => Ok(self.seen(key).flatten()),
        }
    }

    /// What this batch knows of the row: `Some(None)` if the batch deleted it, `None`
    /// if it knows nothing, so that the database's word holds.
    pub fn seen(&self, key: Key) -> Option<Option<&R>> {
        match self.0.get(&key)? {
            Slot::Loaded(row) | Slot::Changed(row) => Some(Some(row)),
            Slot::Deleted => Some(None),
            Slot::Held => None,
        }
    }

    /// Creates or changes a row.
    pub fn put(&mut self, key: Key, row: R) {
        self.0.insert(key, Slot::Changed(row));
    }

    /// Deletes a row.
    pub fn delete(&mut self, key: Key) {
        self.0.insert(key, Slot::Deleted);
    }

    /// Every row of a company that is known, as of now.
    pub fn of(&self, company: CompanyId) -> impl Iterator<Item = &R> {
        self.0.iter().filter_map(move |(key, slot)| match slot {
            Slot::Loaded(row) | Slot::Changed(row) if key.0 == company => Some(row),
            _ => None,
        })
    }

    /// Everything that was changed and the keys of what was deleted, each sorted by
    /// key: locks are taken in one order everywhere.
    pub fn changes(&self) -> (Vec<(Key, &R)>, Vec<Key>) {
        let (mut changed, mut deleted) = (Vec::new(), Vec::new());
        for (key, slot) in &self.0 {
            match slot {
                Slot::Changed(row) => changed.push((*key, row)),
                Slot::Deleted => deleted.push(*key),
                Slot::Loaded(_) | Slot::Held => {}
            }
        }
        changed.sort_by_key(|(key, _)| *key);
        deleted.sort();
        (changed, deleted)
    }
}

/// Companies and ids as two arrays, sorted and without repeats, for `unnest`.
///
/// What is looked up for each of them is looked up in a `LATERAL` subquery that
/// cannot become a join: a join that was planned while the table was small reads
/// the whole table, and goes on so when it has grown.
pub fn arrays(mut keys: Vec<Key>) -> (Vec<Uuid>, Vec<Uuid>) {
    keys.sort();
    keys.dedup();
    keys.into_iter().map(|(company, id)| (company.0, id)).unzip()
}

/// Notes as held those of the keys that `SKIP LOCKED` did not bring,
/// although they exist: another process has them locked. A macro because `query!`
/// wants the table spelt out.
macro_rules! hold_rest {
    ($rows:expr, $connection:expr, $keys:expr, $table:literal) => {{
        let rest: Vec<Key> = $keys.into_iter().filter(|key| $rows.seen(*key).is_none()).collect();
        if !rest.is_empty() {
            let (companies, ids) = arrays(rest);
            let existing = sqlx::query!(
                "SELECT t.company_id, t.id
                 FROM unnest($1::uuid[], $2::uuid[]) AS wanted (company_id, id)
                 JOIN "
                    + $table
                    + " t USING (company_id, id)",
                &companies,
                &ids,
            )
            .fetch_all(&mut *$connection)
            .await?;
            for row in existing {
                $rows.held((CompanyId(row.company_id), row.id));
            }
        }
    }};
}
pub(super) use hold_rest;
