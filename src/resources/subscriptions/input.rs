//! What subscribers send.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::http::error::ApiError;
use crate::http::field::{Field, FromJson, Problems, Text, Time};
use crate::http::json::inexact_number;
use crate::model::events::{EventSelection, Filters, Include, IncludeError, IncludeWord};
use crate::model::words::words;
use crate::outbound::address::TargetUrl;
use crate::outbound::custom_headers::CustomHeaders;
use crate::outbound::signature::Secret;
use crate::outbound::targets::{Targets, Whose};
use crate::subscription::{Ordering, OrderingWord};

impl FromJson for TargetUrl {
    fn from_json(json: &str) -> Result<Self, String> {
        let text: String = serde_json::from_str(json).map_err(|_| "must be text".to_owned())?;
        text.parse().map_err(|error: crate::outbound::address::TargetUrlError| error.to_string())
    }
}

/// One text, with commas between if it has several events, or a list of texts.
impl FromJson for EventSelection {
    fn from_json(json: &str) -> Result<Self, String> {
        let texts = serde_json::from_str::<Vec<String>>(json)
            .or_else(|_| serde_json::from_str::<String>(json).map(|text| vec![text]))
            .map_err(|_| "must be text or a list of texts".to_owned())?;
        Self::parse(texts.iter().map(String::as_str)).map_err(|error| error.to_string())
    }
}

/// A list of words, or one text with commas between.
impl FromJson for Include {
    fn from_json(json: &str) -> Result<Self, String> {
        let texts = serde_json::from_str::<Vec<String>>(json)
            .or_else(|_| serde_json::from_str::<String>(json).map(|text| vec![text]))
            .map_err(|_| IncludeError.to_string())?;
        Self::parse(texts.iter().map(String::as_str)).map_err(|error| error.to_string())
    }
}

impl FromJson for Secret {
    fn from_json(json: &str) -> Result<Self, String> {
        let secret: Option<Self> =
            serde_json::from_str::<String>(json).ok().and_then(|text| text.trim().parse().ok());
        secret.ok_or_else(|| {
            r#"must be "whsec_" followed by the base64 of 24 to 64 bytes; leave it out to have one made"#
                .into()
        })
    }
}

impl FromJson for CustomHeaders {
    fn from_json(json: &str) -> Result<Self, String> {
        Self::parse(&Value::from_json(json)?)
    }
}

impl FromJson for Value {
    fn from_json(json: &str) -> Result<Self, String> {
        let value = serde_json::from_str(json).map_err(|error| format!("is not valid JSON: {error}"))?;
        match inexact_number(json) {
            None => Ok(value),
            Some(number) => {
                let number: String = number.chars().take(50).collect();
                Err(format!("has the number {number}, which has too many digits; send it as text"))
            }
        }
    }
}

impl FromJson for bool {
    fn from_json(json: &str) -> Result<Self, String> {
        match json {
            "true" | r#""true""# => Ok(true),
            "false" | r#""false""# => Ok(false),
            _ => Err("must be true or false".into()),
        }
    }
}

/// Deliveries at a time where order holds per record, unless asked otherwise.
const CONCURRENCY: u8 = 16;
/// The most that may be asked for.
const CONCURRENCY_MAX: u8 = 64;

words! {
    /// From where a subscription goes on.
    pub enum Resume {
        /// The events that wait are skipped.
        Now = "now",
        /// The events that wait are delivered.
        Waiting = "waiting",
    }
}

/// The most deliveries at a time.
#[derive(Clone, Copy)]
pub struct Concurrency(u8);

impl FromJson for Concurrency {
    fn from_json(json: &str) -> Result<Self, String> {
        let number: Option<u8> = serde_json::from_str(json).ok();
        number
            .filter(|number| (1..=CONCURRENCY_MAX).contains(number))
            .map(Self)
            .ok_or_else(|| format!("must be a whole number from 1 to {CONCURRENCY_MAX}"))
    }
}

/// What a caller says about order, checked against what holds already.
pub fn ordering(
    current: Ordering,
    word: Option<OrderingWord>,
    concurrency: Option<Concurrency>,
) -> Result<Ordering, &'static str> {
    let concurrency = concurrency.map(|Concurrency(number)| number);
    let known = match current {
        Ordering::Record { concurrency } => concurrency,
        Ordering::Subscription => CONCURRENCY,
    };
    let per_record = word.map_or(current != Ordering::Subscription, |word| word == OrderingWord::Record);
    match (per_record, concurrency) {
        (true, concurrency) => Ok(Ordering::Record { concurrency: concurrency.unwrap_or(known) }),
        (false, None | Some(1)) => Ok(Ordering::Subscription),
        (false, Some(_)) => {
            Err(r#"goes with ordering "record" only: otherwise each delivery waits for the one before"#)
        }
    }
}

/// A subscription to make.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"event": "contact.created", "target_url": "https://hooks.zapier.com/hooks/catch/12345/abcdef", "filters": {"tags": ["lead", "enterprise"]}}))]
pub struct SubscribeInput {
    /// The event type, or the pattern `contact.*`, `deal.*` or `*` for all there are. Send either
    /// `event` or `events`.
    #[serde(default)]
    #[schema(value_type = String, format = "event-types", example = "contact.created")]
    event: Field<EventSelection>,
    /// Several event types and patterns.
    #[serde(default)]
    #[schema(value_type = Option<Vec<EventSelection>>, inline, min_items = 1)]
    events: Field<EventSelection>,
    /// The URL to which events are POSTed: http or https, at most 2048 bytes.
    #[serde(default)]
    #[schema(value_type = String, format = "uri", max_length = 2048)]
    target_url: Field<TargetUrl>,
    /// Deliver only events whose record has these values: each field with a value or a list of
    /// values.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filters: Field<Value>,
    /// Headers that go with every delivery, such as `Authorization`; at most 10, and not those that
    /// the server sets. Their values are not shown again.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    headers: Field<CustomHeaders>,
    /// What deliveries carry beyond the usual: `previous` adds `previous`, an object with the values
    /// before the change of the fields that changed, to `contact.updated`, `deal.updated` and
    /// `deal.stage_changed`; `actor` adds `metadata.actor`, who caused the event.
    #[serde(default)]
    #[schema(value_type = Option<Vec<IncludeWord>>, inline, example = json!(["previous"]))]
    include: Field<Include>,
    /// Leave out events that the API key of this request causes itself; this prevents loops.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    ignore_own: Field<bool>,
    /// The signing secret: `whsec_` and the base64 of 24–64 bytes. By default it is the secret of
    /// your other subscriptions to this URL; if there are none, one is generated.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret")]
    secret: Field<Secret>,
    /// `subscription` (the default): each delivery waits for the one before it. `record`: only for
    /// the one before it of the same contact or deal. The subscriptions to one URL have one order:
    /// it is per record if all active ones ask for that.
    #[serde(default)]
    #[schema(value_type = Option<OrderingWord>)]
    ordering: Field<OrderingWord>,
    /// The most deliveries at a time with `ordering: "record"`; 16 by default.
    #[serde(default)]
    #[schema(value_type = Option<i16>, minimum = 1, maximum = 64)]
    concurrency: Field<Concurrency>,
    /// Begin with the events of this time (ISO 8601), as far back as they are kept, instead of with
    /// new events.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "date-time")]
    since: Field<Time>,
    /// If the same subscription exists and is deactivated, it is resumed: `waiting` (the default)
    /// delivers the events that wait, `now` skips them.
    #[serde(default)]
    #[schema(value_type = Option<Resume>)]
    resume: Field<Resume>,
}

/// A subscription to make, checked.
pub struct NewSubscription {
    pub(super) events: EventSelection,
    pub(super) target: TargetUrl,
    pub(super) filters: Filters,
    /// Those that were sent.
    pub(super) headers: Option<CustomHeaders>,
    /// What was sent.
    pub(super) include: Option<Include>,
    /// The key of the request, if its writes are left out; as it was asked for.
    pub(super) ignored_actor: Option<Option<Uuid>>,
    /// The one that was sent.
    pub(super) secret: Option<Secret>,
    /// One to use if none was sent, and the URL has none.
    pub(super) made: Secret,
    pub(super) loopback: bool,
    /// For one that is new.
    pub(super) ordering: Ordering,
    /// As it was asked for: one that exists already keeps what was not.
    pub(super) asked_ordering: (Option<OrderingWord>, Option<Concurrency>),
    /// From where one that exists already, and is not active, goes on.
    pub(super) resume: Option<Resume>,
    /// Where it begins, if not at the end of the log.
    pub(super) start: Option<i64>,
}

impl SubscribeInput {
    /// Checks it; `key` is the key of the request, `made` the secret if none is given. Also answers since when.
    pub(super) async fn into_new(
        self,
        (targets, whose): (&Targets, Whose),
        (actor, made): (Uuid, Secret),
    ) -> Result<(NewSubscription, Option<DateTime<Utc>>), ApiError> {
        let mut problems = Problems::default();
        let event = problems.optional("event", self.event).value();
        let events = problems.optional("events", self.events).value();
        let events = match (event, events) {
            (Some(event), Some(events)) if event != events => {
                problems.add("events", "contradicts `event`; send one of them".to_owned());
                None
            }
            (event, events) => event.or(events),
        };
        if events.is_none() && problems.is_empty() {
            let allowed = EventSelection::allowed().join(", ");
            problems.add("event", format!("is required (or `events`, a list); allowed are: {allowed}"));
        }
        let target = problems.required("target_url", self.target_url);
        check_target(&mut problems, (targets, whose), target.as_ref()).await;
        let filters = problems.optional("filters", self.filters).value().unwrap_or_default();
        let filters = events.as_ref().and_then(|events| check_filters(&mut problems, events, &filters));
        let headers = problems.optional("headers", self.headers).or_default();
        let include = problems.optional("include", self.include).or_default();
        let ignore_own = problems.optional("ignore_own", self.ignore_own).or_default();
        let ignored_actor = ignore_own.map(|ignores| ignores.then_some(actor));
        let secret = problems.optional("secret", self.secret).value();
        let word = problems.optional("ordering", self.ordering).value();
        let concurrency = problems.optional("concurrency", self.concurrency).value();
        let asked_ordering = (word, concurrency);
        let ordering = ordering(Ordering::default(), word, concurrency)
            .map_err(|sentence| problems.add("concurrency", sentence));
        let resume = problems.optional("resume", self.resume).value();
        let since = problems.optional("since", self.since).value().map(|Time(since)| since);
        problems.finish()?;
        match (events, target, filters, ordering) {
            (Some(events), Some(target), Some(filters), Ok(ordering)) => {
                let start = None;
                Ok((
                    NewSubscription {
                        events,
                        target,
                        filters,
                        headers,
                        include,
                        ignored_actor,
                        secret,
                        made,
                        loopback: whose.here,
                        ordering,
                        asked_ordering,
                        resume,
                        start,
                    },
                    since,
                ))
            }
            _ => Err(ApiError::internal(&"required fields are missing without a problem")),
        }
    }
}

async fn check_target(
    problems: &mut Problems,
    (targets, whose): (&Targets, Whose),
    target: Option<&TargetUrl>,
) {
    if let Some(target) = target
        && let Some(refusal) = targets.refusal(target, whose).await
    {
        problems.add("target_url", format!("is refused: {refusal}"));
    }
}

/// Reads filters for events.
fn check_filters(problems: &mut Problems, events: &EventSelection, filters: &Value) -> Option<Filters> {
    Filters::parse(events, filters).map_err(|error| problems.add("filters", error.to_string())).ok()
}

/// Changes to a subscription. What is left out stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"is_active": false}))]
pub struct ChangeInput {
    /// `false` pauses the subscription; `true` resumes it, also after a deactivation.
    #[serde(default)]
    #[schema(value_type = bool)]
    is_active: Field<bool>,
    /// The URL to which events are POSTed from now on.
    #[serde(default)]
    #[schema(value_type = String, format = "uri", max_length = 2048)]
    target_url: Field<TargetUrl>,
    /// New filters, for events that occur from now on; `null` or `{}` removes them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    filters: Field<Value>,
    /// New headers for every delivery; `null` or `{}` removes them.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    headers: Field<CustomHeaders>,
    /// What deliveries carry beyond the usual: `previous`, `actor`; `null` or `[]` is nothing.
    #[serde(default)]
    #[schema(value_type = Option<Vec<IncludeWord>>, inline)]
    include: Field<Include>,
    /// Leave out events that the API key of this request causes itself.
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    ignore_own: Field<bool>,
    /// `subscription` or `record`.
    #[serde(default)]
    #[schema(value_type = OrderingWord)]
    ordering: Field<OrderingWord>,
    /// The most deliveries at a time with `ordering: "record"`.
    #[serde(default)]
    #[schema(value_type = i16, minimum = 1, maximum = 64)]
    concurrency: Field<Concurrency>,
    /// `waiting` resumes the subscription and delivers the events that wait, like `is_active:
    /// true`; `now` skips them.
    #[serde(default)]
    #[schema(value_type = Resume)]
    resume: Field<Resume>,
}

/// Changes to a subscription, checked as far as they can be without it.
#[derive(Default)]
pub struct Changes {
    pub(super) active: Option<bool>,
    /// With the loopback permission that goes with it.
    pub(super) target: Option<(TargetUrl, bool)>,
    /// Checked in `decide`, where the event type is known.
    pub(super) filters: Option<Value>,
    pub(super) headers: Option<CustomHeaders>,
    pub(super) include: Option<Include>,
    /// The key of the request, if its writes are left out.
    pub(super) ignored_actor: Option<Option<Uuid>>,
    /// Likewise, where the present ordering is known.
    pub(super) ordering: Option<OrderingWord>,
    pub(super) concurrency: Option<Concurrency>,
    /// Are the events that wait skipped?
    pub(super) skip: bool,
}

impl ChangeInput {
    /// Checks it; `key` is the key of the request.
    pub(super) async fn into_changes(
        self,
        (targets, whose): (&Targets, Whose),
        actor: Uuid,
    ) -> Result<Changes, ApiError> {
        let mut problems = Problems::default();
        let active = problems.kept("is_active", self.is_active);
        let target = problems.kept("target_url", self.target_url);
        check_target(&mut problems, (targets, whose), target.as_ref()).await;
        let filters = problems.optional("filters", self.filters).or_default();
        let headers = problems.optional("headers", self.headers).or_default();
        let include = problems.optional("include", self.include).or_default();
        let ignore_own = problems.optional("ignore_own", self.ignore_own).or_default();
        let ignored_actor = ignore_own.map(|ignores| ignores.then_some(actor));
        let ordering = problems.kept("ordering", self.ordering);
        let concurrency = problems.kept("concurrency", self.concurrency);
        let resume = problems.kept("resume", self.resume);
        if resume.is_some() && active == Some(false) {
            problems.add("resume", "contradicts is_active: false");
        }
        let nothing = active.is_none()
            && target.is_none()
            && filters.is_none()
            && resume.is_none()
            && headers.is_none()
            && include.is_none()
            && ignored_actor.is_none();
        if problems.is_empty() && nothing && ordering.is_none() && concurrency.is_none() {
            let fields =
                "is_active, target_url, filters, headers, include, ignore_own, ordering, concurrency, resume";
            problems.add("is_active", format!("is missing: send at least one of {fields}"));
        }
        problems.finish()?;
        Ok(Changes {
            active: active.or(resume.map(|_| true)),
            target: target.map(|target| (target, whose.here)),
            filters,
            headers,
            include,
            ignored_actor,
            ordering,
            concurrency,
            skip: resume == Some(Resume::Now),
        })
    }
}

/// The subscription to end.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"subscription_id": "sub_0192f3a4b5c67d8e9f0a1b2c3d4e5f60"}))]
pub struct UnsubscribeInput {
    /// `sub_…` or `hook_…`
    #[serde(default)]
    #[schema(value_type = String, format = "subscription-id", max_length = 255)]
    subscription_id: Field<Text<255>>,
}

impl UnsubscribeInput {
    pub(super) fn into_id(self) -> Result<String, ApiError> {
        let mut problems = Problems::default();
        let id = problems.required("subscription_id", self.subscription_id);
        problems.finish()?;
        Ok(id.map(|Text(id)| id).unwrap_or_default())
    }
}
