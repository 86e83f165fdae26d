//! A wall clock that does not follow every jump.
//!
//! Somebody sets the clock of a machine forty days ahead and, a minute later, back. What the log got
//! in that minute would be forty days in the future, and everything after it, too, since time never
//! runs backwards along the log. So a jump is believed when it has lasted for a while; until then,
//! time goes on as it did.

use std::sync::atomic::{AtomicI64, Ordering};

/// Milliseconds that a clock may step without being doubted: corrections, and what a time service
/// does to a machine that has just started.
const STEP: i64 = 60 * 60 * 1000;
/// Milliseconds for which a jump is doubted.
const DOUBTED: i64 = 10 * 60 * 1000;
/// Nothing yet.
const NONE: i64 = i64::MIN;

/// What is known of the clock.
pub(super) struct Steady {
    /// The wall clock when the machine started, in milliseconds.
    started: AtomicI64,
    /// Since when it is elsewhere, in milliseconds since the machine started.
    doubted: AtomicI64,
}

impl Steady {
    pub(super) const fn new() -> Self {
        Self { started: AtomicI64::new(NONE), doubted: AtomicI64::new(NONE) }
    }

    /// The time in milliseconds, when the wall clock says `wall` and the machine has been running for
    /// `running`. Two that ask at the same time may both be told of a jump.
    pub(super) fn time(&self, wall: i64, running: i64) -> i64 {
        let (known, is) = (self.started.load(Ordering::Relaxed), wall - running);
        let jump = is.saturating_sub(known);
        let since = self.doubted.load(Ordering::Relaxed);
        let believed = match since {
            _ if known == NONE || jump.abs() <= STEP => true,
            NONE => {
                tracing::warn!(
                    ms = jump,
                    "the clock of this machine has jumped; it is believed when that lasts"
                );
                self.doubted.store(running, Ordering::Relaxed);
                false
            }
            since => running - since >= DOUBTED,
        };
        if !believed {
            return known + running;
        }
        if jump != 0 {
            self.started.store(is, Ordering::Relaxed);
        }
        if since != NONE {
            self.doubted.store(NONE, Ordering::Relaxed);
        }
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = STEP;
    const MINUTE: i64 = HOUR / 60;

    #[test]
    fn a_jump_is_believed_when_it_lasts() {
        let steady = Steady::new();
        let began = 1_000_000 * HOUR;
        let time = |running: i64, ahead: i64| steady.time(began + running + ahead, running) - began;
        assert_eq!(time(5, 0), 5);
        assert_eq!(time(HOUR, MINUTE), HOUR + MINUTE, "a correction");
        for days in [40, -40] {
            for minute in 0..10 {
                let running = 2 * HOUR + minute * MINUTE;
                assert_eq!(time(running, days * 24 * HOUR), running + MINUTE, "as if nothing had happened");
            }
            let back = 3 * HOUR;
            assert_eq!(time(back, MINUTE), back + MINUTE);
        }
        // A new doubt begins from its own beginning.
        let (first, last) = (4 * HOUR, 4 * HOUR + 10 * MINUTE);
        assert_eq!(time(first, 48 * HOUR), first + MINUTE);
        assert_eq!(time(last, 48 * HOUR), last + 48 * HOUR);
        assert_eq!(time(last + 1, 48 * HOUR), last + 1 + 48 * HOUR);
    }
}
