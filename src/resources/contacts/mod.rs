//! Contacts: people the company deals with.

mod batch;
mod candidates;
pub(super) mod decide;
mod input;
mod list;
pub(super) mod store;
mod upsert;

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::table::{Key, Table};
use super::{Api, parsed};
use crate::http::allowed::{Allowed, ContactsRead, ContactsWrite};
use crate::http::answer::{self, Answered, Message};
use crate::http::body::Payload;
use crate::http::conditions::{
    ConditionErrors, IfMatch, IfMatchHeader, IfNoneMatch, IfNoneMatchHeader, Unchanged,
};
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::model::ids::{CompanyId, ContactId};
use crate::model::records::Contact;
use crate::resources::Command as AnyCommand;
use input::{Changes, ContactInput, NewContact};
use upsert::{Emails, Upsert, UpsertInput};

/// Reads a contact to create, and says what is wrong with it.
pub fn check_new(json: &str) -> Result<(), ApiError> {
    parsed::<ContactInput>(json)?.into_new().map(drop)
}

/// Reads a contact to create or to change, and says what is wrong with it.
pub fn check_upsert(json: &str) -> Result<(), ApiError> {
    parsed::<UpsertInput>(json)?.into_upsert().map(drop)
}

/// A wish about a contact.
pub enum Command {
    /// Create one, with an id chosen beforehand.
    Create(ContactId, NewContact),
    /// Change some fields.
    Update(ContactId, Changes),
    /// Change the contact that matches, or create one with an id chosen beforehand.
    Upsert(ContactId, Box<Upsert>),
    /// Delete it.
    Delete(ContactId),
}

impl From<Command> for super::Command {
    fn from(command: Command) -> Self {
        Self::Contact(command)
    }
}

/// The contacts that a batch touches.
#[derive(Default)]
pub struct Contacts {
    pub(super) rows: Table<Contact>,
    /// Who has the phone numbers that the batch wants.
    pub(super) phones: std::collections::HashMap<(CompanyId, String), ContactId>,
    /// Who has the emails by which commands match.
    emails: Emails,
    /// The emails by which another process is just matching contacts.
    held_emails: std::collections::BTreeSet<(CompanyId, String)>,
    /// Whose number changes.
    renumbered: std::collections::HashSet<Key>,
}

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create))
        .routes(routes!(batch::create))
        .routes(routes!(upsert::upsert))
        .routes(routes!(batch::upsert))
        .routes(routes!(show, update, patch, delete))
}

/// Create a contact
///
/// Fires `contact.created`. `phoneNumber` is unique in the company: a second contact with
/// the same number is refused with 409, and the answer has the id of the first.
#[utoipa::path(post, path = "/contacts", operation_id = "createContact", tag = "Contacts", request_body = ContactInput,
    params(IdempotencyKeyHeader),
    responses((status = 201, description = "Created", body = Answered<Contact>, headers(("ETag" = String, description = "The state of the record"))), WriteErrors))]
async fn create(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let new = payload.json::<ContactInput>()?.into_new()?;
    let id = ContactId(api.ids.next(api.clock.now()));
    api.write(&caller, Some(&payload), Command::Create(id, new)).await
}

/// Show a contact
#[utoipa::path(get, path = "/contacts/{id}", operation_id = "getContact", tag = "Contacts",
    params(Id<ContactId>, IfNoneMatchHeader),
    responses((status = 200, description = "The contact", body = Answered<Contact>, headers(("ETag" = String, description = "The state of the record"))), Unchanged, ReadErrors))]
async fn show(
    State(api): State<Api>,
    caller: Allowed<ContactsRead>,
    Id(id): Id<ContactId>,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    let contact = store::find(&*api.reads.of(caller.company()).await?, caller.company(), id)
        .await?
        .ok_or_else(not_found::<ContactId>)?;
    Ok(answer::record(&contact, &known))
}

/// Change a contact
///
/// Fields that are left out stay as they are; `null` or empty text clears an
/// optional one. Fires `contact.updated` if any field changed.
#[utoipa::path(put, path = "/contacts/{id}", operation_id = "updateContact", tag = "Contacts", request_body = ContactInput,
    params(Id<ContactId>, IfMatchHeader),
    responses((status = 200, description = "The contact as it is now", body = Answered<Contact>, headers(("ETag" = String, description = "The state of the record"))), ConditionErrors, WriteErrors))]
async fn update(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    Id(id): Id<ContactId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    let changes = payload.json::<ContactInput>()?.into_changes()?;
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Update(id, changes))).await
}

/// Change a contact (the same as PUT)
#[utoipa::path(patch, path = "/contacts/{id}", operation_id = "patchContact", tag = "Contacts", request_body = ContactInput,
    params(Id<ContactId>, IfMatchHeader),
    responses((status = 200, description = "The contact as it is now", body = Answered<Contact>, headers(("ETag" = String, description = "The state of the record"))), ConditionErrors, WriteErrors))]
async fn patch(
    state: State<Api>,
    caller: Allowed<ContactsWrite>,
    id: Id<ContactId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    update(state, caller, id, if_match, payload).await
}

/// Delete a contact
///
/// Deals of the contact stay, without a contact. This fires `contact.deleted`, with the contact as
/// it was, and no event of its deals.
#[utoipa::path(delete, path = "/contacts/{id}", operation_id = "deleteContact", tag = "Contacts",
    params(Id<ContactId>, IfMatchHeader),
    responses((status = 200, description = "Deleted", body = Message), ConditionErrors, WriteErrors))]
async fn delete(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    Id(id): Id<ContactId>,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Delete(id))).await
}
