//! Webhooks: every event, signed, to every subscriber, in order.

pub mod client;
pub mod retry;
pub mod signature;
