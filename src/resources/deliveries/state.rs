//! How a delivery stands, by the attempts made.

use crate::model::attempt::{AttemptCause, AttemptOutcome};
use crate::model::words::words;

words! {
    /// The state of a delivery.
    #[schema(as = DeliveryState)]
    pub(super) enum State {
        /// No attempt was made yet, or the subscription is paused or deactivated and there are attempts left
        /// for when it is resumed.
        Waiting = "waiting",
        /// An attempt failed, and another one follows.
        Retrying = "retrying",
        /// The receiver has the event.
        Delivered = "delivered",
        /// The event was given up after the last attempt.
        Undelivered = "undelivered",
        /// The subscription was resumed without the event.
        Skipped = "skipped",
    }
}

impl State {
    /// By the attempts, newest first: their outcome, and whether each was made in the
    /// course of things (and not because somebody wanted the event again). `passed`:
    /// the subscription is beyond the event. `active`: it is delivered to. None if no attempt was made.
    pub(super) fn of(
        attempts: impl Iterator<Item = (AttemptOutcome, AttemptCause)> + Clone,
        passed: bool,
        active: bool,
    ) -> Option<Self> {
        if attempts.clone().any(|(outcome, _)| outcome == AttemptOutcome::Delivered) {
            return Some(Self::Delivered);
        }
        // What a repetition does not deliver stays as it was.
        let last_live = attempts.clone().find(|(_, cause)| *cause == AttemptCause::Live);
        let (outcome, cause) = last_live.or(attempts.clone().next())?;
        Some(match (outcome, cause) {
            (AttemptOutcome::Undelivered, _) => Self::Undelivered,
            (_, AttemptCause::Live) if passed => Self::Skipped,
            // A replay goes on beside a subscription that is paused.
            (_, AttemptCause::Live) if !active => Self::Waiting,
            _ => Self::Retrying,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_from_the_attempts() {
        let (live, replay) = (AttemptCause::Live, AttemptCause::Replay);
        let (delivered, failed, undelivered) =
            (AttemptOutcome::Delivered, AttemptOutcome::Failed, AttemptOutcome::Undelivered);
        for (newest_first, passed, state) in [
            (&[][..], true, None),
            (&[(failed, live)], false, Some(State::Retrying)),
            (&[(failed, live)], true, Some(State::Skipped)),
            (&[(delivered, live), (failed, live)], true, Some(State::Delivered)),
            (&[(undelivered, live), (failed, live)], true, Some(State::Undelivered)),
            (&[(failed, replay), (undelivered, live)], true, Some(State::Undelivered)),
            (&[(delivered, replay), (undelivered, live)], true, Some(State::Delivered)),
            (&[(undelivered, replay), (delivered, live)], true, Some(State::Delivered)),
            (&[(failed, replay)], true, Some(State::Retrying)),
            (&[(undelivered, replay), (failed, replay)], true, Some(State::Undelivered)),
        ] {
            assert_eq!(State::of(newest_first.iter().copied(), passed, true), state, "{newest_first:?}");
            let inactive =
                if state == Some(State::Retrying) && !passed { Some(State::Waiting) } else { state };
            assert_eq!(State::of(newest_first.iter().copied(), passed, false), inactive, "{newest_first:?}");
        }
    }
}
