//! isao: a self-hosted CRM event server.

pub mod address;
pub mod admin;
pub mod api_key;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod database;
pub mod db;
pub mod duration;
pub mod embedded;
pub mod events;
pub mod housekeeping;
pub mod http;
pub mod ids;
pub mod permission;
pub mod random;
pub mod records;
pub mod resources;
pub mod router;
pub mod serve;
pub mod webhooks;
pub mod writer;
