//! The check: what the log says should have arrived, against what did.

use std::collections::{HashMap, HashSet};

use isao::model::ids::{EventId, SubscriptionId};
use serde_json::Value;
use uuid::Uuid;

use super::load::{Told, Write};
use super::receiver::{Arrival, Receiver};
use super::round::{Endpoint, Subscription, Window};

/// Events before and after one that is told about.
const CONTEXT: usize = 3;
/// The attempts of an event that is given up.
const ALL_ATTEMPTS: [i16; 4] = [1, 2, 3, 4];
const LAST_ATTEMPT: u8 = 4;

/// An event of the log.
#[derive(Clone, Debug)]
pub struct Logged {
    seq: i64,
    id: String,
    event: String,
    data: Value,
}

impl Logged {
    pub fn read((seq, id, event, data): (i64, Uuid, String, String)) -> Self {
        Self { seq, id: EventId(id).to_string(), event, data: serde_json::from_str(&data).unwrap() }
    }

    /// What the write that fired it wrote.
    fn mark(&self) -> &str {
        let field = if self.event.starts_with("contact") { "position" } else { "description" };
        self.data[field].as_str().unwrap_or_default()
    }

    fn matches(&self, subscription: &Subscription) -> bool {
        self.event == subscription.event
            && subscription.filter.is_none_or(|(field, value)| self.data[field] == value)
    }
}

/// Where a subscription stands.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Position {
    subscription_id: Uuid,
    lagging: bool,
    head_attempts: i16,
    seq: i64,
}

/// What there is in the database, and what arrived.
#[derive(Default)]
pub struct Seen {
    pub events: Vec<Logged>,
    pub positions: HashMap<SubscriptionId, Position>,
    /// Events that were given up, with the attempts on record.
    undelivered: HashMap<(SubscriptionId, String), Vec<i16>>,
}

impl Seen {
    pub fn new(
        events: Vec<Logged>,
        positions: Vec<Position>,
        undelivered: Vec<(Uuid, Uuid, Vec<i16>)>,
    ) -> Self {
        let positions = positions
            .into_iter()
            .map(|position| (SubscriptionId(position.subscription_id), position))
            .collect();
        let undelivered = undelivered
            .into_iter()
            .map(|(subscription, event, attempts)| {
                ((SubscriptionId(subscription), EventId(event).to_string()), attempts)
            })
            .collect();
        Self { events, positions, undelivered }
    }

    /// The number of a subscription's last event.
    pub fn last_of(&self, subscription: &Subscription) -> i64 {
        self.events.iter().rev().find(|event| event.matches(subscription)).map_or(0, |event| event.seq)
    }

    /// Has everything been done for the subscription, and is it on record?
    pub fn rests(&self, subscription: &Subscription) -> bool {
        self.positions.get(&subscription.id).is_some_and(|position| {
            !position.lagging && position.head_attempts == 0 && position.seq >= self.last_of(subscription)
        })
    }
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Lost,
    Order,
    /// It arrived twice, and not around a fault.
    Twice,
    Other,
}

/// Something that should not be.
#[derive(Debug)]
pub struct Finding {
    pub kind: Kind,
    pub text: String,
}

impl Finding {
    pub fn other(text: String) -> Self {
        Self { kind: Kind::Other, text }
    }
}

/// The outcome of a round.
#[derive(Default)]
pub struct Verdict {
    pub events: usize,
    pub deliveries: usize,
    pub unanswered: usize,
    /// Events that were given up after four attempts.
    pub undelivered: usize,
    /// Deliveries that came twice around a fault.
    pub twice: usize,
    pub findings: Vec<Finding>,
}

impl Verdict {
    fn found(&mut self, kind: Kind, text: String) {
        self.findings.push(Finding { kind, text });
    }
}

/// Checks the log against the writes, and the arrivals against the log.
pub fn check(
    seen: &Seen,
    receiver: &Receiver,
    endpoints: &[Endpoint],
    writes: &[Write],
    windows: &[Window],
) -> Verdict {
    let mut verdict = Verdict { events: seen.events.len(), ..Verdict::default() };
    check_log(seen, &mut verdict);
    check_writes(seen, writes, &mut verdict);
    for endpoint in endpoints {
        let arrivals = receiver.arrivals(endpoint.path);
        Deliveries::new(seen, endpoint, &arrivals, windows).check(&mut verdict);
    }
    verdict
}

/// Numbers without gaps, and no write twice.
fn check_log(seen: &Seen, verdict: &mut Verdict) {
    let mut marks = HashSet::new();
    for (expected, event) in (1..).zip(&seen.events) {
        if event.seq != expected {
            verdict.found(Kind::Other, format!("the log has {} where {expected} should be", event.seq));
            return;
        }
        if !marks.insert((&event.event, event.mark())) {
            verdict.found(Kind::Other, format!("a write happened twice: {event:?}"));
        }
    }
}

/// What was answered is in the log, in each worker's order; what was refused is not.
fn check_writes(seen: &Seen, writes: &[Write], verdict: &mut Verdict) {
    let logged: HashMap<_, _> =
        seen.events.iter().map(|event| ((&*event.event, event.mark()), event.seq)).collect();
    let mut last = HashMap::new();
    for write in writes {
        let seq = logged.get(&(write.event, &*write.mark));
        match (write.told, seq) {
            (Told::Done, None) => {
                verdict.found(Kind::Lost, format!("it was answered and is not in the log: {write:?}"));
            }
            (Told::Refused, Some(seq)) => {
                verdict.found(Kind::Other, format!("it was refused and is in the log at {seq}: {write:?}"));
            }
            (Told::Done, Some(seq)) => {
                let before = last.insert(write.worker, *seq);
                if before.is_some_and(|before| before >= *seq) {
                    let text =
                        format!("at {seq}, but the same worker's previous write is at {before:?}: {write:?}");
                    verdict.found(Kind::Order, text);
                }
            }
            (Told::Amiss(_), _) => verdict.found(Kind::Other, format!("an answer to wonder at: {write:?}")),
            (Told::Refused, None) | (Told::Unknown, _) => {}
        }
    }
}

/// The deliveries to one endpoint: to all its subscriptions, in one order.
struct Deliveries<'a> {
    seen: &'a Seen,
    endpoint: &'a Endpoint,
    /// What should arrive, and for which subscription.
    wanted: Vec<(&'a Logged, &'a Subscription)>,
    arrivals: &'a [Arrival],
    windows: &'a [Window],
}

impl<'a> Deliveries<'a> {
    fn new(seen: &'a Seen, endpoint: &'a Endpoint, arrivals: &'a [Arrival], windows: &'a [Window]) -> Self {
        let wanted = seen.events.iter().filter_map(|event| {
            let mut subscriptions = endpoint.subscriptions.iter();
            Some((event, subscriptions.find(|subscription| event.matches(subscription))?))
        });
        Self { seen, endpoint, wanted: wanted.collect(), arrivals, windows }
    }

    fn check(&self, verdict: &mut Verdict) {
        let places: HashMap<_, _> =
            self.wanted.iter().enumerate().map(|(place, (event, _))| (&*event.id, place)).collect();
        let mut arrived: HashMap<&str, Vec<&Arrival>> = HashMap::new();
        // Events that were accepted, or failed in their last attempt.
        let mut settled = HashSet::new();
        for arrival in self.arrivals {
            verdict.deliveries += 1;
            let Some(&place) = places.get(&*arrival.event) else {
                let text = format!("{}: nobody asked for {arrival:?}", self.endpoint.path);
                verdict.found(Kind::Other, text);
                continue;
            };
            let earlier = arrived.entry(&arrival.event).or_default();
            match earlier.last() {
                None if place > 0 && !settled.contains(&(place - 1)) => {
                    verdict.found(Kind::Order, format!("before its predecessor: {}", self.tell(place)));
                }
                None => {}
                Some(last) if !last.accepted && arrival.attempt > last.attempt => {}
                Some(last) if last.cut && arrival.attempt == last.attempt => {}
                Some(last) if self.around_a_fault(last) || self.around_a_fault(arrival) => verdict.twice += 1,
                Some(_) => verdict.found(Kind::Twice, self.tell(place)),
            }
            earlier.push(arrival);
            if arrival.accepted || arrival.attempt == LAST_ATTEMPT {
                settled.insert(place);
            }
        }
        for (place, (event, subscription)) in self.wanted.iter().enumerate() {
            let arrivals = arrived.get(&*event.id).map_or(&[][..], Vec::as_slice);
            if arrivals.iter().any(|arrival| arrival.accepted) {
                continue;
            }
            let given_up = self.seen.undelivered.get(&(subscription.id, event.id.clone()));
            let all_attempted = ALL_ATTEMPTS
                .iter()
                .all(|number| arrivals.iter().any(|arrival| i16::from(arrival.attempt) == *number));
            match given_up {
                Some(attempts)
                    if self.endpoint.is_unreliable() && *attempts == ALL_ATTEMPTS && all_attempted =>
                {
                    verdict.undelivered += 1;
                }
                Some(attempts) => {
                    let text = format!("given up after attempts {attempts:?}: {}", self.tell(place));
                    verdict.found(Kind::Lost, text);
                }
                None => verdict.found(Kind::Lost, self.tell(place)),
            }
        }
    }

    fn around_a_fault(&self, arrival: &Arrival) -> bool {
        self.windows.iter().any(|(begin, end)| (*begin..=*end).contains(&arrival.at))
    }

    /// An event, and its neighbours in the log: when and how each of them arrived.
    fn tell(&self, place: usize) -> String {
        let zero = self.windows.first().map(|(begin, _)| *begin);
        let mut text = format!("{} of {}", self.wanted[place].0.id, self.endpoint.path);
        let around = place.saturating_sub(CONTEXT)..self.wanted.len().min(place + CONTEXT + 1);
        for (event, _) in &self.wanted[around] {
            let pointer = if event.id == self.wanted[place].0.id { '>' } else { ' ' };
            text += &format!("\n   {pointer} {:>6} {}", event.seq, event.id);
            for arrival in self.arrivals.iter().filter(|arrival| arrival.event == event.id) {
                let at = zero.map_or(0.0, |zero| {
                    let late = arrival.at.saturating_duration_since(zero).as_secs_f64();
                    if late > 0.0 { late } else { -zero.duration_since(arrival.at).as_secs_f64() }
                });
                let word = if arrival.accepted { "accepted" } else { "failed" };
                text += &format!("; attempt {} {word} at {at:.3} s", arrival.attempt);
            }
        }
        let spans = self.windows.iter().map(|(begin, end)| {
            let at = |instant: &std::time::Instant| {
                zero.map_or(0.0, |zero| instant.saturating_duration_since(zero).as_secs_f64())
            };
            format!("{:.3}–{:.3} s", at(begin), at(end))
        });
        text + &format!("\n     the fault: {}", spans.collect::<Vec<_>>().join(", "))
    }
}
