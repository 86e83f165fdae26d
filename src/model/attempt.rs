//! What is said of an attempt to deliver an event.

use super::words::words;

words! {
    /// What became of an attempt.
    pub enum AttemptOutcome {
        /// The receiver has the event.
        Delivered = "delivered",
        /// The receiver does not have it, and another attempt follows.
        Failed = "failed",
        /// The receiver does not have it, and no other attempt follows.
        Undelivered = "undelivered",
    }
}

words! {
    /// Why an attempt was made.
    pub enum AttemptCause {
        /// It was the event's turn.
        Live = "live",
        /// Somebody wanted the event again.
        Replay = "replay",
    }
}
