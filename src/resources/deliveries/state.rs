//! How a delivery stands, by the attempts made.

use serde::Serialize;
use utoipa::ToSchema;

/// How a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = DeliveryState)]
pub(super) enum State {
    /// No attempt was made yet.
    Waiting,
    /// An attempt failed, and there will be another one.
    Retrying,
    /// The receiver has it.
    Delivered,
    /// Given up after the last attempt.
    Undelivered,
    /// The subscriber resumed without it.
    Skipped,
}

impl State {
    pub(super) const WORDS: &[&str] = &["waiting", "retrying", "delivered", "undelivered", "skipped"];

    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "waiting" => Self::Waiting,
            "retrying" => Self::Retrying,
            "delivered" => Self::Delivered,
            "undelivered" => Self::Undelivered,
            "skipped" => Self::Skipped,
            _ => return None,
        })
    }

    /// By the attempts, newest first: their outcome, and whether each was made in the
    /// course of things (and not because somebody wanted the event again). `passed`:
    /// the subscription is beyond the event. None if no attempt was made.
    pub(super) fn of<'a>(
        attempts: impl Iterator<Item = (&'a str, bool)> + Clone,
        passed: bool,
    ) -> Option<Self> {
        if attempts.clone().any(|(outcome, _)| outcome == "delivered") {
            return Some(Self::Delivered);
        }
        // What a repetition does not deliver stays as it was.
        let last_live = attempts.clone().find(|(_, live)| *live);
        let (outcome, live) = last_live.or(attempts.clone().next())?;
        Some(match outcome {
            "undelivered" => Self::Undelivered,
            _ if live && passed => Self::Skipped,
            _ => Self::Retrying,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_follows_from_the_attempts() {
        let (live, replay) = (true, false);
        for (newest_first, passed, state) in [
            (&[][..], true, None),
            (&[("failed", live)], false, Some(State::Retrying)),
            (&[("failed", live)], true, Some(State::Skipped)),
            (&[("delivered", live), ("failed", live)], true, Some(State::Delivered)),
            (&[("undelivered", live), ("failed", live)], true, Some(State::Undelivered)),
            (&[("failed", replay), ("undelivered", live)], true, Some(State::Undelivered)),
            (&[("delivered", replay), ("undelivered", live)], true, Some(State::Delivered)),
            (&[("undelivered", replay), ("delivered", live)], true, Some(State::Delivered)),
            (&[("failed", replay)], true, Some(State::Retrying)),
            (&[("undelivered", replay), ("failed", replay)], true, Some(State::Undelivered)),
        ] {
            assert_eq!(State::of(newest_first.iter().copied(), passed), state, "{newest_first:?}");
        }
    }

    #[test]
    fn words_read_back() {
        for word in State::WORDS {
            let state = State::parse(word).unwrap();
            assert_eq!(serde_json::to_value(state).unwrap(), *word);
        }
    }
}
