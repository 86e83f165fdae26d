//! How far a command is: on one line of the terminal, or, without a terminal, a line now and then.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use crate::clock::Clock;

/// How often the line of a terminal changes.
const TERMINAL_INTERVAL: Duration = Duration::from_millis(200);
/// How often a line comes without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);
/// Characters of the bar.
const BAR: usize = 24;

/// Shows it on stderr.
pub struct Progress {
    clock: Clock,
    what: &'static str,
    terminal: bool,
    began: Duration,
    shown: Duration,
    /// What was done when it began, of the whole.
    skipped: f64,
}

impl Progress {
    /// `skipped` is the part (0 to 1) that was done before.
    pub fn new(clock: Clock, what: &'static str, skipped: f64) -> Self {
        let began = clock.monotonic();
        Self { clock, what, terminal: io::stderr().is_terminal(), began, shown: began, skipped }
    }

    /// So many records are done in this run, and this part of the whole, if that is known.
    pub fn at(&mut self, count: u64, part: Option<f64>) {
        let now = self.clock.monotonic();
        let interval = if self.terminal { TERMINAL_INTERVAL } else { LINE_INTERVAL };
        if now.saturating_sub(self.shown) < interval {
            return;
        }
        self.shown = now;
        let line = self.line(count, part, now.saturating_sub(self.began));
        let _ = match self.terminal {
            true => write!(io::stderr(), "\r\u{1b}[K{line}"),
            false => writeln!(io::stderr(), "{line}"),
        };
    }

    /// Takes the line away, so that others can be written.
    pub fn clear(&self) {
        if self.terminal {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }

    /// How long it has taken, and how many records a second that was.
    pub fn summary(&self, count: u64) -> String {
        let taken = self.clock.monotonic().saturating_sub(self.began);
        format!("in {}, {:.0} a second", human(taken), rate(count, taken))
    }

    fn line(&self, count: u64, part: Option<f64>, taken: Duration) -> String {
        let told = format!("{count} {}, {:.0} a second", self.what, rate(count, taken));
        let Some(part) = part.map(|part| part.clamp(0.0, 1.0)) else { return told };
        let done = part - self.skipped;
        let left = match done > 0.0 {
            true => format!(", {} left", human(taken.mul_f64(((1.0 - part) / done).min(1e6)))),
            false => String::new(),
        };
        let filled = (0..BAR).filter(|at| part * 24.0 > f64::from(u8::try_from(*at).unwrap_or(0))).count();
        let bar = format!("[{}{}] ", "#".repeat(filled), " ".repeat(BAR - filled));
        let bar = if self.terminal { bar } else { String::new() };
        format!("{bar}{:.0} %, {told}{left}", part * 100.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody counts the last digits")]
fn rate(count: u64, taken: Duration) -> f64 {
    count as f64 / taken.as_secs_f64().max(0.001)
}

/// The part that so many are of so many.
#[expect(clippy::cast_precision_loss, reason = "nobody counts the last digits")]
pub fn part(of: u64, whole: u64) -> f64 {
    of as f64 / (whole.max(1)) as f64
}

fn human(time: Duration) -> String {
    match time.as_secs() {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}
