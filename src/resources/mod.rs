//! The resources: router, wire types, handlers, rules and SQL of each together.

mod command;
pub mod contacts;
pub mod deals;
pub mod deliveries;
pub mod event_types;
pub mod feed;
mod listing;
pub mod members;
mod record_batch;
pub mod replays;
pub mod subscriptions;
mod table;
pub mod triggers;

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde_json::value::RawValue;
use sqlx::PgConnection;

use crate::admin::Admin;
use crate::clock::Clock;
use crate::database::Reads;
use crate::http::answer;
use crate::http::auth::{Auth, Caller};
use crate::http::body::Payload;
use crate::http::error::{ApiError, Code};
use crate::log::{Entries, NewEvent, Numbers};
use crate::metrics::Metrics;
use crate::model::etag::ETag;
use crate::model::ids::{CompanyId, Ids};
use crate::outbound::targets::Targets;
use crate::writer::{self, Answer, Decision, Domain, Writer};
pub use command::Command;
use command::singles;
use deliveries::Tester;
use table::RowHeld;

/// What handlers have at hand; cheap to clone, as every layer of every request does.
#[derive(Clone)]
pub struct Api(Arc<Tools>);

impl Deref for Api {
    type Target = Tools;

    fn deref(&self) -> &Tools {
        &self.0
    }
}

/// What there is to have at hand.
pub struct Tools {
    /// For reading, each company its share.
    pub reads: Reads,
    /// For writing.
    pub writer: Writer<Crm>,
    /// The time.
    pub clock: Clock,
    /// New ids.
    pub ids: Ids,
    /// Who is calling, and whether the database answers.
    pub auth: Auth,
    /// Where webhooks may go.
    pub targets: Targets,
    /// Event streams.
    pub streams: feed::Streams,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// For what pages show beside it: users, sessions and keys.
    pub admin: Admin,
    /// Makes tests of subscriptions.
    pub tester: Tester,
}

impl FromRef<Api> for Auth {
    fn from_ref(api: &Api) -> Self {
        api.auth.clone()
    }
}

impl Api {
    /// What handlers work with.
    pub fn new(tools: Tools) -> Self {
        Self(Arc::new(tools))
    }

    /// Answers a request that writes nothing. With an `Idempotency-Key`, the same request gets the same
    /// answer, and what it causes is not caused again.
    pub async fn once<T: serde::Serialize>(
        &self,
        caller: &Caller,
        payload: &Payload,
        work: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<Response, ApiError> {
        let Some(key) = payload.idempotency()? else {
            return Ok(answer::json(StatusCode::OK, &work.await?));
        };
        let company = caller.company();
        let known =
            writer::answered(&*self.reads.of(company).await?, company, &key, self.clock.now()).await?;
        if let Some(known) = known {
            return answer::written(known);
        }
        let answer = answer(StatusCode::OK.as_u16(), &work.await?)?;
        let bytes = answer.body.len();
        answer::written(
            self.writer.submit(caller.author(), (Command::Answered(answer), bytes), Some(key)).await,
        )
    }

    /// Submits a command of the caller and answers when it is committed.
    pub async fn write(
        &self,
        caller: &Caller,
        payload: Option<&Payload>,
        command: impl Into<Command>,
    ) -> Result<Response, ApiError> {
        let idempotency = payload.map(Payload::idempotency).transpose()?.flatten();
        let (command, bytes) = (command.into(), payload.map_or(0, Payload::len));
        let shows_record = command.shows_record();
        let mut written = self.writer.submit(caller.author(), (command, bytes), idempotency).await;
        if shows_record && let Ok(answer) = &mut written {
            // Here, and not in the writer, which everybody waits for.
            answer.etag = answer.etag.take().or_else(|| Some(ETag::of(&[record_in(&answer.body)?])));
        }
        answer::written(written)
    }
}

/// The domain that the writer writes.
pub struct Crm;

/// The rows a batch touches.
#[derive(Default)]
pub struct State {
    contacts: contacts::Contacts,
    deals: deals::Deals,
    subscriptions: subscriptions::decide::Subscriptions,
}

impl Domain for Crm {
    type Command = Command;
    type State = State;

    fn weight(command: &Command) -> usize {
        command.weight()
    }

    async fn load(
        &self,
        connection: &mut PgConnection,
        commands: &[(CompanyId, &Command)],
    ) -> Result<State, sqlx::Error> {
        let commands = &singles(commands);
        // Contacts before deals: the lock order.
        let mut state = State::default();
        contacts::store::load(&mut state.contacts, connection, commands).await?;
        deals::store::load(&mut state.deals, &state.contacts, connection, commands).await?;
        subscriptions::store::load(&mut state.subscriptions, connection, commands).await?;
        Ok(state)
    }

    fn decide(
        &self,
        state: &mut State,
        company: CompanyId,
        command: &Command,
        now: DateTime<Utc>,
    ) -> Decision {
        match state.decide(company, command, now) {
            Ok(Ok((answer, events))) => Decision::Done(answer, events),
            Ok(Err(error)) => Decision::Done(refusal(&error, now), Vec::new()),
            Err(RowHeld) => Decision::Held,
        }
    }

    async fn store(&self, connection: &mut PgConnection, state: State) -> Result<bool, sqlx::Error> {
        let contacts = contacts::store::store(&state.contacts, connection).await?;
        let deals = deals::store::store(&state.deals, &state.contacts, connection).await?;
        let subscriptions = subscriptions::store::store(&state.subscriptions, connection).await?;
        Ok(contacts || deals || subscriptions)
    }

    fn assume(&self, commands: &[(CompanyId, &Command)]) -> Option<State> {
        contacts::store::are_new(&singles(commands)).then(State::default)
    }

    async fn store_and_append(
        &self,
        connection: &mut PgConnection,
        state: State,
        entries: &Entries,
    ) -> Result<Numbers, sqlx::Error> {
        contacts::store::insert_and_append(&state.contacts, connection, entries).await
    }
}

/// A decision of a resource: held, or refused, or an answer with its events.
type DecisionResult = Result<Result<(Answer, Vec<NewEvent>), ApiError>, RowHeld>;

/// The answer to a write.
fn answer(status: u16, body: &impl serde::Serialize) -> Result<Answer, ApiError> {
    let body = serde_json::to_string(body).map_err(|error| ApiError::internal(&error))?;
    Ok(Answer { status, body, etag: None, replayed: false })
}

/// Reads one record outside a request.
fn parsed<T: serde::de::DeserializeOwned>(json: &str) -> Result<T, ApiError> {
    serde_json::from_str(json)
        .map_err(|error| ApiError::new(Code::InvalidJson, "The record is not valid JSON", error.to_string()))
}

/// A record as JSON text, for the answer to its write and for its events.
fn record_json(record: &impl serde::Serialize) -> Result<String, ApiError> {
    serde_json::to_string(record).map_err(|error| ApiError::internal(&error))
}

/// The values that the fields of a record had before a change, of those that changed, as a JSON
/// object; both records are JSON text. The time of the change is left out: it always changes.
fn previous(before: &str, after: &str) -> Result<String, ApiError> {
    let fields = |record| {
        serde_json::from_str::<BTreeMap<&str, &RawValue>>(record).map_err(|error| ApiError::internal(&error))
    };
    let (mut before, after) = (fields(before)?, fields(after)?);
    before.retain(|field, value| {
        *field != "updatedAt" && after.get(field).is_none_or(|after| after.get() != value.get())
    });
    record_json(&before)
}

/// The answer to a write that is refused.
fn refusal(error: &ApiError, now: DateTime<Utc>) -> Answer {
    Answer { status: error.code.status().as_u16(), body: error.body(now), etag: None, replayed: false }
}

/// How every answer begins that shows a record.
const SUCCESS: &str = r#"{"success":true,"#;

/// The answer to a write that shows a record, which is JSON text: the same as
/// [`answer::data`] makes.
fn record_answer(status: u16, record: &str) -> Answer {
    Answer { status, body: format!(r#"{SUCCESS}"data":{record}}}"#), etag: None, replayed: false }
}

/// The same answer, which also says whether the record is new.
fn with_created(mut answer: Answer) -> Answer {
    let created = answer.status == StatusCode::CREATED.as_u16();
    answer.body.insert_str(SUCCESS.len(), &format!(r#""created":{created},"#));
    answer
}

/// The record that such an answer shows, as JSON text; none if it is another answer.
fn record_in(body: &str) -> Option<&str> {
    body.strip_prefix(SUCCESS)?.split_once(r#""data":"#)?.1.strip_suffix('}')
}
