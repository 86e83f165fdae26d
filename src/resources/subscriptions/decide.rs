//! The rules of subscriptions. Pure: no SQL, no clock.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::etag::{self, tagged};
use super::input::{Changes, NewSubscription, Resume, ordering};
use super::rotate::{Overlap, RotatedSecret, Rotation};
use super::view::{Subscribed, SubscriptionView};
use super::{Command, NewReplay, ReplayView};
use crate::http::answer::{data, message};
use crate::http::error::{ApiError, Code};
use crate::http::id::not_found;
use crate::model::etag::ETag;
use crate::model::events::Filters;
use crate::model::ids::{CompanyId, ReplayId, SubscriptionId};
use crate::outbound::address::TargetUrl;
use crate::outbound::custom_headers::CustomHeaders;
use crate::outbound::signature::{Secret, Secrets};
use crate::resources::table::{Key, RowHeld, Table};
use crate::resources::{DecisionResult, answer};
use crate::subscription::{Status, Subscription};
use crate::writer::Answer;

/// Subscriptions of one company, deactivated ones included: enough for any
/// account, few enough that listing them stays one answer.
pub const MAX_PER_COMPANY: usize = 1000;

/// Replays of one company that run at a time: each adds to what its receivers get.
const MAX_RUNNING_REPLAYS: i64 = 10;

/// Filters of before that a subscription keeps for events that wait.
const MAX_EARLIER_FILTERS: usize = 10;

/// The subscriptions that a batch touches.
#[derive(Default)]
pub struct Subscriptions {
    pub(super) rows: Table<Subscription>,
    /// Active and paused ones by what must be unique.
    pub(super) twins: HashMap<Twin, SubscriptionId>,
    /// Up to which number of the log each is done.
    pub(super) done: HashMap<SubscriptionId, i64>,
    /// The last number of the log, if filters change.
    pub(super) head: i64,
    /// Deactivated ones among those that are known.
    pub(super) deactivated: Vec<SubscriptionId>,
    /// Where new ones begin, if not at the end of the log.
    pub(super) starts: HashMap<SubscriptionId, i64>,
    /// Those whose waiting events are skipped.
    pub(super) skipping: BTreeSet<Key>,
    /// Those whose waiting events are tried at once, with new patience.
    pub(super) hurried: BTreeSet<Key>,
    /// Those whose URL changed.
    pub(super) moved: BTreeSet<Key>,
    /// Replays to begin.
    pub(super) replays: Vec<(CompanyId, SubscriptionId, ReplayId, NewReplay, DateTime<Utc>)>,
    /// How many a company has that wants one more.
    pub(super) counts: HashMap<CompanyId, usize>,
    /// Replays that run of a company that wants one more.
    pub(super) running: HashMap<CompanyId, i64>,
}

/// What no two active or paused subscriptions share: company, events, URL and
/// canonical filters.
pub type Twin = (CompanyId, String, String, String);

/// What a subscription would be after changes, and what else they mean.
pub struct ChangedSubscription {
    pub(super) subscription: Subscription,
    /// The events that wait are skipped.
    skips: bool,
    /// What waits for its time is tried at once.
    hurries: bool,
}

/// What no other subscription may share.
pub fn twin(subscription: &Subscription) -> Twin {
    let Subscription { company, events, target, filters, .. } = subscription;
    (*company, events.to_string(), target.as_str().to_owned(), filters.canonical())
}

/// Returns whether the subscription takes part in that uniqueness.
fn is_exclusive(subscription: &Subscription) -> bool {
    matches!(subscription.status, Status::Active | Status::Paused)
}

/// Applies changes.
pub fn changed(
    current: &Subscription,
    changes: &Changes,
    now: DateTime<Utc>,
) -> Result<ChangedSubscription, ApiError> {
    let mut changed = current.clone();
    if let Some((target, loopback)) = &changes.target {
        changed.target = target.clone();
        changed.loopback = *loopback;
    }
    if let Some(filters) = &changes.filters {
        changed.filters = Filters::parse(&current.events, filters)
            .map_err(|error| ApiError::invalid_field("filters", error.to_string()))?;
    }
    if let Some(headers) = &changes.headers {
        changed.headers = headers.clone();
    }
    changed.include = changes.include.unwrap_or(current.include);
    changed.ignored_actor = changes.ignored_actor.unwrap_or(current.ignored_actor);
    changed.ordering = ordering(current.ordering, changes.ordering, changes.concurrency)
        .map_err(|sentence| ApiError::invalid_field("concurrency", sentence))?;
    match changes.active {
        Some(true) => (changed.status, changed.status_reason) = (Status::Active, None),
        // Pausing what is deactivated leaves the reason visible.
        Some(false) if current.is_active() => changed.status = Status::Paused,
        Some(false) | None => {}
    }
    // Of one that is active it means: try now.
    let hurries = changes.active == Some(true) || changed.target != current.target || changes.skip;
    if hurries {
        changed.resumed_at = Some(now);
    }
    if hurries || changed != *current {
        changed.updated_at = now.max(current.updated_at);
    }
    Ok(ChangedSubscription { subscription: changed, skips: changes.skip, hurries })
}

/// The tag of the subscription that a command changes, as of now.
pub fn etag(
    subscriptions: &Subscriptions,
    company: CompanyId,
    command: &Command,
) -> Result<Option<ETag>, RowHeld> {
    match command {
        Command::Change(id, _) | Command::Unsubscribe(id) => {
            Ok(subscriptions.find(company, *id)?.as_ref().map(etag::etag))
        }
        Command::Subscribe(..) | Command::Rotate(..) | Command::Replay(..) => Ok(None),
    }
}

/// Decides one command and notes what it changes.
pub fn run(
    subscriptions: &mut Subscriptions,
    company: CompanyId,
    command: &Command,
    now: DateTime<Utc>,
) -> DecisionResult {
    let outcome = match command {
        Command::Subscribe(id, new) => subscribe(subscriptions, company, *id, new, now)?,
        Command::Change(id, changes) => match subscriptions.find(company, *id)? {
            Some(current) => change(subscriptions, company, &current, changes, now),
            None => Err(not_found::<SubscriptionId>()),
        },
        Command::Rotate(id, rotation) => match subscriptions.find(company, *id)? {
            Some(current) => rotate(subscriptions, &current, rotation, now),
            None => Err(not_found::<SubscriptionId>()),
        },
        Command::Unsubscribe(id) => match subscriptions.find(company, *id)? {
            Some(current) => {
                let deleted = Subscription {
                    status: Status::Deleted,
                    status_reason: None,
                    secrets: Secrets::new(current.secrets.current.clone()),
                    filters: Filters::default(),
                    earlier_filters: Vec::new(),
                    headers: CustomHeaders::default(),
                    updated_at: now,
                    ..current.clone()
                };
                subscriptions.put(company, Some(&current), deleted);
                answer(200, &message("Webhook unsubscribed successfully"))
            }
            None => Err(not_found::<SubscriptionId>()),
        },
        Command::Replay(id, replay, new) => match subscriptions.find(company, *id)? {
            Some(current) => begin(subscriptions, company, current, (*replay, new), now),
            None => Err(not_found::<SubscriptionId>()),
        },
    };
    // Changes of subscriptions are no events.
    Ok(outcome.map(|answer| (answer, Vec::new())))
}

/// Begins a replay.
fn begin(
    subscriptions: &mut Subscriptions,
    company: CompanyId,
    current: Subscription,
    (replay, new): (ReplayId, &NewReplay),
    now: DateTime<Utc>,
) -> Result<Answer, ApiError> {
    let running = subscriptions.running.entry(company).or_default();
    if *running >= MAX_RUNNING_REPLAYS {
        let message = format!(
            "{MAX_RUNNING_REPLAYS} replays of your company run already; wait for one to end, or cancel one"
        );
        return Err(ApiError::new(Code::Conflict, "Too many replays run", message));
    }
    *running += 1;
    subscriptions.replays.push((company, current.id, replay, *new, now));
    let outcome = answer(202, &data(ReplayView::new(replay, &current, new, now)));
    // A change that changes nothing: whoever delivers hears of it.
    subscriptions.put(company, Some(&current.clone()), current);
    outcome
}

fn subscribe(
    subscriptions: &mut Subscriptions,
    company: CompanyId,
    id: SubscriptionId,
    new: &NewSubscription,
    now: DateTime<Utc>,
) -> Result<Result<Answer, ApiError>, RowHeld> {
    // An endpoint has one secret, unless its owner wants it otherwise.
    let known = subscriptions.of_endpoint(company, &new.target).map(|known| &known.secrets);
    let made = || Secrets::new(new.made.clone());
    let secrets = match &new.secret {
        Some(sent) => Secrets::new(sent.clone()),
        None => known.cloned().unwrap_or_else(made),
    };
    let subscription = Subscription {
        company,
        id,
        events: new.events.clone(),
        target: new.target.clone(),
        filters: new.filters.clone(),
        earlier_filters: Vec::new(),
        ignored_actor: new.ignored_actor.flatten(),
        include: new.include.unwrap_or_default(),
        headers: new.headers.clone().unwrap_or_default(),
        secrets,
        status: Status::Active,
        status_reason: None,
        loopback: new.loopback,
        ordering: new.ordering,
        skip_to: 0,
        resumed_at: None,
        version: 0,
        created_at: now,
        updated_at: now,
    };
    if let Some(known) = subscriptions.twin_of(&subscription)? {
        return Ok(subscribe_again(subscriptions, company, &known, new, now));
    }
    let count = subscriptions.counts.entry(company).or_default();
    if *count >= MAX_PER_COMPANY {
        let sentence = format!(
            "would be one too many: your company has {MAX_PER_COMPANY} subscriptions already; unsubscribe some first"
        );
        return Ok(Err(ApiError::invalid_field("event", sentence)));
    }
    *count += 1;
    let outcome = tagged(answer(201, &Subscribed::from(&subscription)), &subscription);
    subscriptions.starts.extend(new.start.map(|start| (id, start)));
    subscriptions.put(company, None, subscription);
    Ok(outcome)
}

/// There is one like it already: it takes over what the request asks differently, and is
/// resumed if the server had deactivated it.
fn subscribe_again(
    subscriptions: &mut Subscriptions,
    company: CompanyId,
    known: &Subscription,
    new: &NewSubscription,
    now: DateTime<Utc>,
) -> Result<Answer, ApiError> {
    if new.start.is_some() {
        let message = format!(
            "The subscription {} exists already, so it cannot begin at another time; replay what you want again (POST /webhooks/{}/replay)",
            known.id,
            known.id.hook()
        );
        return Err(ApiError::new(Code::AlreadyExists, "Subscription already exists", message)
            .detail("field", "since")
            .detail("existingId", known.id.to_string()));
    }
    let mut changed = known.clone();
    let (word, concurrency) = new.asked_ordering;
    changed.ordering = ordering(known.ordering, word, concurrency)
        .map_err(|sentence| ApiError::invalid_field("concurrency", sentence))?;
    if let Some(secret) = new.secret.as_ref().filter(|secret| **secret != known.secrets.current) {
        changed.secrets = change_secret(subscriptions, known, secret, (now, Overlap::DEFAULT.0))?;
    }
    if let Some(headers) = &new.headers {
        changed.headers = headers.clone();
    }
    changed.include = new.include.unwrap_or(known.include);
    changed.ignored_actor = new.ignored_actor.unwrap_or(known.ignored_actor);
    let resumes = known.status == Status::Deactivated || (new.resume.is_some() && !known.is_active());
    let skips = new.resume == Some(Resume::Now);
    if resumes {
        (changed.status, changed.status_reason) = (Status::Active, None);
    }
    if resumes || skips {
        changed.resumed_at = Some(now);
    }
    let differs = changed != *known;
    if differs {
        changed.updated_at = now.max(known.updated_at);
    }
    let outcome = tagged(answer(200, &Subscribed::from(&changed)), &changed);
    if differs {
        let key = (company, known.id.0);
        subscriptions.skipping.extend(skips.then_some(key));
        subscriptions.hurried.extend((resumes || skips).then_some(key));
        subscriptions.put(company, Some(known), changed);
    }
    outcome
}

/// Changes the secret of a subscription and of all to its URL that share it: one receiver verifies
/// them. Returns the secrets.
fn change_secret(
    subscriptions: &mut Subscriptions,
    current: &Subscription,
    secret: &Secret,
    (now, overlap): (DateTime<Utc>, Duration),
) -> Result<Secrets, ApiError> {
    let company = current.company;
    let secrets = current.secrets.rotated(secret.clone(), now, now + overlap).ok_or_else(|| {
        let message = format!(
            "{} earlier secrets still sign, which is as many as may; wait until one ends, or send overlap: \"0s\" to POST /webhooks/{}/rotate-secret, which ends all of them",
            Secrets::MAX_PREVIOUS,
            current.id.hook()
        );
        ApiError::new(Code::Conflict, "Too many secrets are in force", message)
    })?;
    let all = subscriptions.rows.of(company).filter(|other| {
        other.status != Status::Deleted
            && other.target == current.target
            && other.secrets.current == current.secrets.current
    });
    for other in all.cloned().collect::<Vec<_>>() {
        let updated_at = now.max(other.updated_at);
        let changed = Subscription { secrets: secrets.clone(), updated_at, ..other.clone() };
        subscriptions.put(company, Some(&other), changed);
    }
    Ok(secrets)
}

fn change(
    subscriptions: &mut Subscriptions,
    company: CompanyId,
    current: &Subscription,
    changes: &Changes,
    now: DateTime<Utc>,
) -> Result<Answer, ApiError> {
    let ChangedSubscription { subscription: mut changed, skips, hurries } = changed(current, changes, now)?;
    if changed.filters != current.filters {
        changed.earlier_filters = subscriptions.earlier_filters(current)?;
    }
    if is_exclusive(&changed)
        && let Some(other) = subscriptions.twins.get(&twin(&changed)).filter(|other| **other != current.id)
    {
        let message = format!("Another subscription has these events, target_url and filters: {other}");
        return Err(ApiError::new(Code::AlreadyExists, "Subscription already exists", message)
            .detail("field", "target_url")
            .detail("existingId", other.to_string()));
    }
    let outcome = tagged(answer(200, &data(SubscriptionView::new(&changed, now))), &changed);
    let key = (company, current.id.0);
    subscriptions.skipping.extend(skips.then_some(key));
    subscriptions.hurried.extend(hurries.then_some(key));
    subscriptions.moved.extend((changed.target != current.target).then_some(key));
    if hurries || changed != *current {
        subscriptions.put(company, Some(current), changed);
    }
    outcome
}

fn rotate(
    subscriptions: &mut Subscriptions,
    current: &Subscription,
    rotation: &Rotation,
    now: DateTime<Utc>,
) -> Result<Answer, ApiError> {
    if rotation.secret == current.secrets.current {
        let sentence = "is the secret already; send another one, or leave it out to have one made";
        return Err(ApiError::invalid_field("secret", sentence));
    }
    let secrets = change_secret(subscriptions, current, &rotation.secret, (now, rotation.overlap))?;
    answer(200, &data(RotatedSecret::from(&Subscription { secrets, ..current.clone() })))
}

impl Subscriptions {
    /// The subscription, unless it is deleted.
    fn find(&self, company: CompanyId, id: SubscriptionId) -> Result<Option<Subscription>, RowHeld> {
        let found = self.rows.get((company, id.0))?;
        Ok(found.filter(|found| found.status != Status::Deleted).cloned())
    }

    /// The filters for the events that wait when those of the subscription change.
    fn earlier_filters(&self, current: &Subscription) -> Result<Vec<(i64, Filters)>, ApiError> {
        let done = self.done.get(&current.id).copied().unwrap_or_default();
        let mut earlier = current.earlier_filters.clone();
        // Without an event in between, nothing was judged by them.
        if earlier.last().is_none_or(|(to, _)| *to < self.head) {
            earlier.push((self.head, current.filters.clone()));
        }
        earlier.retain(|(to, _)| *to > done);
        if earlier.len() > MAX_EARLIER_FILTERS {
            let message = format!(
                "The filters were changed {MAX_EARLIER_FILTERS} times while events wait, and each event is judged by the filters of its time. Wait until the events are delivered, or skip them with resume: \"now\", then change the filters"
            );
            return Err(ApiError::new(Code::Conflict, "Too many filters are in force", message));
        }
        Ok(earlier)
    }

    /// One that would be a twin of this one; a deactivated one if there is no other.
    fn twin_of(&self, subscription: &Subscription) -> Result<Option<Subscription>, RowHeld> {
        let twin_of = twin(subscription);
        let company = subscription.company;
        if let Some(known) = self.twins.get(&twin_of) {
            return Ok(self.rows.get((company, known.0))?.cloned());
        }
        let known = self.deactivated.iter().filter_map(|id| self.rows.get((company, id.0)).ok().flatten());
        let known = known.filter(|known| known.status == Status::Deactivated && twin(known) == twin_of);
        Ok(known.max_by_key(|known| (known.updated_at, known.id)).cloned())
    }

    /// The oldest subscription to a URL, unless it is deleted.
    fn of_endpoint(&self, company: CompanyId, target: &TargetUrl) -> Option<&Subscription> {
        let members = self.rows.of(company);
        let members = members.filter(|known| known.status != Status::Deleted && known.target == *target);
        members.min_by_key(|known| (known.created_at, known.id))
    }

    fn put(&mut self, company: CompanyId, before: Option<&Subscription>, subscription: Subscription) {
        if let Some(before) = before.filter(|before| is_exclusive(before)) {
            self.twins.remove(&twin(before));
        }
        if is_exclusive(&subscription) {
            self.twins.insert(twin(&subscription), subscription.id);
        }
        self.rows.put((company, subscription.id.0), subscription);
    }
}

#[cfg(test)]
mod tests;
