//! Many deals in one request.

use axum::extract::State;
use axum::response::Response;
use utoipa::ToSchema;

use super::input::DealInput;
use super::{Api, Command};
use crate::http::allowed::{Allowed, DealsWrite};
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::openapi::{IdempotencyKeyHeader, WriteErrors};
use crate::model::ids::DealId;
use crate::model::records::Deal;
use crate::resources::record_batch::{BatchAnswer, RecordBatch};

/// Deals to create.
#[derive(ToSchema)]
#[schema(example = json!({"records": [{"title": "Enterprise License", "value": 25000, "currency": "EUR"}]}))]
#[expect(dead_code, reason = "only described; `RecordBatch` reads it")]
pub(super) struct DealBatch {
    /// 1 to 500 deals.
    #[schema(min_items = 1, max_items = 500)]
    records: Vec<DealInput>,
}

/// Create several deals
///
/// Each record succeeds or fails by itself, as if it had been sent alone, and the answer has an entry for
/// each. The events come in the order of the records. An `Idempotency-Key` is about the request as a whole.
#[utoipa::path(post, path = "/deals/batch", operation_id = "createDeals", tag = "Deals",
    request_body = DealBatch,
    params(IdempotencyKeyHeader),
    responses((status = 200, description = "What became of each record", body = BatchAnswer<Deal>), WriteErrors))]
pub(super) async fn create(
    State(api): State<Api>,
    caller: Allowed<DealsWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let now = api.clock.now();
    let batch = RecordBatch::read(&payload, |input: DealInput| {
        // A contact or member that does not exist is told once the fields are as they should be.
        let new = input.into_new().map_err(|refused| refused.into_error())?;
        Ok(Command::Create(DealId(api.ids.next(now)), new).into())
    })?;
    api.write(&caller, Some(&payload), batch).await
}
