//! Rows packed for one request.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::columns::Columns;
use super::error::Error;
use super::table::{Row, Table};

/// Records of a batch. A company has 512 places in the server's queue of writes, and each record takes one
/// until it is written: two such batches leave others of the company room to write.
const MAX_RECORDS: usize = 200;
/// Bytes of records after which a batch is closed: with one record more it still fits into a request, which
/// may have 1 MiB.
const FULL_AT: usize = 512 * 1024;
/// Bytes of one record. One with every field at its limit has less.
const MAX_RECORD: usize = 256 * 1024;
/// Rows of a batch with those that are refused here, so that a file of bad rows is settled now and then, too.
const MAX_ROWS: usize = 1_000;

/// Some rows that follow each other. The same file makes the same batches.
#[derive(Debug)]
pub struct Batch {
    pub rows: Vec<Packed>,
    /// The body of the request, and what tells it from any other.
    pub body: Bytes,
    /// Records in the body.
    pub records: usize,
    /// Rows of the file before it.
    pub begin: u64,
    pub end: End,
}

/// A row, and why it is not sent.
#[derive(Debug)]
pub struct Packed {
    pub row: Row,
    pub refused: Option<String>,
}

/// Where a batch ends.
#[derive(Clone, Debug)]
pub struct End {
    pub rows: u64,
    pub bytes: u64,
    pub digest: String,
}

impl Batch {
    /// Packs the rows that come next; nothing at the end of the file.
    pub fn next(table: &mut Table, columns: &Columns) -> Result<Option<Self>, Error> {
        let begin = table.rows;
        let mut rows = Vec::new();
        let mut body = r#"{"records":["#.to_owned();
        let mut records = 0;
        while records < MAX_RECORDS && body.len() < FULL_AT && rows.len() < MAX_ROWS {
            let Some(row) = table.next()? else { break };
            let refused = match columns.record(&row.cells) {
                Ok(None) => continue,
                Ok(Some(record)) if record.len() > MAX_RECORD => Some("is too long".to_owned()),
                Ok(Some(record)) => {
                    if records > 0 {
                        body.push(',');
                    }
                    body.push_str(&record);
                    records += 1;
                    None
                }
                Err(why) => Some(why),
            };
            rows.push(Packed { row, refused });
        }
        if table.rows == begin {
            return Ok(None);
        }
        body.push_str("]}");
        let end = End { rows: table.rows, bytes: table.bytes(), digest: table.digest() };
        Ok(Some(Self { rows, body: body.into(), records, begin, end }))
    }

    /// The Idempotency-Key of the request: the same for the same content at the same place, in runs with the
    /// same salt.
    pub fn idempotency_key(&self, salt: &str) -> String {
        let mut digest = Sha256::new();
        digest.update(format!("isao import\n{salt}\n{}\n", self.begin));
        digest.update(&self.body);
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
