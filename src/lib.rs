//! isao: a self-hosted CRM event server.

pub mod api_key;
pub mod clock;
pub mod db;
pub mod events;
pub mod http;
pub mod ids;
pub mod permission;
pub mod records;
pub mod resources;
pub mod writer;
