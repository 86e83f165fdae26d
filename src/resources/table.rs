//! The rows that a batch touches: as loaded, then as changed.

use std::collections::HashMap;

use uuid::Uuid;

use crate::ids::CompanyId;

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
pub struct Held;

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

    /// Is it known whether and how the row exists?
    pub fn knows(&self, key: Key) -> bool {
        self.0.contains_key(&key)
    }

    /// The row as of now, or none.
    pub fn get(&self, key: Key) -> Result<Option<&R>, Held> {
        match self.0.get(&key) {
            Some(Slot::Loaded(row) | Slot::Changed(row)) => Ok(Some(row)),
            Some(Slot::Held) => Err(Held),
            Some(Slot::Deleted) | None => Ok(None),
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

    /// Everything that was changed and the keys of what was deleted, each sorted by
    /// key: locks are taken in one order everywhere.
    pub fn into_changes(self) -> (Vec<(Key, R)>, Vec<Key>) {
        let (mut changed, mut deleted) = (Vec::new(), Vec::new());
        for (key, slot) in self.0 {
            match slot {
                Slot::Changed(row) => changed.push((key, row)),
                Slot::Deleted => deleted.push(key),
                Slot::Loaded(_) | Slot::Held => {}
            }
        }
        changed.sort_by_key(|(key, _)| *key);
        deleted.sort();
        (changed, deleted)
    }
}

/// Companies and ids as two arrays, sorted and without repeats, for `unnest`.
pub fn arrays(mut keys: Vec<Key>) -> (Vec<Uuid>, Vec<Uuid>) {
    keys.sort();
    keys.dedup();
    keys.into_iter().map(|(company, id)| (company.0, id)).unzip()
}
