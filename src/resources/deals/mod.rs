//! Deals: opportunities, with a contact and a team member who looks after them.

mod batch;
mod currency;
pub(super) mod decide;
mod input;
mod list;
mod stages;
pub(super) mod store;

use std::collections::{HashMap, HashSet};

use axum::extract::State;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::table::{Key, Table};
use super::{Api, parsed};
use crate::http::allowed::{Allowed, DealsRead, DealsWrite};
use crate::http::answer::{self, Answered, Message};
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::conditions::{
    ConditionErrors, IfMatch, IfMatchHeader, IfNoneMatch, IfNoneMatchHeader, Unchanged,
};
use crate::http::error::ApiError;
use crate::http::id::{Id, not_found};
use crate::http::openapi::{IdempotencyKeyHeader, ReadErrors, WriteErrors};
use crate::model::ids::DealId;
use crate::model::records::{AssignedTo, Contact, Deal};
use crate::resources::Command as AnyCommand;
use input::{Changes, DealInput, NO_SUCH_CONTACT, NO_SUCH_MEMBER, NewDeal, RefusedBody, StatusInput};

/// Reads a deal to create, and says what is wrong with it.
pub fn check_new(json: &str) -> Result<(), ApiError> {
    parsed::<DealInput>(json)?.into_new().map(drop).map_err(RefusedBody::into_error)
}

/// A wish about a deal.
pub enum Command {
    /// Create one, with an id chosen beforehand.
    Create(DealId, NewDeal),
    /// Change some fields.
    Update(DealId, Changes),
    /// Delete it.
    Delete(DealId),
}

impl From<Command> for super::Command {
    fn from(command: Command) -> Self {
        Self::Deal(command)
    }
}

/// The deals that a batch touches. The contact in a row is as of the moment the
/// row was loaded or written; its id is what counts.
#[derive(Default)]
pub struct Deals {
    rows: Table<Deal>,
    /// The contacts that rows and commands refer to, as committed. What the batch
    /// itself knows of a contact comes first.
    contacts: HashMap<Key, Contact>,
    /// The contacts that commands name and another process is about to delete or renumber.
    held: HashSet<Key>,
    /// The team members that rows and commands refer to.
    members: HashMap<Key, AssignedTo>,
}

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(list::list, create))
        .routes(routes!(batch::create))
        .routes(routes!(stages::list))
        .routes(routes!(show, update, patch, delete))
        .routes(routes!(update_status))
}

/// What was read from a body. If the body has bad fields, a contact or member that
/// does not exist is told with them: every bad field at once.
async fn accept<T>(api: &Api, caller: &Caller, read: Result<T, RefusedBody>) -> Result<T, ApiError> {
    let RefusedBody { mut problems, contact, assigned_to } = match read {
        Ok(read) => return Ok(read),
        Err(refused) => refused,
    };
    let (contact_exists, member_exists) =
        store::exist(&*api.reads.of(caller.company()).await?, caller.company(), contact, assigned_to).await?;
    if contact.is_some() && !contact_exists {
        problems.add("contactId", NO_SUCH_CONTACT);
    }
    if assigned_to.is_some() && !member_exists {
        problems.add("assignedToId", NO_SUCH_MEMBER);
    }
    problems.finish()?;
    Err(ApiError::internal(&"a body was refused without a problem"))
}

/// Create a deal
///
/// Fires `deal.created`, then `deal.won` or `deal.lost` if the deal is created with
/// that status.
#[utoipa::path(post, path = "/deals", operation_id = "createDeal", tag = "Deals", request_body = DealInput,
    params(IdempotencyKeyHeader),
    responses((status = 201, description = "Created", body = Answered<Deal>, headers(("ETag" = String, description = "The state of the record"))), WriteErrors))]
async fn create(
    State(api): State<Api>,
    caller: Allowed<DealsWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let new = accept(&api, &caller, payload.json::<DealInput>()?.into_new()).await?;
    let id = DealId(api.ids.next(api.clock.now()));
    api.write(&caller, Some(&payload), Command::Create(id, new)).await
}

/// Show a deal
#[utoipa::path(get, path = "/deals/{id}", operation_id = "getDeal", tag = "Deals",
    params(Id<DealId>, IfNoneMatchHeader),
    responses((status = 200, description = "The deal", body = Answered<Deal>, headers(("ETag" = String, description = "The state of the record"))), Unchanged, ReadErrors))]
async fn show(
    State(api): State<Api>,
    caller: Allowed<DealsRead>,
    Id(id): Id<DealId>,
    known: IfNoneMatch,
) -> Result<Response, ApiError> {
    let deal = store::find(&*api.reads.of(caller.company()).await?, caller.company(), id)
        .await?
        .ok_or_else(not_found::<DealId>)?;
    Ok(answer::record(&deal, &known))
}

/// Change a deal
///
/// Fields that are left out stay as they are; `null` or empty text clears an
/// optional one. If any field changed, this fires `deal.updated`, then
/// `deal.stage_changed` if the stage changed, then `deal.won` or `deal.lost` if the
/// status became that.
#[utoipa::path(put, path = "/deals/{id}", operation_id = "updateDeal", tag = "Deals", request_body = DealInput,
    params(Id<DealId>, IfMatchHeader),
    responses((status = 200, description = "The deal as it is now", body = Answered<Deal>, headers(("ETag" = String, description = "The state of the record"))), ConditionErrors, WriteErrors))]
async fn update(
    State(api): State<Api>,
    caller: Allowed<DealsWrite>,
    Id(id): Id<DealId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    let changes = accept(&api, &caller, payload.json::<DealInput>()?.into_changes()).await?;
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Update(id, changes))).await
}

/// Change a deal (the same as PUT)
#[utoipa::path(patch, path = "/deals/{id}", operation_id = "patchDeal", tag = "Deals", request_body = DealInput,
    params(Id<DealId>, IfMatchHeader),
    responses((status = 200, description = "The deal as it is now", body = Answered<Deal>, headers(("ETag" = String, description = "The state of the record"))), ConditionErrors, WriteErrors))]
async fn patch(
    state: State<Api>,
    caller: Allowed<DealsWrite>,
    id: Id<DealId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    update(state, caller, id, if_match, payload).await
}

/// Move a deal
///
/// Changes status, stage, probability or the closing date; at least one must be
/// given. Becoming won or lost sets `actualCloseDate` to now, unless it is given;
/// reopening clears it. Fires the same events as changing the deal does.
#[utoipa::path(put, path = "/deals/{id}/status", operation_id = "updateDealStatus", tag = "Deals", request_body = StatusInput,
    params(Id<DealId>, IfMatchHeader),
    responses((status = 200, description = "The deal as it is now", body = Answered<Deal>, headers(("ETag" = String, description = "The state of the record"))), ConditionErrors, WriteErrors))]
async fn update_status(
    State(api): State<Api>,
    caller: Allowed<DealsWrite>,
    Id(id): Id<DealId>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, ApiError> {
    let changes = accept(&api, &caller, payload.json::<StatusInput>()?.into_changes()).await?;
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Update(id, changes))).await
}

/// Delete a deal
///
/// The deal is gone at once. This fires `deal.deleted`, with the deal as it was.
#[utoipa::path(delete, path = "/deals/{id}", operation_id = "deleteDeal", tag = "Deals",
    params(Id<DealId>, IfMatchHeader),
    responses((status = 200, description = "Deleted", body = Message), ConditionErrors, WriteErrors))]
async fn delete(
    State(api): State<Api>,
    caller: Allowed<DealsWrite>,
    Id(id): Id<DealId>,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    api.write(&caller, None, AnyCommand::guarded(if_match, Command::Delete(id))).await
}
