//! The table at the end.

use std::fmt;

use super::check::{Kind, Verdict};
use super::fault::Fault;

/// Findings of one round that are printed in full.
const TOLD: usize = 5;

/// What became of all rounds.
#[derive(Default)]
pub struct Report {
    lines: Vec<(Fault, Line)>,
}

/// The rounds of one fault together.
#[derive(Clone, Copy, Default)]
struct Line {
    rounds: usize,
    events: usize,
    deliveries: usize,
    unanswered: usize,
    undelivered: usize,
    lost: usize,
    disordered: usize,
    twice: usize,
    twice_elsewhere: usize,
    other: usize,
}

impl Report {
    /// Adds a round, and tells what was found.
    pub fn add(&mut self, fault: Fault, verdict: Verdict) {
        for finding in verdict.findings.iter().take(TOLD) {
            println!("  {:?}: {}", finding.kind, finding.text);
        }
        if verdict.findings.len() > TOLD {
            println!("  … and {} more", verdict.findings.len() - TOLD);
        }
        if !self.lines.iter().any(|(known, _)| *known == fault) {
            self.lines.push((fault, Line::default()));
        }
        let count = |kind| verdict.findings.iter().filter(|finding| finding.kind == kind).count();
        for (_, line) in self.lines.iter_mut().filter(|(known, _)| *known == fault) {
            line.rounds += 1;
            line.events += verdict.events;
            line.deliveries += verdict.deliveries;
            line.unanswered += verdict.unanswered;
            line.undelivered += verdict.undelivered;
            line.twice += verdict.twice;
            line.lost += count(Kind::Lost);
            line.disordered += count(Kind::Order);
            line.twice_elsewhere += count(Kind::Twice);
            line.other += count(Kind::Other);
        }
    }

    /// Was nothing found?
    pub fn is_well(&self) -> bool {
        self.lines
            .iter()
            .all(|(_, line)| line.lost + line.disordered + line.twice_elsewhere + line.other == 0)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "rounds",
            "events",
            "deliveries",
            "unanswered",
            "undelivered",
            "lost",
            "disorder",
            "twice",
            "elsewhere",
            "other",
        ];
        write!(f, "{:<20}", "fault")?;
        for word in head {
            write!(f, " {word:>11}")?;
        }
        writeln!(f)?;
        for (fault, line) in &self.lines {
            write!(f, "{:<20}", fault.name())?;
            for number in [
                line.rounds,
                line.events,
                line.deliveries,
                line.unanswered,
                line.undelivered,
                line.lost,
                line.disordered,
                line.twice,
                line.twice_elsewhere,
                line.other,
            ] {
                write!(f, " {number:>11}")?;
            }
            writeln!(f)?;
        }
        write!(f, "twice: around a fault, as it may be; elsewhere: at another time, as it may not")
    }
}
