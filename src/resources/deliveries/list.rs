//! Listing deliveries: walking from the newest to the oldest, a bounded way per page.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sqlx::PgPool;
use utoipa::IntoParams;
use uuid::Uuid;

use super::store;
use super::view::{Delivery, say_what_is_waited_for};
use super::{Api, State};
use crate::http::allowed::{Allowed, WebhooksRead};
use crate::http::answer;
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::ReadErrors;
use crate::http::paging::{Continued, DEFAULT_LIMIT, MAX_LIMIT};
use crate::http::query::{self, Query};
use crate::log::seek;
use crate::model::events::EventType;
use crate::model::ids::{CompanyId, ContactId, DealId, DeliveryId, SubscriptionId};
use crate::subscription::{self, Stored};

/// Deliveries looked at for one page, so that a filter that matches little cannot make
/// a request expensive; the next page goes on from there.
const MAX_LOOKED_AT: usize = 2_000;
/// Deliveries looked at in one go: the longest page, and whether there is more.
const STEP: usize = MAX_LIMIT.unsigned_abs() as usize + 1;

/// Which deliveries.
#[derive(Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Return only deliveries of events of this type.
    #[param(value_type = Option<EventType>)]
    event_type: Option<String>,
    /// Return only deliveries of events about this contact or deal.
    #[param(format = "record-id")]
    record_id: Option<String>,
    /// Return only deliveries of events at this time or later (ISO 8601).
    #[param(format = "date-time")]
    since: Option<String>,
    /// Return only deliveries of events before this time (ISO 8601).
    #[param(format = "date-time")]
    until: Option<String>,
    /// The most deliveries on a page, 1–200; 50 by default.
    #[param(value_type = Option<i64>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `meta.nextCursor` of the previous page.
    #[param(format = "cursor")]
    cursor: Option<String>,
}

/// Which of a subscription's deliveries.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct StateQuery {
    /// Return only deliveries in this state.
    #[param(value_type = Option<State>)]
    state: Option<String>,
}

/// List the deliveries of a subscription
///
/// Lists every event that was attempted, is waiting or was skipped, newest first. A page can be
/// short, or empty, and still have a `meta.nextCursor`: then many deliveries did not match.
#[utoipa::path(get, path = "/webhooks/{id}/deliveries", operation_id = "listDeliveries", tag = "Deliveries",
    params(Id<SubscriptionId>, StateQuery, ListQuery),
    responses((status = 200, description = "A page of deliveries", body = Continued<Delivery>), ReadErrors))]
pub(super) async fn list(
    Shared(api): Shared<Api>,
    caller: Allowed<WebhooksRead>,
    Id(id): Id<SubscriptionId>,
    Query(StateQuery { state }): Query<StateQuery>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let state = query::word("state", state)?;
    let wanted = Selection::parse(wanted, state)?;
    let stored = subscription::one(&*api.reads.of(caller.company()).await?, caller.company(), id).await?;
    let stored = stored.ok_or_else(not_found::<SubscriptionId>)?;
    let mut page =
        if wanted.event_type.is_none_or(|wanted| stored.subscription.events.types().contains(wanted)) {
            page(&*api.reads.of(caller.company()).await?, caller.company(), &wanted, Some(stored)).await?
        } else {
            wanted.page(Vec::new(), None)
        };
    say_what_is_waited_for(&*api.reads.of(caller.company()).await?, caller.company(), &mut page.data).await?;
    Ok(answer::json(StatusCode::OK, &page))
}

/// List what was not delivered
///
/// Lists the events that were given up after the last attempt, of all subscriptions, newest
/// first, without those that a replay has delivered since. A page can be short, or empty, and
/// still have a `meta.nextCursor`.
#[utoipa::path(get, path = "/webhooks/undelivered", operation_id = "listUndelivered", tag = "Deliveries", params(ListQuery),
    responses((status = 200, description = "A page of deliveries", body = Continued<Delivery>), ReadErrors))]
pub(super) async fn undelivered(
    Shared(api): Shared<Api>,
    caller: Allowed<WebhooksRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let wanted = Selection::parse(wanted, Some(State::Undelivered))?;
    let page = page(&*api.reads.of(caller.company()).await?, caller.company(), &wanted, None).await?;
    Ok(answer::json(StatusCode::OK, &page))
}

/// What a caller wants to see.
struct Selection {
    state: Option<State>,
    event_type: Option<EventType>,
    record_id: Option<String>,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    limit: i64,
    /// The last delivery that was looked at.
    cursor: Option<DeliveryId>,
}

impl Selection {
    fn parse(query: ListQuery, state: Option<State>) -> Result<Self, ApiError> {
        let record_id = query::text(query.record_id);
        let is_record = |id: &String| ContactId::parse(id).is_some() || DealId::parse(id).is_some();
        if !record_id.as_ref().is_none_or(is_record) {
            return Err(ApiError::invalid_query("recordId", "must be an id like `contact_…` or `deal_…`"));
        }
        let cursor = query::text(query.cursor).map(|cursor| {
            DeliveryId::parse(&cursor).ok_or_else(|| {
                ApiError::invalid_query("cursor", "must be the `meta.nextCursor` of an earlier answer")
            })
        });
        Ok(Self {
            state,
            event_type: query::word("eventType", query.event_type)?,
            record_id,
            since: query::time("since", query.since)?,
            until: query::time("until", query.until)?,
            limit: query::number("limit", query.limit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            cursor: cursor.transpose()?,
        })
    }

    fn matches(&self, delivery: &Delivery) -> bool {
        self.state.is_none_or(|state| state == delivery.state)
            && (self.event_type.is_none() || self.event_type == delivery.event)
            && (self.record_id.is_none() || self.record_id == delivery.record_id)
    }

    fn page(&self, data: Vec<Delivery>, next_cursor: Option<DeliveryId>) -> Continued<Delivery> {
        Continued::new(data, self.limit, next_cursor.map(|id| id.to_string()))
    }
}

/// A page of one subscription's deliveries, or of what all subscriptions did not get.
async fn page(
    pool: &PgPool,
    company: CompanyId,
    wanted: &Selection,
    only: Option<Stored>,
) -> Result<Continued<Delivery>, ApiError> {
    let limit = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    let (mut after, mut place) = bounds(pool, wanted).await?;
    if let (Some(only), Some(state @ (State::Waiting | State::Retrying))) = (&only, wanted.state) {
        let replayed = match state {
            State::Retrying => store::replayed_after(pool, company, only.subscription.id).await?,
            _ => None,
        };
        after = after.max(only.progress.done.min(replayed.unwrap_or(i64::MAX)));
    }
    let (mut data, mut looked_at) = (Vec::new(), 0);
    loop {
        let step = match (&only, wanted.state) {
            (None, _) | (_, Some(State::Undelivered)) => {
                store::given_up(pool, company, after, place, STEP).await?
            }
            (Some(only), state) => {
                let also = |wanted| state.is_none_or(|state| state == wanted);
                let also = (also(State::Waiting), also(State::Skipped));
                store::of_subscription(pool, company, only, (after, place.seq), also, STEP).await?
            }
        };
        for delivery in look_at(pool, company, &step.ids, only.as_ref()).await? {
            if !wanted.matches(&delivery) {
                continue;
            }
            if data.len() == limit {
                let next_cursor = data.last().map(|last: &Delivery| last.id);
                return Ok(wanted.page(data, next_cursor));
            }
            data.push(delivery);
        }
        looked_at += step.ids.len();
        match step.ids.last() {
            Some(last) if step.more => place = *last,
            _ => return Ok(wanted.page(data, None)),
        }
        if data.len() == limit || looked_at >= MAX_LOOKED_AT {
            return Ok(wanted.page(data, Some(place)));
        }
    }
}

/// Where the walk begins and ends, both excluded.
async fn bounds(pool: &PgPool, wanted: &Selection) -> Result<(i64, DeliveryId), ApiError> {
    let after = match wanted.since {
        Some(since) => seek::before(pool, since).await?,
        None => 0,
    };
    let before = match wanted.until {
        Some(until) => seek::before(pool, until).await? + 1,
        None => i64::MAX,
    };
    let place = DeliveryId { seq: before, subscription: SubscriptionId(Uuid::nil()) };
    Ok((after, wanted.cursor.map_or(place, |cursor| cursor.min(place))))
}

/// What there is to tell of these, in the same order; those of `only`, if given. What
/// does not match a subscription's filters, or is of a deleted one, is no delivery.
pub(super) async fn look_at(
    pool: &PgPool,
    company: CompanyId,
    step: &[DeliveryId],
    only: Option<&Stored>,
) -> Result<Vec<Delivery>, ApiError> {
    let step: Vec<_> =
        step.iter().filter(|id| only.is_none_or(|only| only.subscription.id == id.subscription)).collect();
    let found;
    let subscriptions = match only {
        Some(only) => std::slice::from_ref(only),
        None => {
            let mut ids: Vec<_> = step.iter().map(|id| id.subscription.0).collect();
            ids.sort_unstable();
            ids.dedup();
            found = subscription::some(pool, company, &ids).await?;
            &found
        }
    };
    let attempts = store::summaries(pool, company, &step).await?;
    let numbers: Vec<_> = step.iter().map(|id| id.seq).collect();
    let untouched: Vec<_> = step.iter().copied().filter(|id| !attempts.contains_key(id)).collect();
    let skipped = store::skipped(pool, company, &untouched).await?;
    let untouched: Vec<_> = untouched.iter().map(|id| id.seq).collect();
    let events = store::events(pool, company, &numbers, &untouched).await?;
    let deliveries = step.iter().filter_map(|id| {
        let stored = subscriptions.iter().find(|stored| stored.subscription.id == id.subscription)?;
        let attempts: Vec<_> = attempts.get(id).into_iter().flatten().collect();
        Delivery::new(stored, id.seq, events.get(&id.seq), &attempts, skipped.contains(id))
    });
    Ok(deliveries.collect())
}
