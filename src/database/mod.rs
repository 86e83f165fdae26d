//! The database: which one ([`source`]) and how it is reached ([`postgres`]).

pub mod postgres;
pub mod source;
