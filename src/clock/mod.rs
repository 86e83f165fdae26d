//! The clock in hand: time is passed in, so tests move it instead of sleeping.

mod steady;

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use tokio::sync::watch;

use steady::Steady;

/// Wall-clock time, in whole milliseconds (the resolution of the wire and the database).
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<watch::Sender<DateTime<Utc>>>),
    /// Milliseconds that it is ahead of the system's.
    Wrong(Arc<AtomicI64>),
}

impl Clock {
    /// The operating system's clock. It does not follow a jump at once (`steady.rs`).
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still at `start` until [`Clock::advance`] moves it.
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual(Arc::new(watch::Sender::new(start.trunc_subsecs(3)))))
    }

    /// A clock that goes like the system's, and jumps when [`Clock::jump`] says so, as
    /// the system's does when somebody sets it. Sleeping is not affected, as it is not there.
    pub fn wrong() -> Self {
        Self(Source::Wrong(Arc::default()))
    }

    /// The time, truncated to milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            Source::System => steady_time(),
            Source::Manual(now) => *now.borrow(),
            Source::Wrong(ahead) => system_time() + TimeDelta::milliseconds(ahead.load(Ordering::Relaxed)),
        }
    }

    /// The time since some moment: goes on evenly, whatever the wall clock is set to. For how long
    /// something lasts.
    pub fn monotonic(&self) -> Duration {
        static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
        match &self.0 {
            Source::System | Source::Wrong(_) => BEGAN.elapsed(),
            // It only moves ahead.
            Source::Manual(now) => (*now.borrow() - DateTime::UNIX_EPOCH).to_std().unwrap_or_default(),
        }
    }

    /// Waits for `duration`, by this clock.
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Source::System | Source::Wrong(_) => tokio::time::sleep(duration).await,
            Source::Manual(now) => {
                let until = *now.borrow() + duration;
                let mut changes = now.subscribe();
                // The sender lives in `self`, so waiting cannot fail.
                let _ = changes.wait_for(|now| *now >= until).await;
            }
        }
    }

    /// Sets a wrong clock so far ahead of the system's, or behind it; no other obeys.
    pub fn jump(&self, ahead: TimeDelta) {
        if let Source::Wrong(known) = &self.0 {
            known.store(ahead.num_milliseconds(), Ordering::Relaxed);
        }
    }

    /// Moves a manual clock; no other obeys.
    pub fn advance(&self, duration: Duration) {
        if let Source::Manual(now) = &self.0 {
            now.send_modify(|now| *now += duration);
        }
    }
}

fn steady_time() -> DateTime<Utc> {
    static STEADY: Steady = Steady::new();
    let wall = system_time().timestamp_millis();
    let time = STEADY.time(wall, running());
    DateTime::from_timestamp_millis(time).unwrap_or_default()
}

/// Milliseconds since the machine started, those in which it slept included where that can be told.
fn running() -> i64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec * 1000 + time.tv_nsec / 1_000_000
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that asks the system")]
fn system_time() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(3)
}
