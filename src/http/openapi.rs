//! Shapes of answers that the OpenAPI document shares.

use utoipa::{IntoResponses, ToSchema};

use super::error::ErrorBody;
use super::paging::Meta;

/// `{"success": true, "data": …}`.
#[derive(ToSchema)]
pub struct Answered<T: ToSchema> {
    /// Always true.
    #[schema(example = true)]
    pub success: bool,
    /// What was asked for.
    pub data: T,
}

/// A page of a list.
#[derive(ToSchema)]
pub struct Listed<T: ToSchema> {
    /// Always true.
    #[schema(example = true)]
    pub success: bool,
    /// The records on this page.
    pub data: Vec<T>,
    /// About the list.
    pub meta: Meta,
}

/// `{"success": true, "message": …}`.
#[derive(ToSchema)]
pub struct Said {
    /// Always true.
    #[schema(example = true)]
    pub success: bool,
    /// What was done.
    pub message: String,
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
