//! The integration tests, one binary.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "tests may, and clippy does not take their helpers for tests"
)]

mod delivery;
mod embedded;
mod lifecycle;
mod lost_commit;
mod outage;
mod support;
mod writer;
