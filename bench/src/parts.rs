//! The tables of the parts that have one of their own: growth and pressure.

use std::fmt::Write;

use crate::growth::{DELIVERED, STAGES, Stage};
use crate::pressure::{CROWDS, Crowd, SERVED};
use crate::report::{Report, plural, whole};

/// What growth is told by: heading, and name of the figure.
const GROWTH: [(&str, &str); 12] = [
    ("deliveries/s", "live/10"),
    ("…over all companies", "spread"),
    ("creates/s, 16 conn.", "create/16"),
    ("creates/s, 64 conn.", "create/64"),
    ("updates/s, 16 conn.", "update"),
    ("create to arrival, 50/s: p50 ms", "arrival/p50"),
    ("p99 ms", "arrival/p99"),
    ("CPU µs per create", "create/16/cpu"),
    ("CPU µs per delivery", "live/10/cpu"),
    ("CPU ms/s, idle", "idle"),
    ("memory MB", "memory"),
    ("start s", "start"),
];

/// Likewise pressure.
const PRESSURE: [(&str, &str); 11] = [
    ("creates/s", ""),
    ("refused/s", "/refused"),
    ("p50 ms", "/p50"),
    ("p99 ms", "/p99"),
    ("deliveries/s", "/deliveries"),
    ("memory MB, at most", "/memory"),
    ("after it", "/memory after"),
    ("CPU, cores", "/cpu"),
    ("the generator's", "/cpu generator"),
    ("s until normal", "/normal after"),
    ("s until all arrived", "/drained after"),
];

impl Report<'_> {
    /// A row for each size; beside each value how it compares with the first row's.
    pub fn growth(&self) -> String {
        let mut table = format!("{}\n", self.growth_target());
        headings(&mut table, &GROWTH);
        for stage in STAGES {
            let key = stage.key();
            let count = |name| self.value(&format!("{key}/{name}")).map_or_else(|| "–".into(), whole);
            let subscriptions = count("subscriptions");
            let what = match stage {
                Stage::Lagging => format!("{DELIVERED} subscriptions beside {subscriptions} that lag"),
                Stage::Snapshot => format!("{subscriptions} subscriptions, a transaction stays open"),
                _ => format!("{subscriptions} subscriptions"),
            };
            let _ = write!(table, "| {what}, {} events |", count("events"));
            for (_, name) in GROWTH {
                let first = format!("{}/{name}", Stage::Small.key());
                let name = format!("{key}/{name}");
                let _ = write!(table, " {} · {} |", self.shown(&name), self.ratio(&name, &first));
            }
            table.push('\n');
        }
        let lagging = format!("{}/lagging", Stage::Lagging.key());
        let _ = writeln!(table, "\nDeliveries/s to those that lag, meanwhile: {}.", self.shown(&lagging));
        table
    }

    /// A row for each crowd, after what it serves.
    pub fn pressure(&self) -> String {
        let mut table = String::new();
        headings(&mut table, &PRESSURE);
        let crowds = CROWDS.map(|crowd| {
            let what = match crowd {
                Crowd::Patient => "one company; refused ones wait as told",
                Crowd::Insistent => "one company; refused ones ask again at once",
                Crowd::Everybody => "of many companies; refused ones wait as told",
            };
            (format!("{} connections, {what}", whole(f64::from(crowd.connections()))), format!("{crowd:?}"))
        });
        for (what, key) in [(plural(SERVED, "connection"), "served".to_owned())].into_iter().chain(crowds) {
            let _ = write!(table, "| {what} |");
            for (_, name) in PRESSURE {
                let _ = write!(table, " {} |", self.shown(&format!("{key}{name}")));
            }
            table.push('\n');
        }
        let _ = writeln!(table, "\nNormal, at 50/s: p50 / p99 {} ms to the answer.", self.p50_p99("probe"));
        table
    }
}

fn headings(table: &mut String, columns: &[(&str, &str)]) {
    let titles: Vec<_> = columns.iter().map(|(title, _)| *title).collect();
    let _ = writeln!(table, "| | {} |", titles.join(" | "));
    let _ = writeln!(table, "|---|{}", "--:|".repeat(columns.len()));
}
