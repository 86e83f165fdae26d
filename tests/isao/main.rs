//! The integration tests, one binary.
#![expect(clippy::unwrap_used, reason = "tests may, and clippy does not take their helpers for tests")]

mod embedded;
