//! The clock in hand: time is passed in, so tests move it instead of sleeping.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use tokio::sync::watch;

/// Wall-clock time, in whole milliseconds (the resolution of the wire and the database).
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<DateTime<Utc>>>),
}

impl Clock {
    /// The operating system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(start.trunc_subsecs(3)))))
    }

    /// The time, truncated to milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
            Source::System => Utc::now().trunc_subsecs(3),
            Source::Manual(now) => *now.borrow(),
        }
    }

    /// Waits for `duration`, by this clock.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System => tokio::time::sleep(duration).await,
            Source::Manual(now) => {
                let until = *now.borrow() + duration;
                let mut changes = now.subscribe();
                // The sender lives in `self`, so waiting cannot fail.
                let _ = changes.wait_for(|now| *now >= until).await;
            }
        }
    }

    /// Moves a manual clock; the system's clock does not obey.
    pub fn advance(&self, duration: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.send_modify(|now| *now += duration);
        }
    }
}
