//! Writing records beyond one at a time: conditions on what others changed, upserts, and batches.

mod batch;
mod conditions;
mod upsert;
