//! The running server: its parts put together, and how to run it.

mod app;
pub mod config;
mod deliver;
mod document;
mod listen;
pub mod open_files;
mod role;
pub mod router;
pub mod serve;
pub mod threads;

pub use app::{Server, Settings, StartError};
pub use role::Role;
mod webhooks;
