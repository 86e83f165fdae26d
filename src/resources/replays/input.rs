//! What callers send.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::error::ApiError;
use crate::http::field::{Field, FromJson, Problems, Time};
use crate::resources::word;

/// Events a second, unless asked otherwise: gentle enough for a receiver that is at work.
const PER_SECOND: i16 = 50;
/// The most that may be asked for.
const PER_SECOND_MAX: i16 = 1000;

word!(
    /// Which events.
    #[schema(as = ReplayOnly)]
    Only, Undelivered = "undelivered", All = "all"
);

/// Events a second.
pub struct PerSecond(i16);

impl FromJson for PerSecond {
    fn from_json(json: &str) -> Result<Self, String> {
        let number: Option<i16> = serde_json::from_str(json).ok();
        number
            .filter(|number| (1..=PER_SECOND_MAX).contains(number))
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from 1 to {PER_SECOND_MAX}"))
    }
}

/// A replay to make.
#[derive(Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({"since": "2024-11-08T10:30:00.000Z", "only": "undelivered", "dryRun": true}))]
pub struct ReplayInput {
    /// From the events of that time on (ISO 8601), as far back as they are kept.
    #[serde(default)]
    #[schema(value_type = String, format = "date-time")]
    since: Field<Time>,
    /// Up to the events before that time; without it, all that are done with.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    until: Field<Time>,
    /// `undelivered`: those that were given up and not delivered since. `all`: every one that
    /// matches the filters as they are now.
    #[serde(default)]
    #[schema(value_type = Only, example = "undelivered")]
    only: Field<Only>,
    /// Events a second at most; 50 unless given.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 1000)]
    per_second: Field<PerSecond>,
    /// Only count and list what would be sent.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    dry_run: Field<bool>,
}

/// A replay to make, checked.
pub struct Wanted {
    pub(super) since: DateTime<Utc>,
    pub(super) until: Option<DateTime<Utc>>,
    pub(super) only_undelivered: bool,
    pub(super) per_second: i16,
    pub(super) dry_run: bool,
}

impl ReplayInput {
    pub(super) fn into_wanted(self, now: DateTime<Utc>) -> Result<Wanted, ApiError> {
        let mut problems = Problems::default();
        let since = problems.required("since", self.since).map(|Time(since)| since);
        let until = problems.optional("until", self.until).flatten().map(|Time(until)| until);
        let only = problems.required("only", self.only);
        let per_second = problems.optional("perSecond", self.per_second).flatten();
        let dry_run = problems.optional("dryRun", self.dry_run).flatten();
        if let (Some(since), Some(until)) = (since, until)
            && until <= since
        {
            problems.add("until", "must be later than since");
        }
        problems.finish()?;
        Ok(Wanted {
            since: since.unwrap_or(now),
            until,
            only_undelivered: only != Some(Only::All),
            per_second: per_second.map_or(PER_SECOND, |PerSecond(number)| number),
            dry_run: dry_run.unwrap_or(false),
        })
    }
}
