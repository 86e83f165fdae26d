//! The tail: the one reader of the log in this process.
//!
//! It is fed by this process's own writer as long as the numbers are contiguous,
//! and reads the log when they are not, when another process sends a NOTIFY, and
//! now and then anyway: a wake-up is a hint, the query is the truth. It never
//! offers an event under definitions of subscriptions older than the event.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::mpsc;

use super::delivery::Runner;
use super::lane::{Lane, Outgoing};
use super::log;
use crate::events::{Event, EventType};
use crate::ids::{CompanyId, SubscriptionId};
use crate::listeners::Listeners;
use crate::writer::Committed;

/// How often the log is looked at without a hint.
const POLL: Duration = Duration::from_secs(1);

/// The reader of the log, with the lanes it offers to.
pub(super) struct Tail {
    pool: PgPool,
    runner: Runner,
    listeners: Listeners,
    /// Everything up to here was offered to every lane.
    offered: Arc<AtomicI64>,
    /// Raised to the last number of a batch before any of it is offered.
    offering: Arc<AtomicI64>,
    /// The checkpoint from which this process started.
    start: i64,
    /// The version of the subscriptions that is known.
    version: i64,
    lanes: HashMap<SubscriptionId, Arc<Lane>>,
    by_type: HashMap<(CompanyId, EventType), Vec<Arc<Lane>>>,
}

impl Tail {
    pub(super) fn new(
        pool: PgPool,
        runner: Runner,
        listeners: Listeners,
        offered: Arc<AtomicI64>,
        offering: Arc<AtomicI64>,
    ) -> Self {
        let start = offered.load(Ordering::SeqCst);
        Self {
            pool,
            runner,
            listeners,
            offered,
            offering,
            start,
            version: -1,
            lanes: HashMap::new(),
            by_type: HashMap::new(),
        }
    }

    /// Reads and offers until it is dropped. Fails when the database does.
    pub(super) async fn run(
        &mut self,
        feed: &mut mpsc::Receiver<Committed>,
        mut hints: PgListener,
    ) -> Result<std::convert::Infallible, sqlx::Error> {
        self.catch_up().await?;
        loop {
            tokio::select! {
                Some(committed) = feed.recv() => self.take(committed).await?,
                hint = hints.recv() => { hint?; self.catch_up().await?; }
                () = tokio::time::sleep(POLL) => self.catch_up().await?,
            }
        }
    }

    /// Takes a batch from this process's writer, if it comes next.
    async fn take(&mut self, committed: Committed) -> Result<(), sqlx::Error> {
        let position = self.offered.load(Ordering::SeqCst);
        match (committed.events.first(), committed.events.last()) {
            (Some(first), _) if first.seq > position + 1 => self.catch_up().await,
            // Read from the log already.
            (_, Some(last)) if last.seq <= position => Ok(()),
            (_, last) => {
                let last = last.map_or(position, |last| last.seq);
                self.know(committed.version).await?;
                self.offer(committed.events, last);
                Ok(())
            }
        }
    }

    /// Reads the log to its end.
    async fn catch_up(&mut self) -> Result<(), sqlx::Error> {
        let head = log::head(&self.pool).await?;
        self.know(head.version).await?;
        loop {
            let position = self.offered.load(Ordering::SeqCst);
            if position >= head.seq {
                return Ok(());
            }
            let page = log::after(&self.pool, position, head.seq).await?;
            // The events of other processes among them have not been told of yet.
            self.listeners.tell(&page.events);
            self.offer(page.events, page.read_to);
        }
    }

    /// Offers events to the lanes of their company and type; now everything up to
    /// `last` was offered.
    fn offer(&mut self, events: Vec<Arc<Event>>, last: i64) {
        self.offering.fetch_max(last, Ordering::SeqCst);
        for event in events {
            let Some(lanes) = self.by_type.get(&(event.company, event.event_type)) else { continue };
            let outgoing = Outgoing::new(event);
            for lane in lanes {
                if lane.offer(&outgoing) {
                    self.runner.kick(lane);
                }
            }
        }
        self.offered.fetch_max(last, Ordering::SeqCst);
    }

    /// Learns of the changes of subscriptions up to `version`, at least.
    async fn know(&mut self, version: i64) -> Result<(), sqlx::Error> {
        if version <= self.version {
            return Ok(());
        }
        for changed in log::changed_after(&self.pool, self.version, self.start).await? {
            self.version = self.version.max(changed.version);
            self.apply(changed);
        }
        self.version = self.version.max(version);
        Ok(())
    }

    fn apply(&mut self, changed: log::Changed) {
        let offered = self.offered.load(Ordering::SeqCst);
        let key = (changed.company, changed.event_type);
        let lane = match (self.lanes.get(&changed.id), changed.definition) {
            (Some(lane), Some(definition)) => {
                lane.redefine(definition, offered);
                lane.clone()
            }
            (None, Some(definition)) => {
                let identity = (changed.company, changed.id, changed.event_type);
                let lane = Arc::new(Lane::new(identity, definition, changed.position, &self.offering));
                self.lanes.insert(changed.id, lane.clone());
                self.by_type.entry(key).or_default().push(lane.clone());
                lane
            }
            (known, None) => {
                if let Some(lane) = known {
                    lane.retire();
                }
                self.lanes.remove(&changed.id);
                if let Some(lanes) = self.by_type.get_mut(&key) {
                    lanes.retain(|lane| lane.id != changed.id);
                }
                return;
            }
        };
        self.runner.kick(&lane);
    }
}
