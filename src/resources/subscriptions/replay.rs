//! A replay that a command begins, and as it is shown.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::ids::{ReplayId, SubscriptionId};
use crate::model::time::serialize_time;
use crate::subscription::{Status, Subscription};

/// Events to send again.
#[derive(Clone, Copy, Debug)]
pub struct NewReplay {
    /// Only those that were given up?
    pub only_undelivered: bool,
    /// The most events per second.
    pub per_second: i16,
    /// Those after this number.
    pub from: i64,
    /// Up to this one.
    pub to: i64,
    /// How far it is; before `from` only if it is about the one event `from`, which is `to` too.
    pub position: i64,
}

impl NewReplay {
    /// Of the events after `from`, up to `to`.
    pub fn range(from: i64, to: i64, only_undelivered: bool, per_second: i16) -> Self {
        Self { only_undelivered, per_second, from, to: to.max(from), position: from }
    }

    /// Of one event, whether it matches the filters or not.
    pub fn single(seq: i64) -> Self {
        Self { only_undelivered: false, per_second: 1, from: seq, to: seq, position: seq - 1 }
    }
}

/// A replay.
#[derive(Serialize, ToSchema)]
pub struct ReplayView {
    /// `replay_…`
    #[schema(value_type = String)]
    pub(in crate::resources) id: ReplayId,
    /// `sub_…`
    #[schema(value_type = String)]
    pub(in crate::resources) subscription_id: SubscriptionId,
    /// `running`, `done`, `cancelled` or `failed`.
    #[schema(example = "running")]
    pub(in crate::resources) status: String,
    /// Why the replay failed.
    #[schema(required)]
    pub(in crate::resources) status_reason: Option<String>,
    /// What the replay waits for; null if for nothing.
    #[schema(required, example = json!(null))]
    pub(in crate::resources) waits_for: Option<&'static str>,
    /// Which events are sent: `undelivered` or `all`.
    #[schema(example = "undelivered")]
    pub(in crate::resources) only: &'static str,
    /// The most events per second.
    pub(in crate::resources) per_second: i16,
    /// The progress, from 0 to 1.
    #[schema(example = 0.5)]
    pub(in crate::resources) progress: f64,
    /// The number of events that were delivered.
    pub(in crate::resources) delivered: i64,
    /// The number of events that were given up after four attempts.
    pub(in crate::resources) undelivered: i64,
    /// The number of events that became too old to be kept before the replay came to them, and are
    /// not sent; with filters, at most this many.
    pub(in crate::resources) missed: i64,
    #[serde(serialize_with = "serialize_time")]
    pub(in crate::resources) created_at: DateTime<Utc>,
    #[serde(serialize_with = "serialize_time")]
    pub(in crate::resources) updated_at: DateTime<Utc>,
}

impl ReplayView {
    /// One that begins.
    pub fn new(id: ReplayId, subscription: &Subscription, new: &NewReplay, now: DateTime<Utc>) -> Self {
        Self {
            id,
            subscription_id: subscription.id,
            status: "running".to_owned(),
            status_reason: None,
            waits_for: Self::waits_for(true, subscription.status),
            only: Self::only(new.only_undelivered),
            per_second: new.per_second,
            progress: 0.0,
            delivered: 0,
            undelivered: 0,
            missed: 0,
            created_at: now,
            updated_at: now,
        }
    }

    /// What a replay waits for, if it `runs`, while its subscription has this status.
    pub(in crate::resources) fn waits_for(runs: bool, status: Status) -> Option<&'static str> {
        match status {
            _ if !runs => None,
            Status::Active | Status::Deleted => None,
            Status::Paused => Some("the subscription is paused; nothing is sent until it is resumed"),
            Status::Deactivated => {
                Some("the subscription is deactivated; nothing is sent until it is resumed")
            }
        }
    }

    /// Which events it sends.
    pub(in crate::resources) fn only(only_undelivered: bool) -> &'static str {
        if only_undelivered { "undelivered" } else { "all" }
    }
}
