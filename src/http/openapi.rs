//! Parameters and errors that operations of the OpenAPI document share.

use utoipa::{IntoParams, IntoResponses};

use super::error::ErrorBody;

/// The name of the header of writes that may be repeated, as the document has it.
pub(super) const IDEMPOTENCY_KEY: &str = "Idempotency-Key";

/// The header of writes that may be repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described; `Payload` reads it")]
pub struct IdempotencyKeyHeader {
    /// Repeats of the same request with the same key get the first answer for 24 hours
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// Errors of every route that reads.
#[derive(IntoResponses)]
pub enum ReadErrors {
    /// A query parameter is unknown or has a bad value.
    #[response(status = 400)]
    Query(ErrorBody),
    /// No valid API key.
    #[response(status = 401)]
    Key(ErrorBody),
    /// The key lacks the permission, named in `requiredPermission`.
    #[response(status = 403)]
    Permission(ErrorBody),
    /// No such record.
    #[response(status = 404)]
    Missing(ErrorBody),
    /// The key's requests per minute are used up; see `Retry-After`.
    #[response(status = 429)]
    Limited(ErrorBody),
    /// A fault of the server; quote `X-Request-Id`.
    #[response(status = 500)]
    Fault(ErrorBody),
    /// The server or its database is away or busy; see `Retry-After`.
    #[response(status = 503)]
    Away(ErrorBody),
}

/// Errors of every route that writes.
#[derive(IntoResponses)]
pub enum WriteErrors {
    /// The body is not a JSON object, or a header or query parameter is bad.
    #[response(status = 400)]
    Json(ErrorBody),
    /// No valid API key.
    #[response(status = 401)]
    Key(ErrorBody),
    /// The key lacks the permission, named in `requiredPermission`.
    #[response(status = 403)]
    Permission(ErrorBody),
    /// No such record.
    #[response(status = 404)]
    Missing(ErrorBody),
    /// A unique value is taken (`details` names it), or the Idempotency-Key was used for another request.
    #[response(status = 409)]
    Conflict(ErrorBody),
    /// The body is over 1 MiB.
    #[response(status = 413)]
    TooLarge(ErrorBody),
    /// The body is not declared as JSON.
    #[response(status = 415)]
    NotJson(ErrorBody),
    /// Fields of the body are wrong; `details.fields` has them all.
    #[response(status = 422)]
    Invalid(ErrorBody),
    /// The key's requests per minute are used up; see `Retry-After`.
    #[response(status = 429)]
    Limited(ErrorBody),
    /// A fault of the server; quote `X-Request-Id`.
    #[response(status = 500)]
    Fault(ErrorBody),
    /// The server or its database is away or busy; see `Retry-After`.
    #[response(status = 503)]
    Away(ErrorBody),
}
