//! `isao import` and `isao export`: files in and out, over the API of any server.
//!
//! An import reads *rows* of a CSV file. Each row is *skipped* (it is empty), *refused* (here, or by the
//! server, with a reason) or *done*. Rows travel in batches, several in flight, and are settled in the order of
//! the file; after each batch the checkpoint moves. A run that is killed is *resumed* from the checkpoint:
//! what was in flight is sent again with the same Idempotency-Key, so nothing is written twice.
//!
//! `table` reads the file; `columns` says what its columns mean and makes records of rows; `batch` packs
//! them; `remote` asks the server; `checkpoint` is kept; `refusals` are told; `progress` is seen;
//! `import`, `dry_run` and `export` are the commands, and `rows` is what an export writes.

mod batch;
mod checkpoint;
mod columns;
mod dry_run;
mod error;
mod export;
mod fields;
mod import;
mod outcome;
mod progress;
mod refusals;
mod remote;
mod rows;
mod table;

pub use error::Error;
pub use export::Export;
pub use import::Import;
