//! The database: which one ([`source`]) and how it is reached ([`postgres`]).

mod config;
pub mod postgres;
pub mod source;

pub use config::{DatabaseConfig, DatabaseSource};
