//! Many contacts in one request.

use axum::extract::State;
use axum::response::Response;
use utoipa::ToSchema;

use super::input::ContactInput;
use super::upsert::UpsertInput;
use super::{Api, Command};
use crate::http::allowed::{Allowed, ContactsWrite};
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::openapi::{IdempotencyKeyHeader, WriteErrors};
use crate::model::ids::ContactId;
use crate::model::records::Contact;
use crate::resources::record_batch::{BatchAnswer, RecordBatch};

/// Contacts to create.
#[derive(ToSchema)]
#[schema(example = json!({"records": [{"name": "Jane Smith", "phoneNumber": "+33987654321"}]}))]
#[expect(dead_code, reason = "only described; `RecordBatch` reads it")]
pub(super) struct ContactBatch {
    /// 1 to 500 contacts.
    #[schema(min_items = 1, max_items = 500)]
    records: Vec<ContactInput>,
}

/// Contacts to create or to change.
#[derive(ToSchema)]
#[schema(example = json!({"records": [{"name": "Jane Smith", "phoneNumber": "+33987654321", "matchBy": ["phoneNumber"]}]}))]
#[expect(dead_code, reason = "only described; `RecordBatch` reads it")]
pub(super) struct ContactUpsertBatch {
    /// 1 to 500 contacts.
    #[schema(min_items = 1, max_items = 500)]
    records: Vec<UpsertInput>,
}

/// Create several contacts
///
/// Each record succeeds or fails by itself, as if it had been sent alone, and the answer has an entry for
/// each. The events come in the order of the records. An `Idempotency-Key` is about the request as a whole.
#[utoipa::path(post, path = "/contacts/batch", operation_id = "createContacts", tag = "Contacts",
    request_body = ContactBatch,
    params(IdempotencyKeyHeader),
    responses((status = 200, description = "What became of each record", body = BatchAnswer<Contact>), WriteErrors))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let now = api.clock.now();
    let batch = RecordBatch::read(&payload, |input: ContactInput| {
        Ok(Command::Create(ContactId(api.ids.next(now)), input.into_new()?).into())
    })?;
    api.write(&caller, Some(&payload), batch).await
}

/// Create or change several contacts
///
/// Each record is upserted by itself, in their order, as if it had been sent alone, and the answer has an
/// entry for each. A record finds the contacts that records before it made. An `Idempotency-Key` is about
/// the request as a whole.
#[utoipa::path(post, path = "/contacts/upsert/batch", operation_id = "upsertContacts", tag = "Contacts",
    request_body = ContactUpsertBatch,
    params(IdempotencyKeyHeader),
    responses((status = 200, description = "What became of each record", body = BatchAnswer<Contact>), WriteErrors))]
pub(super) async fn upsert(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let now = api.clock.now();
    let batch = RecordBatch::read(&payload, |input: UpsertInput| {
        Ok(Command::Upsert(ContactId(api.ids.next(now)), Box::new(input.into_upsert()?)).into())
    })?;
    api.write(&caller, Some(&payload), batch).await
}
