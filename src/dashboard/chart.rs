//! Charts, as SVG without a script: bars over time.

use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};

use super::language::Language;
use crate::model::time::wire_time;

/// The size of a chart, in units of its own; it is as wide as its place.
pub(super) const WIDTH: f64 = 720.0;
pub(super) const HEIGHT: f64 = 120.0;
/// Between two bars, as a share of one.
const GAP: f64 = 0.2;

/// Bars over time, each in two parts.
pub(super) struct Chart {
    pub(super) label: String,
    pub(super) bars: Vec<Bar>,
    /// What the highest bar stands for.
    pub(super) most: String,
    pub(super) from: String,
}

/// One bar: the good part below the bad one.
pub(super) struct Bar {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) good: (String, String),
    pub(super) bad: (String, String),
    pub(super) title: String,
}

/// What a chart shows: the time from which on, how many bars, and how long each is.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) from: DateTime<Utc>,
    pub(super) bars: usize,
    pub(super) step: TimeDelta,
}

impl Span {
    /// So many steps up to now, the present one included.
    pub(super) fn until(now: DateTime<Utc>, bars: usize, step: TimeDelta) -> Self {
        let last = now.duration_trunc(step).unwrap_or(now);
        let from = last - step * (i32::try_from(bars).unwrap_or(1) - 1);
        Self { from, bars, step }
    }

    /// The bar that a time belongs to.
    pub(super) fn index(&self, at: DateTime<Utc>) -> Option<usize> {
        let steps = (at - self.from).num_seconds().checked_div(self.step.num_seconds())?;
        usize::try_from(steps).ok().filter(|index| *index < self.bars)
    }
}

impl Chart {
    /// `values` are the good and the bad of each bar.
    pub(super) fn new(language: Language, label: String, span: Span, values: &[(i64, i64)]) -> Self {
        let most = values.iter().map(|(good, bad)| good + bad).max().unwrap_or_default();
        let scale = HEIGHT / most.max(1) as f64;
        let step = WIDTH / span.bars.max(1) as f64;
        let bars = values.iter().enumerate().map(|(index, (good, bad))| {
            let (good_height, bad_height) = (*good as f64 * scale, *bad as f64 * scale);
            let number = |number: f64| format!("{number:.1}");
            let at = span.from + span.step * i32::try_from(index).unwrap_or_default();
            let title = match bad {
                0 => language.number(good),
                bad => format!("{} + {}", language.number(good), language.number(bad)),
            };
            Bar {
                x: number(index as f64 * step),
                width: number(step * (1.0 - GAP)),
                good: (number(HEIGHT - good_height), number(good_height)),
                bad: (number(HEIGHT - good_height - bad_height), number(bad_height)),
                title: format!("{} UTC: {title}", at.format("%Y-%m-%d %H:%M")),
            }
        });
        Self { label, bars: bars.collect(), most: language.number(&most), from: wire_time(span.from) }
    }
}
