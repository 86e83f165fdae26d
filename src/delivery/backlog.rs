//! Reading the log for lanes that are behind, once for all of them.
//!
//! Lanes of the same company and type fall behind together, because their events come all
//! at once, and want to read the same. What one of them has read is kept for a while, up
//! to a bound, and who comes while it is being read waits for it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use sqlx::PgPool;

use super::outgoing::{Backlogged, Outgoing, Size};
use crate::log::read::{self, Page};
use crate::model::events::EventTypes;
use crate::model::ids::CompanyId;

/// Events read at once: a lane takes some of them at a time.
const STRETCH: usize = 128;
/// Bytes of the data of events read at once, which take twice as many in memory: a lane keeps no more.
/// The event that exceeds it is the last one.
const STRETCH_BYTES: usize = 512 * 1024;
/// Stretches that are kept.
const KEPT: usize = 32;
/// Memory that they may take, in bytes: [`STRETCH`] events of usual size for each.
const KEPT_BYTES: usize = 4 * 1024 * 1024;
/// The number of turns to read from which unused ones are forgotten.
const TURNS: usize = 1024;

/// Whose events, and which.
type Kind = (CompanyId, EventTypes);

/// Reads the log for lanes.
pub(super) struct Backlog {
    pool: PgPool,
    kept: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    /// The newest comes last.
    stretches: VecDeque<Arc<Stretch>>,
    bytes: usize,
    /// One reads at a time what others may want as well.
    turns: HashMap<Kind, Weak<tokio::sync::Mutex<()>>>,
}

/// All events of a kind after one number of the log, up to another.
struct Stretch {
    kind: Kind,
    after: i64,
    to: i64,
    events: Vec<Arc<Outgoing>>,
    bytes: usize,
}

impl Backlog {
    pub(super) fn new(pool: PgPool) -> Self {
        Self { pool, kept: Mutex::default() }
    }

    /// Reads events of a kind after `position`, up to `to`; as many as there is room for, and one in
    /// any case.
    pub(super) async fn read(
        &self,
        kind: Kind,
        (position, to): (i64, i64),
        room: Size,
    ) -> Result<Backlogged, sqlx::Error> {
        if position >= to {
            return Ok(Backlogged { events: Vec::new(), read_to: position });
        }
        let find = || {
            let kept = self.kept();
            let found = kept.stretches.iter().rev().find(|stretch| stretch.has(kind, position));
            found.map(|stretch| stretch.part((position, to), room))
        };
        if let Some(read) = find() {
            return Ok(read);
        }
        let turn = self.turn(kind);
        let _turn = turn.lock().await;
        // Whoever had the turn before may have read it.
        if let Some(read) = find() {
            return Ok(read);
        }
        let size = (STRETCH, STRETCH_BYTES);
        let page = read::of_types_within(&self.pool, kind.0, kind.1, (position, to), size).await?;
        let stretch = Stretch::new(kind, position, page);
        let read = stretch.part((position, to), room);
        self.keep(stretch);
        Ok(read)
    }

    fn turn(&self, kind: Kind) -> Arc<tokio::sync::Mutex<()>> {
        let turns = &mut self.kept().turns;
        if let Some(turn) = turns.get(&kind).and_then(Weak::upgrade) {
            return turn;
        }
        if turns.len() >= TURNS {
            turns.retain(|_, turn| turn.strong_count() > 0);
        }
        let turn = Arc::default();
        turns.insert(kind, Arc::downgrade(&turn));
        turn
    }

    fn keep(&self, stretch: Stretch) {
        let mut kept = self.kept();
        kept.bytes += stretch.bytes;
        kept.stretches.push_back(Arc::new(stretch));
        while kept.stretches.len() > KEPT || kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.stretches.pop_front() else { return };
            kept.bytes -= oldest.bytes;
        }
    }

    fn kept(&self) -> MutexGuard<'_, Cache> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stretch {
    fn new(kind: Kind, after: i64, page: Page) -> Self {
        let events: Vec<_> = page.events.into_iter().map(Outgoing::new).collect();
        let bytes = events.iter().map(|outgoing| outgoing.bytes()).sum();
        Self { kind, after, to: page.read_to, events, bytes }
    }

    /// Does it have what comes after `position`?
    fn has(&self, kind: Kind, position: i64) -> bool {
        self.kind == kind && (self.after..self.to).contains(&position)
    }

    /// What comes after `position`, up to `to`; as many as there is room for, and one in any case.
    fn part(&self, (position, to): (i64, i64), room: Size) -> Backlogged {
        let to = to.min(self.to);
        let start = self.events.partition_point(|outgoing| outgoing.event.seq <= position);
        let end = self.events.partition_point(|outgoing| outgoing.event.seq <= to);
        let mut taken = Size::default();
        let fits = |outgoing: &&Arc<Outgoing>| {
            let admits = room.admits(taken, outgoing);
            taken.add(outgoing);
            admits
        };
        let events: Vec<_> = self.events[start..end].iter().take_while(fits).cloned().collect();
        let last = events.last().filter(|_| events.len() < end - start);
        Backlogged { read_to: last.map_or(to, |last| last.event.seq), events }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sqlx::postgres::PgPoolOptions;
    use uuid::Uuid;

    use super::*;
    use crate::model::events::{Event, EventType, SOURCE_API};
    use crate::model::ids::EventId;

    const TYPE: EventType = EventType::ContactCreated;

    fn kind(event_type: EventType) -> Kind {
        (CompanyId(Uuid::nil()), [event_type].into_iter().collect())
    }

    fn stretch(after: i64, seqs: &[i64], to: i64, bytes: usize) -> Stretch {
        let event = |seq: &i64| {
            Arc::new(Event {
                seq: *seq,
                company: CompanyId(Uuid::nil()),
                event_type: TYPE,
                id: EventId(Uuid::nil()),
                record: Uuid::nil(),
                source: SOURCE_API.into(),
                at: DateTime::UNIX_EPOCH,
                data: "x".repeat(bytes),
                actor: None,
                previous: None,
            })
        };
        Stretch::new(kind(TYPE), after, Page { events: seqs.iter().map(event).collect(), read_to: to })
    }

    /// Room for this number of events, however large.
    fn room(events: usize) -> Size {
        Size { events, bytes: usize::MAX }
    }

    fn seqs(read: &Backlogged) -> Vec<i64> {
        read.events.iter().map(|outgoing| outgoing.event.seq).collect()
    }

    #[test]
    fn a_part_tells_up_to_where_it_is_complete() {
        let stretch = stretch(10, &[11, 13, 15], 20, 1);
        for ((position, to), limit, expected, read_to) in [
            ((10, 30), 9, vec![11, 13, 15], 20),
            ((10, 30), 3, vec![11, 13, 15], 20),
            ((10, 30), 2, vec![11, 13], 13),
            ((11, 14), 9, vec![13], 14),
            ((12, 14), 1, vec![13], 14),
            ((15, 30), 9, vec![], 20),
        ] {
            let read = stretch.part((position, to), room(limit));
            assert_eq!((seqs(&read), read.read_to), (expected, read_to), "{position} {to} {limit}");
        }
        assert!(stretch.has(kind(TYPE), 10) && stretch.has(kind(TYPE), 19));
        assert!(!stretch.has(kind(TYPE), 9) && !stretch.has(kind(TYPE), 20));
        assert!(!stretch.has(kind(EventType::DealWon), 10));
    }

    #[test]
    fn a_part_has_so_many_bytes_and_at_least_one_event() {
        let stretch = stretch(0, &[1, 2, 3], 9, 1000);
        let each = stretch.events[0].bytes();
        for (bytes, expected, read_to) in [
            (0, vec![1], 1),
            (each, vec![1], 1),
            (2 * each - 1, vec![1], 1),
            (2 * each, vec![1, 2], 2),
            (3 * each, vec![1, 2, 3], 9),
        ] {
            let read = stretch.part((0, 9), Size { events: 9, bytes });
            assert_eq!((seqs(&read), read.read_to), (expected, read_to), "{bytes}");
        }
    }

    #[tokio::test]
    async fn what_was_read_is_kept_within_bounds() {
        // A database that nobody can ask.
        let pool = PgPoolOptions::new().connect_lazy("postgres://localhost/").unwrap();
        pool.close().await;
        let backlog = Backlog::new(pool);
        assert!(backlog.read(kind(TYPE), (0, 1), room(1)).await.is_err());
        backlog.keep(stretch(0, &[1, 2], 2, 1));
        assert_eq!(seqs(&backlog.read(kind(TYPE), (1, 9), room(9)).await.unwrap()), [2]);
        assert_eq!(backlog.read(kind(TYPE), (2, 2), room(9)).await.unwrap().read_to, 2);
        for number in 1..100 {
            backlog.keep(stretch(number * 10, &[], number * 10 + 10, 0));
        }
        assert!(backlog.read(kind(TYPE), (1, 9), room(9)).await.is_err(), "the oldest ones are gone");
        assert!(backlog.read(kind(TYPE), (999, 1000), room(9)).await.is_ok());
        backlog.keep(stretch(1000, &[1001], 1001, KEPT_BYTES / 2));
        assert!(backlog.read(kind(TYPE), (1000, 1001), room(1)).await.is_err(), "too large to be kept");
        let kept = backlog.kept();
        assert_eq!((kept.stretches.len(), kept.bytes), (0, 0));
    }
}
