//! isao: a self-hosted CRM event server.

pub mod clock;
pub mod embedded;
pub mod ids;
