//! An import that writes nothing: each row is read by the rules of the server, and what is wrong is told.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Deserialize;

use super::columns::Columns;
use super::error::Error;
use super::fields::Kind;
use super::outcome::reason;
use super::progress::{self, Progress};
use super::refusals::Refusals;
use super::table::Table;
use crate::model::phone::phone_key;
use crate::resources::{contacts, deals};

/// What a dry run found.
#[derive(Debug, Default)]
pub struct Found {
    pub good: u64,
    pub refused: u64,
}

/// The phone numbers of the file: which row has which. A hash each, so that millions fit into memory.
#[derive(Default)]
struct Numbers(HashMap<u64, u64>);

impl Numbers {
    /// The line that had this phone number before.
    fn taken(&mut self, record: &str, line: u64) -> Option<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Number {
            phone_number: String,
        }
        let number: Number = serde_json::from_str(record).ok()?;
        let mut hasher = DefaultHasher::new();
        phone_key(&number.phone_number)?.hash(&mut hasher);
        let first = *self.0.entry(hasher.finish()).or_insert(line);
        (first != line).then_some(first)
    }
}

/// Reads all rows.
pub fn check(
    (kind, upsert): (Kind, bool),
    (table, columns): (&mut Table, &Columns),
    refusals: &mut Refusals,
    progress: &mut Progress,
) -> Result<Found, Error> {
    let mut found = Found::default();
    let mut numbers = Numbers::default();
    while let Some(row) = table.next()? {
        let why = match columns.record(&row.cells) {
            Ok(None) => continue,
            Err(why) => Some(why),
            Ok(Some(record)) => {
                let checked = match (kind, upsert) {
                    (Kind::Contacts, false) => contacts::check_new(&record),
                    (Kind::Contacts, true) => contacts::check_upsert(&record),
                    (Kind::Deals, _) => deals::check_new(&record),
                };
                match checked {
                    Err(error) => Some(reason(&error)),
                    Ok(()) if kind == Kind::Contacts && !upsert => numbers
                        .taken(&record, row.line)
                        .map(|line| format!("phoneNumber is that of line {line}")),
                    Ok(()) => None,
                }
            }
        };
        match why {
            None => found.good += 1,
            Some(why) => {
                found.refused += 1;
                progress.clear();
                refusals.tell(&row, &why)?;
            }
        }
        progress.at(found.good + found.refused, table.size.map(|size| progress::part(table.bytes(), size)));
    }
    refusals.flush()?;
    Ok(found)
}
