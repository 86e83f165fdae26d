//! Contacts: people the company deals with.

pub(super) mod decide;
mod input;
mod list;
pub(super) mod store;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use super::table::{Key, Table};
use crate::http::answer;
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::openapi::{Answered, Listed, ReadErrors, Said, WriteErrors};
use crate::model::ids::{CompanyId, ContactId};
use crate::model::permission::Permission;
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

fn parse_id(id: &str) -> Result<ContactId, ApiError> {
    ContactId::parse(id).ok_or_else(not_found)
}

pub(super) fn not_found() -> ApiError {
    ApiError::not_found("Contact")
}

/// Create a contact
///
/// Fires `contact.created`. `phoneNumber` is unique in the company: a second
/// contact with the same number is refused with 409 and the id of the first.
#[utoipa::path(post, path = "/contacts", operation_id = "createContact", tag = "Contacts", request_body = ContactInput,
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeats of the same request with the same key get the first answer for 24 hours")),
    responses((status = 201, description = "Created", body = Answered<Contact>), WriteErrors))]
async fn create(State(api): State<Api>, caller: Caller, payload: Payload) -> Result<Response, ApiError> {
    caller.require(Permission::ContactsWrite)?;
    let new = payload.json::<ContactInput>()?.into_new()?;
    let id = ContactId(api.ids.next(api.clock.now()));
    api.write(&caller, Some(&payload), Command::Create(id, new)).await
}

/// Show a contact
#[utoipa::path(get, path = "/contacts/{id}", operation_id = "getContact", tag = "Contacts",
    params(("id" = String, Path, description = "`contact_…`")),
    responses((status = 200, description = "The contact", body = Answered<Contact>), ReadErrors))]
async fn show(State(api): State<Api>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    caller.require(Permission::ContactsRead)?;
    let contact = store::find(&api.pool, caller.company(), parse_id(&id)?).await?.ok_or_else(not_found)?;
    Ok(answer::json(StatusCode::OK, &answer::data(contact)))
}

/// Change a contact
///
/// Fields that are left out stay as they are; `null` or empty text clears an
/// optional one. Fires `contact.updated` if anything really changed.
#[utoipa::path(put, path = "/contacts/{id}", operation_id = "updateContact", tag = "Contacts", request_body = ContactInput,
    params(("id" = String, Path, description = "`contact_…`")),
    responses((status = 200, description = "The contact as it is now", body = Answered<Contact>), WriteErrors))]
async fn update(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Response, ApiError> {
    caller.require(Permission::ContactsWrite)?;
    let id = parse_id(&id)?;
    let changes = payload.json::<ContactInput>()?.into_changes()?;
    api.write(&caller, None, Command::Update(id, changes)).await
}

/// Change a contact (the same as PUT)
#[utoipa::path(patch, path = "/contacts/{id}", operation_id = "patchContact", tag = "Contacts", request_body = ContactInput,
    params(("id" = String, Path, description = "`contact_…`")),
    responses((status = 200, description = "The contact as it is now", body = Answered<Contact>), WriteErrors))]
async fn patch(
    state: State<Api>,
    caller: Caller,
    id: Path<String>,
    payload: Payload,
) -> Result<Response, ApiError> {
    update(state, caller, id, payload).await
}

/// Delete a contact
///
/// Its deals stay, without a contact. Deletions fire no event.
#[utoipa::path(delete, path = "/contacts/{id}", operation_id = "deleteContact", tag = "Contacts",
    params(("id" = String, Path, description = "`contact_…`")),
    responses((status = 200, description = "Deleted", body = Said), WriteErrors))]
async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    caller.require(Permission::ContactsWrite)?;
    api.write(&caller, None, Command::Delete(parse_id(&id)?)).await
}

/// A contact's place in lists.
fn position(contact: &Contact) -> (DateTime<Utc>, uuid::Uuid) {
    (contact.created_at, contact.id.0)
}
