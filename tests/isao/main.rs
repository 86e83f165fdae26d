//! The integration tests, one binary.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests may, and clippy does not take their helpers for tests"
)]

mod bad_input;
mod catalogue;
mod choices;
mod connections;
mod contacts;
mod contention;
mod crash;
mod dashboard;
mod deals;
mod deliveries;
mod delivery;
mod embedded;
mod endpoint;
mod errors;
mod event_types;
mod events;
mod fast_path;
mod feed;
mod fields;
mod guards;
mod health;
mod history;
mod idempotency;
mod import;
mod include;
mod input;
mod isolation;
mod keys;
mod lifecycle;
mod listen;
mod lists;
mod lost_commit;
mod metrics;
mod openapi;
mod operator;
mod ordering;
mod outage;
mod pooler;
mod records;
mod reference;
mod replay;
mod replicas;
mod retention;
mod rooms;
mod secrets;
mod several_events;

mod slow;
mod subscribe_again;
mod subscriptions;
mod support;
mod targets;
mod trials;
mod triggers;
mod writer;
