//! What goes out: where to, what is sent, how it is signed, and the client that sends it.
//!
//! Values and one client: nothing here knows a lane, a cursor or a subscription.

pub mod address;
pub mod client;
pub mod custom_headers;
pub mod dns;
pub mod operator;
pub mod request;
pub mod retry;
pub mod signature;
pub mod targets;
