//! Numbers about the running process, for Prometheus. None of them reveals whose data
//! it counts.
//!
//! Whoever counts gets the one [`Metrics`] passed in; counting is an atomic addition,
//! where there are labels behind a lock that is only read.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry, Unit};

use crate::model::attempt::AttemptOutcome;
use crate::tallies::Tallies;

/// What [`Metrics::render`] makes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds for requests, in seconds: most take some milliseconds, none more than 20 s.
const REQUEST_SECONDS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0];
/// Upper bounds for attempts, in seconds: some milliseconds next door, 30 s at most
/// unless configured otherwise.
const ATTEMPT_SECONDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 30.0];

/// Everything that is counted.
pub struct Metrics {
    registry: Registry,
    /// What is counted by company, for the dashboard alone.
    pub tallies: Tallies,
    /// Transactions of the writer that committed or had nothing to commit.
    pub write_batches: Counter,
    /// Commands in them, refused ones included.
    pub write_commands: Counter,
    /// Commands that were not carried out, by reason.
    pub write_failures: Counters,
    /// Events that this process appended to the log.
    pub events_appended: Counter,
    http: Family<Route, Histogram>,
    /// Attempts to deliver that ended, by outcome: `delivered`, `failed` (another one
    /// follows) or `undelivered` (none does).
    pub attempts: Counters,
    attempt_duration: Histogram,
    attempts_in_flight: Gauge,
    /// Subscriptions that this process deactivated, by reason.
    pub deactivated: Counters,
    /// Subscriptions that fail at the moment, among those this process delivers to.
    pub degraded: Gauge,
    /// Subscriptions that read their backlog from the log instead of following its end.
    pub lanes_behind: Gauge,
    /// Shards of the deliveries that this process holds.
    pub shards_held: Gauge,
    /// Times that deliveries were written down.
    pub recorder_flushes: Counter,
    /// Times that they could not be written down, and were tried again.
    pub recorder_failures: Counter,
    /// Event streams that are open.
    pub streams_open: Gauge,
    /// Times that a part of this process panicked; it was run again.
    pub panics: Counter,
    /// Log lines that could not be written.
    pub lost_log_lines: Counter,
    /// Connections of the pool that are in use.
    pub connections_in_use: Gauge,
    /// Connections of the pool that are not.
    pub connections_idle: Gauge,
}

/// Method, route template and class of the status.
type Route = [(&'static str, std::borrow::Cow<'static, str>); 3];

/// Counters that differ in the value of one label.
pub struct Counters {
    label: &'static str,
    family: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Counters {
    /// The counter with this value of the label, one of a few.
    pub fn of(&self, value: &'static str) -> Counter {
        self.family.get_or_create_owned(&[(self.label, value)])
    }
}

/// Something that is counted for as long as this lives.
#[must_use]
pub struct Counted(Gauge);

impl Counted {
    /// Counts one more.
    pub fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut new = New(Registry::with_prefix("isao"));
        Self {
            tallies: Tallies::default(),
            write_batches: new
                .metric("write_batches", "Transactions that the writer of this process committed"),
            write_commands: new
                .metric("write_commands", "Write commands that these transactions carried out"),
            write_failures: new.counters(
                "write_failures",
                "Write commands that were refused or failed, by reason",
                "reason",
                &["full", "unavailable", "held", "key_reused", "outcome_unknown", "failed"],
            ),
            events_appended: new.metric("events_appended", "Events that this process appended to the log"),
            http: new.seconds(
                "http_request_duration",
                "Time from an HTTP request to the first byte of its answer",
                Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS)),
            ),
            attempts: new.counters(
                "delivery_attempts",
                "Delivery attempts that ended, by outcome",
                "outcome",
                AttemptOutcome::WORDS,
            ),
            attempt_duration: new.seconds(
                "delivery_attempt_duration",
                "Time of a delivery attempt, from connecting to the end of the receiver's answer",
                Histogram::new(ATTEMPT_SECONDS),
            ),
            attempts_in_flight: new
                .metric("delivery_attempts_in_flight", "Delivery attempts that are in flight now"),
            deactivated: new.counters(
                "subscriptions_deactivated",
                "Subscriptions that this process deactivated, by reason",
                "reason",
                &["gone", "undelivered"],
            ),
            degraded: new
                .metric("subscriptions_degraded", "Active subscriptions whose last event was not delivered"),
            lanes_behind: new.metric(
                "lanes_behind",
                "Active subscriptions that are behind and read their backlog from the log",
            ),
            shards_held: new
                .metric("shards_held", "Shards of the delivery work that this process holds, of 16"),
            recorder_flushes: new
                .metric("recorder_flushes", "Writes of cursors and attempts to the database"),
            recorder_failures: new
                .metric("recorder_failures", "Writes of cursors and attempts that failed and were repeated"),
            streams_open: new
                .metric("event_streams_open", "Event streams (GET /events/stream) that are open now"),
            panics: new.metric("panics", "Times that a part of this process panicked and was run again"),
            lost_log_lines: new.metric("log_lines_lost", "Log lines that could not be written"),
            connections_in_use: new.metric(
                "database_connections_in_use",
                "Database connections of the request pool that are in use now",
            ),
            connections_idle: new.metric(
                "database_connections_idle",
                "Database connections of the request pool that are idle now",
            ),
            registry: new.0,
        }
    }
}

impl Metrics {
    /// Notes an answer to a request. `route` is the template, so that there are few.
    pub fn answered(&self, method: &str, route: &str, status: u16, took: Duration) {
        const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        // Anybody may invent methods; they must not make new numbers.
        let method = METHODS.into_iter().find(|known| *known == method).unwrap_or("other");
        let class = CLASSES[usize::from(status / 100).clamp(1, CLASSES.len()) - 1];
        let labels =
            [("method", method.into()), ("route", route.to_owned().into()), ("status", class.into())];
        self.http.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// Notes that an attempt begins.
    pub fn attempt_begins(&self) -> Counted {
        Counted::new(&self.attempts_in_flight)
    }

    /// Notes that an attempt ended.
    pub fn attempt_ended(&self, outcome: AttemptOutcome, took: Duration) {
        self.attempts.of(outcome.word()).inc();
        self.attempt_duration.observe(took.as_secs_f64());
    }

    /// All of it in the text format of OpenMetrics, which Prometheus reads.
    ///
    /// # Errors
    /// When a metric cannot be written as text, which none of these does.
    pub fn render(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Makes metrics and registers them.
struct New(Registry);

impl New {
    fn metric<M: Metric + Default + Clone>(&mut self, name: &str, help: &str) -> M {
        let metric = M::default();
        self.0.register(name, help, metric.clone());
        metric
    }

    fn seconds<M: Metric + Clone>(&mut self, name: &str, help: &str, metric: M) -> M {
        self.0.register_with_unit(name, help, Unit::Seconds, metric.clone());
        metric
    }

    /// With the values that are known beforehand at 0, so that rates begin there.
    fn counters(&mut self, name: &str, help: &str, label: &'static str, values: &[&'static str]) -> Counters {
        let counters = Counters { label, family: self.metric(name, help) };
        for value in values {
            let _ = counters.of(value);
        }
        counters
    }
}
