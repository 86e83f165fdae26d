//! Contacts: people the company deals with.

pub(super) mod decide;
mod input;
mod list;
pub(super) mod store;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::table::{Key, Table};
use crate::http::allowed::{Allowed, ContactsRead, ContactsWrite};
use crate::http::answer::{self, Answered, Message};
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::model::ids::{CompanyId, ContactId};
use crate::model::records::Contact;
use input::{Changes, ContactInput, NewContact};

/// A wish about a contact.
pub enum Command {
    /// Create one, with an id chosen beforehand.
    Create(ContactId, NewContact),
    /// Change some fields.
    Update(ContactId, Changes),
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
    /// Whose number changes.
    renumbered: std::collections::HashSet<Key>,
}

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list::list, create)).routes(routes!(show, update, patch, delete))
}

/// Create a contact
///
/// Fires `contact.created`. `phoneNumber` is unique in the company: a second contact with
/// the same number is refused with 409, and the answer has the id of the first.
#[utoipa::path(post, path = "/contacts", operation_id = "createContact", tag = "Contacts", request_body = ContactInput,
    params(IdempotencyKeyHeader),
    responses((status = 201, description = "Created", body = Answered<Contact>), WriteErrors))]
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
    params(Id<ContactId>),
    responses((status = 200, description = "The contact", body = Answered<Contact>), ReadErrors))]
async fn show(
    State(api): State<Api>,
    caller: Allowed<ContactsRead>,
    Id(id): Id<ContactId>,
) -> Result<Response, ApiError> {
    let contact = store::find(&*api.reads.of(caller.company()).await?, caller.company(), id)
        .await?
        .ok_or_else(not_found::<ContactId>)?;
    Ok(answer::json(StatusCode::OK, &answer::data(contact)))
}

/// Change a contact
///
/// Fields that are left out stay as they are; `null` or empty text clears an
/// optional one. Fires `contact.updated` if any field changed.
#[utoipa::path(put, path = "/contacts/{id}", operation_id = "updateContact", tag = "Contacts", request_body = ContactInput,
    params(Id<ContactId>),
    responses((status = 200, description = "The contact as it is now", body = Answered<Contact>), WriteErrors))]
async fn update(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    Id(id): Id<ContactId>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let changes = payload.json::<ContactInput>()?.into_changes()?;
    api.write(&caller, None, Command::Update(id, changes)).await
}

/// Change a contact (the same as PUT)
#[utoipa::path(patch, path = "/contacts/{id}", operation_id = "patchContact", tag = "Contacts", request_body = ContactInput,
    params(Id<ContactId>),
    responses((status = 200, description = "The contact as it is now", body = Answered<Contact>), WriteErrors))]
async fn patch(
    state: State<Api>,
    caller: Allowed<ContactsWrite>,
    id: Id<ContactId>,
    payload: Payload,
) -> Result<Response, ApiError> {
    update(state, caller, id, payload).await
}

/// Delete a contact
///
/// Deals of the contact stay, without a contact. This fires `contact.deleted`, with the contact as
/// it was, and no event of its deals.
#[utoipa::path(delete, path = "/contacts/{id}", operation_id = "deleteContact", tag = "Contacts",
    params(Id<ContactId>),
    responses((status = 200, description = "Deleted", body = Message), WriteErrors))]
async fn delete(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    Id(id): Id<ContactId>,
) -> Result<Response, ApiError> {
    api.write(&caller, None, Command::Delete(id)).await
}
