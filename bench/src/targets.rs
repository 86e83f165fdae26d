//! What it should reach: the table that comes first.

use std::fmt::Write;

use crate::growth::Stage;
use crate::phases::THOUGHTS;
use crate::report::{Figures, Report, number};

/// What a figure is put beside.
enum Beside {
    Figure(String),
    /// The sum of two.
    Both(String, String),
    Limit(f64),
    /// Nothing: it counts as it is.
    Nothing,
}

/// Which ratios are good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Good {
    AtLeast,
    AtMost,
}

struct Target {
    what: &'static str,
    figure: String,
    title: &'static str,
    beside: Beside,
    good: Good,
    /// What is asked for, and what is hoped for.
    least: f64,
    aim: f64,
}

const HEAD: &str =
    "| target | isao | beside | | ratio | at least | aim | met |\n|---|--:|---|--:|--:|--:|--:|---|\n";

impl Target {
    fn beside(&self, figures: &Figures) -> Option<f64> {
        match &self.beside {
            Beside::Figure(name) => figures.get(name),
            Beside::Both(one, other) => Some(figures.get(one)? + figures.get(other)?),
            Beside::Limit(limit) => Some(*limit),
            Beside::Nothing => None,
        }
    }

    fn ratio(&self, figures: &Figures) -> Option<f64> {
        let value = figures.get(&self.figure)?;
        match self.beside {
            Beside::Nothing => Some(value),
            _ => Some(value / self.beside(figures)?),
        }
    }

    fn met(&self, ratio: f64) -> &'static str {
        let reaches = |wanted| match self.good {
            Good::AtLeast => ratio >= wanted,
            Good::AtMost => ratio <= wanted,
        };
        match (reaches(self.least), reaches(self.aim)) {
            (_, true) => "aim",
            (true, false) => "yes",
            (false, false) => "**no**",
        }
    }

    fn row(&self, report: &Report) -> String {
        let Self { what, title, least, aim, .. } = self;
        let value = report.shown(&self.figure);
        let beside = report.median(|figures| self.beside(figures)).map_or_else(String::new, number);
        let ratio = report.median(|figures| self.ratio(figures));
        let met = ratio.map_or("–", |ratio| self.met(ratio));
        let ratio = match (&self.beside, ratio) {
            (Beside::Nothing, _) => String::new(),
            (_, ratio) => ratio.map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}")),
        };
        let unit = match (&self.beside, self.good) {
            (Beside::Nothing, _) => " MB",
            (_, Good::AtMost) => " ×",
            (_, Good::AtLeast) => "",
        };
        format!("| {what} | {value} | {title} | {beside} | {ratio} | {least}{unit} | {aim}{unit} | {met} |")
    }
}

fn targets() -> Vec<Target> {
    let beside = |what, figure: &str, title, beside: &str, (least, aim)| Target {
        what,
        figure: figure.to_owned(),
        title,
        beside: Beside::Figure(beside.to_owned()),
        good: Good::AtLeast,
        least,
        aim,
    };
    vec![
        beside(
            "creates/s, 64 connections",
            "create/64",
            "pgbench, one statement, 64 clients",
            "statement/64",
            (0.7, 1.1),
        ),
        beside(
            "creates/s, 1 connection",
            "create/1",
            "pgbench, one statement, 1 client",
            "statement/1",
            (0.3, 0.45),
        ),
        beside(
            "deliveries/s, 10 subscriptions, creates from 16 connections",
            "live/10",
            "bare client, 16 connections",
            "bare/16",
            (0.3, 0.45),
        ),
        beside(
            "deliveries/s, 1 subscription in strict order",
            "backlog/1",
            "bare client, 1 connection",
            "bare/1",
            (0.6, 0.9),
        ),
        Target {
            beside: Beside::Limit(THOUGHTS),
            ..beside(
                "deliveries/s, 1 subscription, `ordering: \"record\"`, concurrency 16, answers after 50 ms",
                "record",
                "16 / 50 ms",
                "",
                (0.9, 0.98),
            )
        },
        Target {
            good: Good::AtMost,
            ..beside(
                "CPU µs per delivery, server and database, 10 subscriptions, during creates",
                "live/10/cpu",
                "bare client's own per POST",
                "bare/16/cpu",
                (6.0, 3.0),
            )
        },
        Target {
            good: Good::AtMost,
            beside: Beside::Both("statement/1/p99".into(), "bare/1/p99".into()),
            ..beside(
                "create to arrival p99 ms, 50/s",
                "arrival/p99",
                "p99 of pgbench, 1 client, and of the bare POST",
                "",
                (2.5, 1.5),
            )
        },
        Target {
            good: Good::AtMost,
            beside: Beside::Nothing,
            ..beside(
                "resident memory of the server, MB, after the whole run",
                "memory end",
                "",
                "",
                (80.0, 40.0),
            )
        },
        grown(),
    ]
}

/// The one that takes a run of its own.
fn grown() -> Target {
    Target {
        what: "deliveries/s, the most subscriptions and events (`--only growth`)",
        figure: format!("{}/live/10", Stage::ManyLong.key()),
        title: "the fewest of both",
        beside: Beside::Figure(format!("{}/live/10", Stage::Small.key())),
        good: Good::AtLeast,
        least: 0.8,
        aim: 0.95,
    }
}

impl Report<'_> {
    /// All of them.
    pub fn targets(&self) -> String {
        self.rows_of(&targets())
    }

    /// The one that growth is about.
    pub fn growth_target(&self) -> String {
        self.rows_of(&[grown()])
    }

    fn rows_of(&self, targets: &[Target]) -> String {
        let mut table = String::from(HEAD);
        for target in targets {
            let _ = writeln!(table, "{}", target.row(self));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_missed_reached_or_surpassed() {
        let row = |figure: &str, value, beside: &[(&str, f64)]| {
            let mut figures = Figures::default();
            figures.set(figure, value);
            for (name, value) in beside {
                figures.set(*name, *value);
            }
            let target = targets().into_iter().find(|target| target.figure == figure);
            target.map(|target| target.row(&Report(&[figures]))).unwrap_or_default()
        };
        for (value, met) in [(60.0, "**no**"), (70.0, "yes"), (110.0, "aim")] {
            let row = row("create/64", value, &[("statement/64", 100.0)]);
            assert!(row.ends_with(&format!("| 100 | {:.2} | 0.7 | 1.1 | {met} |", value / 100.0)), "{row}");
        }
        let sum = [("statement/1/p99", 3.0), ("bare/1/p99", 1.0)];
        assert!(row("arrival/p99", 8.0, &sum).ends_with("| 4.00 | 2.00 | 2.5 × | 1.5 × | yes |"));
        assert!(row("memory end", 41.0, &[]).ends_with("| 41.0 |  |  |  | 80 MB | 40 MB | yes |"));
        assert!(
            row("create/64", 1.0, &[])
                .ends_with("| 1.00 | pgbench, one statement, 64 clients |  | – | 0.7 | 1.1 | – |")
        );
    }
}
