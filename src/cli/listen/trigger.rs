//! `isao trigger`: an invented event, marked as a test.

use bytes::Bytes;
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::super::print;
use super::error::Error;
use super::forward::{Forward, Subject};
use super::server::{Server, ServerArgs, parse_url};
use crate::clock::Clock;
use crate::model::events::{Event, EventType, Include, SOURCE_API};
use crate::model::ids::{CompanyId, EventId, Ids, SubscriptionId};
use crate::outbound::retry::RetryDelays;

/// What to send, and where to.
#[derive(Args)]
#[command(after_help = "Examples:
  isao trigger contact.created                          to every active subscription that wants it
  isao trigger deal.won --to sub_…                      to one, also while it is paused
  isao trigger contact.created --forward http://localhost:3000/webhook --set data.name='Ann Lee'

What --forward sends is signed with the secret of `isao listen --print-secret`, and comes from a company whose \
id has zeros only; a subscription's test is sent by the server, signed with the subscription's secret. The key needs the \
permission webhooks:write for subscriptions. An attempt may take 15 s (30 s with --forward). The exit code is 1 when \
one of the tests was not delivered, or nobody wants the event.")]
pub struct Trigger {
    /// The type of the event, such as contact.created
    #[arg(value_name = "TYPE", value_parser = parse_type)]
    event: EventType,

    /// A subscription (sub_… or hook_…), instead of every active one that wants the event
    #[arg(long, value_name = "SUBSCRIPTION", value_parser = parse_subscription)]
    to: Option<SubscriptionId>,

    /// A URL, instead of subscriptions
    #[arg(long, value_name = "URL", value_parser = parse_url, conflicts_with = "to")]
    forward: Option<Url>,

    /// Another value for a field of the record, as JSON or as text; repeat it for several
    #[arg(long = "set", value_name = "data.FIELD=VALUE")]
    set: Vec<String>,

    /// Accept any TLS certificate of the URL
    #[arg(long, requires = "forward")]
    skip_verify: bool,

    #[command(flatten)]
    server: ServerArgs,
}

/// A subscription that would get the event.
#[derive(Deserialize)]
struct Wanting {
    subscription_id: String,
    target_url: String,
    status: String,
    matches: bool,
}

#[derive(Deserialize)]
struct Preview {
    subscriptions: Vec<Wanting>,
}

/// What came of a test.
#[derive(Deserialize)]
struct Tested {
    delivered: bool,
    duration_ms: i64,
    status: Option<u16>,
    error: Option<String>,
}

impl Trigger {
    /// Does it.
    pub async fn run(self) -> Result<(), Error> {
        let clock = Clock::system();
        let record = record(self.event, &self.set)?;
        let server = self.server.server().await?;
        if let Some(url) = self.forward {
            let forward =
                Forward::new(url, (&server.key, self.skip_verify), (clock.clone(), RetryDelays::default()))?;
            return send(&forward, (self.event, record), &clock).await;
        }
        let targets = match self.to {
            Some(id) => vec![(id.to_string(), String::new())],
            None => wanting(&server, self.event, &clock).await?,
        };
        let mut failed = 0;
        for (id, url) in &targets {
            let path = format!("/webhooks/{id}/test");
            let mut body = json!({ "event": self.event.word() });
            if !self.set.is_empty() {
                body["data"] = record.clone();
            }
            let tested: Tested = server.post(&path, &body, clock.now()).await?;
            failed += usize::from(!tested.delivered);
            let outcome = outcome(tested.status, tested.error.as_deref());
            let target = if url.is_empty() { id.clone() } else { format!("{id}  {url}") };
            say(self.event, &target, (&outcome, tested.duration_ms))?;
        }
        match failed {
            0 => Ok(()),
            failed => Err(Error::NotDelivered { failed, sent: targets.len() }),
        }
    }
}

/// The active subscriptions that want such an event, each with its URL.
async fn wanting(server: &Server, event: EventType, clock: &Clock) -> Result<Vec<(String, String)>, Error> {
    let preview: Preview =
        server.post("/webhooks/preview", &json!({ "event": event.word() }), clock.now()).await?;
    let wanting = preview.subscriptions.into_iter().filter(|found| found.matches && found.status == "active");
    let wanting: Vec<_> = wanting.map(|found| (found.subscription_id, found.target_url)).collect();
    if wanting.is_empty() { Err(Error::NobodyWants) } else { Ok(wanting) }
}

/// Sends the event to a URL, once.
async fn send(
    forward: &Forward,
    (event_type, record): (EventType, Value),
    clock: &Clock,
) -> Result<(), Error> {
    let at = clock.now();
    let id = EventId(Ids::default().next(at));
    let event = Event {
        seq: 0,
        company: CompanyId(Uuid::nil()),
        event_type,
        id,
        record: Uuid::nil(),
        source: SOURCE_API.into(),
        at,
        data: record.to_string(),
        actor: None,
        previous: None,
    };
    let body: Bytes = event.envelope(Include::default());
    let sent = forward.attempt(Subject { id, event_type, test: true }, &body, 1).await;
    let outcome = outcome(sent.status, sent.failure.as_deref());
    let duration = i64::try_from(sent.duration.as_millis()).unwrap_or(i64::MAX);
    say(event_type, forward.target.as_str(), (&outcome, duration))?;
    if sent.failure.is_some() { Err(Error::NotDelivered { failed: 1, sent: 1 }) } else { Ok(()) }
}

fn outcome(status: Option<u16>, error: Option<&str>) -> String {
    match (error, status) {
        (Some(error), _) => format!("not delivered ({error})"),
        (None, Some(status)) => status.to_string(),
        (None, None) => "delivered".to_owned(),
    }
}

fn say(event: EventType, target: &str, (outcome, ms): (&str, i64)) -> Result<(), Error> {
    let line = format!("{event}  {target}  {outcome}  {ms} ms");
    Ok(print::write(&format!("{}\n", print::shown(&line)))?)
}

/// The invented record, with what is set.
fn record(event: EventType, set: &[String]) -> Result<Value, Error> {
    let mut record = event.sample();
    for text in set {
        let bad = |why: String| Error::BadSet { text: text.clone(), why };
        let (path, value) = text.split_once('=').unwrap_or((text, ""));
        let fields = path.strip_prefix("data.").filter(|_| text.contains('='));
        let fields = fields.ok_or_else(|| bad("must be like data.name='Ann Lee'".to_owned()))?;
        let mut place = &mut record;
        for field in fields.split('.') {
            let known = place.as_object().map(|object| object.keys().cloned().collect::<Vec<_>>());
            let known = known.unwrap_or_default().join(", ");
            place = place
                .get_mut(field)
                .ok_or_else(|| bad(format!("names no field of the record; there are: {known}")))?;
        }
        *place = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    }
    Ok(record)
}

fn parse_type(text: &str) -> Result<EventType, String> {
    EventType::parse(text).ok_or_else(|| format!("must be one of: {}", EventType::WORDS.join(", ")))
}

fn parse_subscription(text: &str) -> Result<SubscriptionId, &'static str> {
    SubscriptionId::parse_either(text).ok_or("must be the id of a subscription, sub_… or hook_…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_record_can_be_set() {
        let record = |texts: &[&str]| {
            record(EventType::DealWon, &texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
        };
        let changed = record(&["data.title=A=B", "data.value=7.5", "data.contact.name=Ann Lee"]).unwrap();
        assert_eq!(
            (&changed["title"], &changed["value"], &changed["contact"]["name"]),
            (&"A=B".into(), &json!(7.5), &"Ann Lee".into())
        );
        for bad in ["title=x", "data.title", "data.nope=1", "data.title.x=1", "metadata.source=ui"] {
            assert!(matches!(record(&[bad]), Err(Error::BadSet { .. })), "{bad}");
        }
    }
}
