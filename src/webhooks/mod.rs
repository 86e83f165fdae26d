//! Webhooks: every event, signed, to every subscriber, in order.

pub mod retry;
pub mod signature;
