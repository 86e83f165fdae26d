//! The database: which one ([`source`]) and how it is reached ([`postgres`]).

mod config;
pub mod postgres;
mod reads;
pub mod source;

pub use config::{DatabaseConfig, DatabaseSource};
pub use reads::{Reads, TooManyReads};
