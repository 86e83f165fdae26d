//! The words for how urgent a deal is and how it stands.

use crate::model::words::words;

words! {
    /// How urgent a deal is.
    pub enum Priority {
        /// Can wait.
        Low = "low",
        /// The default.
        Medium = "medium",
        /// Comes first.
        High = "high",
    }
}

words! {
    /// Whether a deal is open, won or lost.
    pub enum Status {
        /// Still going on.
        Open = "open",
        /// Closed with success.
        Won = "won",
        /// Closed without.
        Lost = "lost",
    }
}
