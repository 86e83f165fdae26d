//! The table: medians over the rounds, and each claim as a ratio within its round.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::bad_receivers::KINDS;
use crate::isolation::{BAD_EACH, GOOD};
use crate::pgbench::VARIANTS;
use crate::phases::{BARE, CONNECTIONS, SUBSCRIPTIONS, THOUGHTS};

/// What one round measured, by name.
#[derive(Default)]
pub struct Figures(BTreeMap<String, f64>);

impl Figures {
    pub fn set(&mut self, name: impl Into<String>, value: f64) {
        self.0.insert(name.into(), value);
    }

    /// Takes in figures of a part, their names after the part's.
    pub fn add(&mut self, part: &str, figures: Self) {
        self.0.extend(figures.0.into_iter().map(|(name, value)| (format!("{part}/{name}"), value)));
    }

    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// Columns of every table.
pub const HEAD: &str = "| | isao | beside it, in the same run | | ratio |\n|---|--:|---|--:|--:|\n";

pub fn row(table: &mut String, name: &str, value: &str, beside: &str) {
    let beside = if beside.is_empty() { "| | |" } else { beside };
    let _ = writeln!(table, "| {name} | {value} | {beside}");
}

pub struct Report<'a>(pub &'a [Figures]);

impl Report<'_> {
    pub fn median(&self, value: impl Fn(&Figures) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<_> = self.0.iter().filter_map(value).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            odd if odd % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    pub fn value(&self, name: &str) -> Option<f64> {
        self.median(|figures| figures.get(name))
    }

    pub fn shown(&self, name: &str) -> String {
        self.value(name).map_or_else(|| "–".into(), number)
    }

    /// `name` beside `other`: what it is called, its value, and the ratio.
    pub fn beside(&self, name: &str, other: &str, title: &str) -> String {
        format!("{title} | {} | {} |", self.shown(other), self.ratio(name, other))
    }

    /// The median of the ratios in each round.
    pub fn ratio(&self, name: &str, other: &str) -> String {
        let ratio = self.median(|figures| Some(figures.get(name)? / figures.get(other)?));
        // There is none beside a CPU that had nothing to do.
        ratio.filter(|ratio| ratio.is_finite()).map_or_else(|| "–".into(), |ratio| format!("{ratio:.2}"))
    }

    pub fn p50_p99(&self, name: &str) -> String {
        format!("{} / {}", self.shown(&format!("{name}/p50")), self.shown(&format!("{name}/p99")))
    }

    pub fn table(&self) -> String {
        let mut table = String::from(HEAD);
        let mut row = |name: &str, value: &str, beside: &str| row(&mut table, name, value, beside);
        for connections in CONNECTIONS {
            let key = format!("create/{connections}");
            let mut title = format!("creates/s, {}", plural(connections, "connection"));
            let mut value = format!("**{}**", self.shown(&key));
            for (variant, what) in VARIANTS {
                row(&title, &value, &self.beside(&key, &format!("{variant}/{connections}"), what));
                (title, value) = (String::new(), String::new());
            }
            row(
                "",
                "",
                &self.beside(&key, &format!("trivial/{connections}"), "same requests to a trivial server"),
            );
        }
        for connections in CONNECTIONS {
            let key = format!("create/{connections}");
            row(
                &format!("create p50 / p99 ms, {}", plural(connections, "connection")),
                &self.p50_p99(&key),
                "",
            );
        }
        for connections in CONNECTIONS {
            let key = format!("create/{connections}/cpu");
            let server = format!("of this the server | {} | |", self.shown(&format!("{key} server")));
            row(
                &format!("CPU µs per create, {}", plural(connections, "connection")),
                &self.shown(&key),
                &server,
            );
        }
        for (name, title) in
            [("update", "updates/s"), ("read", "reads/s"), ("mixed", "mixed/s (2 reads, create, update)")]
        {
            let millis = format!("p50 / p99 ms | {} | |", self.p50_p99(name));
            row(&format!("{title}, 16 connections"), &self.shown(name), &millis);
        }
        for (subscriptions, bare) in SUBSCRIPTIONS.into_iter().zip(BARE) {
            let to = plural(subscriptions, "subscription");
            let (client, beside) = (plural(bare, "connection"), format!("bare/{bare}"));
            let client = format!("bare client, {client}");
            let (live, backlog) = (format!("live/{subscriptions}"), format!("backlog/{subscriptions}"));
            let value = format!("**{}**", self.shown(&live));
            row(
                &format!("deliveries/s, {to}, during creates"),
                &value,
                &self.beside(&live, &beside, &client),
            );
            let creates = format!(
                "creates/s meanwhile, 16 connections | {} | |",
                self.shown(&format!("{live}/creates"))
            );
            row("", "", &creates);
            let value = self.shown(&backlog);
            row(&format!("deliveries/s, {to}, a backlog"), &value, &self.beside(&backlog, &beside, &client));
            for key in [&live, &backlog] {
                let (key, beside) = (format!("{key}/cpu"), format!("{beside}/cpu"));
                let what = if key.starts_with("live") { "during creates" } else { "a backlog" };
                let client = "bare client's own";
                row(
                    &format!("CPU µs per delivery, {to}, {what}"),
                    &self.shown(&key),
                    &self.beside(&key, &beside, client),
                );
            }
            let server = format!("of this the server | {} | |", self.shown(&format!("{backlog}/cpu server")));
            row("", "", &server);
            let receiver = format!(
                "the receiver's, not counted | {} | |",
                self.shown(&format!("{backlog}/cpu receiver"))
            );
            row("", "", &receiver);
        }
        let limit = format!("16 / 50 ms | {} | |", number(THOUGHTS));
        let title =
            "deliveries/s, 1 subscription, `ordering: \"record\"`, concurrency 16, answers after 50 ms";
        row(title, &format!("**{}**", self.shown("record")), &limit);
        let client = "bare client, 16 connections, the same receiver";
        row("", "", &self.beside("record", "bare/thinking", client));
        let answer = format!("to the answer | {} | |", self.p50_p99("paced"));
        row("create to arrival p50 / p99 ms, 50/s", &self.p50_p99("arrival"), &answer);
        let bare = format!("p50 / p99 ms of the bare POST, 1 connection | {} | |", self.p50_p99("bare/1"));
        row("", "", &bare);
        let pgbench = format!("of pgbench, one statement, 1 client | {} | |", self.p50_p99("statement/1"));
        row("", "", &pgbench);
        let paced = self.p50_p99("statement/paced");
        row("", "", &format!("of pgbench, one statement, 1 client, also at 50/s | {paced} | |"));
        let most = format!("at most, in the whole run | {} | |", self.shown("memory most"));
        row("resident memory of the server, MB, before", &self.shown("memory idle"), &most);
        row("", "", &format!("after it | {} | |", self.shown("memory end")));
        table + &self.isolation_rows()
    }

    /// What bad receivers and a long backlog do to others, as a table of its own.
    pub fn isolation(&self) -> String {
        HEAD.to_owned() + &self.isolation_rows()
    }

    /// Those rows that were measured.
    fn isolation_rows(&self) -> String {
        let mut table = String::new();
        let mut rows = |key: &str, before: &str, what: &str, than: &str| {
            if self.value(&format!("{key}/p50")).is_none() {
                return;
            }
            let ratio = |share| {
                let ratio = |figures: &Figures| {
                    Some(
                        figures.get(&format!("{key}/{share}"))?
                            / figures.get(&format!("{before}/{share}"))?,
                    )
                };
                self.median(ratio).map_or_else(|| "–".into(), number)
            };
            let ratios = format!("{} / {}", ratio("p50"), ratio("p99"));
            let beside = format!("{than} | {} | {ratios} |", self.p50_p99(before));
            row(&mut table, &format!("create to arrival p50 / p99 ms, {what}"), &self.p50_p99(key), &beside);
            let beside =
                format!("attempts in flight, at most | {} | |", self.shown(&format!("{key}/in flight")));
            let memory = self.shown(&format!("{key}/memory"));
            row(&mut table, "resident memory of the server, MB, at most", &memory, &beside);
        };
        let (alone, without) = ("good/alone", "without them");
        rows(alone, alone, &format!("{GOOD} good subscriptions alone, 50/s"), "itself");
        let all = BAD_EACH as usize * KINDS.len();
        rows("good/all", alone, &format!("beside {all} bad ones, {BAD_EACH} of each kind"), without);
        for kind in KINDS {
            let what = format!("beside {BAD_EACH} that {}", kind.title());
            rows(&format!("good/{kind:?}"), alone, &what, without);
        }
        let events = self.shown("long/events");
        let (before, what) = ("long/before", format!("{events} events of another subscription"));
        rows(before, before, &format!("{GOOD} good subscriptions alone, 50/s"), "itself");
        rows("long/waiting", before, &format!("{what} wait"), "before");
        rows("long/draining", before, &format!("{what} are delivered"), "before");
        rows("long/after", before, &format!("{what} were delivered"), "before");
        if self.value("long").is_some() {
            let beside = self.beside("long", "bare/1", "bare client, 1 connection");
            row(
                &mut table,
                &format!("deliveries/s, 1 subscription, those {events}"),
                &self.shown("long"),
                &beside,
            );
            let server = format!("of this the server | {} | |", self.shown("long/cpu server"));
            row(&mut table, "CPU µs per delivery of these", &self.shown("long/cpu"), &server);
            row(
                &mut table,
                "resident memory of the server, MB, at most, until the last one",
                &self.shown("long/memory"),
                "",
            );
        }
        table
    }
}

pub fn plural(count: u32, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Three digits are worth something; thousands get a comma.
pub fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    whole(value)
}

/// Of things that are counted.
pub fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [0.456, 12.34, 123.4, 1234.5, 1_234_567.0].map(number);
        assert_eq!(shown, ["0.46", "12.3", "123", "1,234", "1,234,567"]);
    }

    #[test]
    fn ratios_are_medians_of_the_rounds_ratios() {
        let rounds = [(1.0, 2.0), (3.0, 3.0), (100.0, 50.0)].map(|(a, b)| {
            let mut figures = Figures::default();
            figures.set("a", a);
            figures.set("b", b);
            figures
        });
        assert_eq!(Report(&rounds).beside("a", "b", "other"), "other | 3.00 | 1.00 |");
        assert!(Report(&[]).table().contains("| – |"));
    }
}
