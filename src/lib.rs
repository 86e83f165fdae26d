//! isao: a self-hosted CRM event server.

pub mod address;
pub mod clock;
pub mod duration;
pub mod ids;
pub mod webhooks;
