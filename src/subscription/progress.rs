use chrono::{DateTime, Utc};

/// How far a subscription is, as its cursor says. The lane that delivers may be further.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Progress {
    /// Every event up to here is done: delivered, given up, not wanted, or skipped.
    pub done: i64,
    /// The stored position; less than `done` if other things say that more is done.
    pub cursor: i64,
    /// Whether the checkpoint of the shard says nothing about this subscription.
    pub lagging: bool,
    /// Attempts made for the next event, fewer than
    /// [`MAX_ATTEMPTS`](crate::outbound::retry::MAX_ATTEMPTS).
    pub head_attempts: u8,
    /// When the next attempt is due.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// What was read beyond the cursor.
    pub read_ahead: Option<ReadAhead>,
    /// How deliveries go.
    pub health: Health,
}

/// How deliveries go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// Undelivered events in a row.
    pub undelivered_in_row: i32,
    /// When the last attempt was made.
    pub last_attempt_at: Option<DateTime<Utc>>,
    /// When the last event was delivered.
    pub last_success_at: Option<DateTime<Utc>>,
    /// Why the last attempt failed; nothing if it did not.
    pub last_error: Option<String>,
}

/// How far a subscription was read beyond its cursor, and what of that is not done.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadAhead {
    /// Everything up to here was read.
    pub read: i64,
    /// In the order of the log.
    pub owed: Vec<Owed>,
}

/// An event that was read and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Its number.
    pub seq: i64,
    /// Attempts made, fewer than [`MAX_ATTEMPTS`](crate::outbound::retry::MAX_ATTEMPTS).
    pub attempts: u8,
    /// When the next one is due.
    pub due: Option<DateTime<Utc>>,
}

/// A [`ReadAhead`] as stored: due times in milliseconds since 1970.
type StoredReadAhead = (i64, Vec<(i64, u8, Option<i64>)>);

impl ReadAhead {
    /// As it is stored in `cursors.read_ahead`.
    pub fn to_json(&self) -> String {
        let owed = self.owed.iter();
        let owed = owed.map(|owed| (owed.seq, owed.attempts, owed.due.map(|due| due.timestamp_millis())));
        let stored: StoredReadAhead = (self.read, owed.collect());
        serde_json::to_string(&stored).unwrap_or_default()
    }

    /// Reads what is stored in `cursors.read_ahead`.
    pub fn from_json(json: &str) -> Option<Self> {
        let (read, owed): StoredReadAhead = serde_json::from_str(json).ok()?;
        let owed = owed.into_iter().map(|(seq, attempts, due)| Owed {
            seq,
            attempts,
            due: due.and_then(DateTime::from_timestamp_millis),
        });
        Some(Self { read, owed: owed.collect() })
    }
}

impl Progress {
    /// What it is worth at another endpoint: what waited for the receiver before waits no more, and
    /// how that one did says nothing about the new one.
    #[must_use]
    pub fn at_another_endpoint(mut self) -> Self {
        self.next_attempt_at = None;
        self.read_ahead.iter_mut().flat_map(|ahead| &mut ahead.owed).for_each(|owed| owed.due = None);
        self.health.undelivered_in_row = 0;
        self
    }

    /// When the next attempt for an event that is being retried is due.
    pub fn next_attempt_of(&self, seq: i64) -> Option<DateTime<Utc>> {
        let owed = self.read_ahead.iter().flat_map(|ahead| &ahead.owed);
        match owed.into_iter().find(|owed| owed.seq == seq) {
            Some(owed) => owed.due,
            None => self.next_attempt_at,
        }
    }
}
