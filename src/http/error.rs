//! Errors as they go over the wire: one shape, whatever went wrong.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use crate::database::TooManyReads;
use crate::model::permission::Permission;
use crate::model::time::wire_time;

/// Defines the closed list of `code` values with their status.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident, $name:literal, $status:ident;)+) => {
        /// The closed list of `code` values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ToSchema)]
        pub enum Code { $($(#[$doc])* #[schema(rename = $name)] $variant,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Self::$variant),+];

            /// As shown.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The HTTP status it comes with.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON (or not UTF-8, or nested too deeply).
    InvalidJson, "INVALID_JSON", BAD_REQUEST;
    /// A query parameter is unknown or has a bad value.
    InvalidQuery, "INVALID_QUERY", BAD_REQUEST;
    /// A header has a bad value, or the request is not proper HTTP.
    BadRequest, "BAD_REQUEST", BAD_REQUEST;
    /// No API key.
    MissingApiKey, "MISSING_API_KEY", UNAUTHORIZED;
    /// The API key is not key-shaped.
    InvalidApiKeyFormat, "INVALID_API_KEY_FORMAT", UNAUTHORIZED;
    /// The API key is unknown, expired or revoked.
    InvalidApiKey, "INVALID_API_KEY", UNAUTHORIZED;
    /// The API key lacks the permission.
    PermissionDenied, "PERMISSION_DENIED", FORBIDDEN;
    /// No such route or record.
    NotFound, "NOT_FOUND", NOT_FOUND;
    /// The route exists, but not with this method; see `Allow`.
    MethodNotAllowed, "METHOD_NOT_ALLOWED", METHOD_NOT_ALLOWED;
    /// What came after the cursor is no longer kept.
    CursorExpired, "CURSOR_EXPIRED", GONE;
    /// A unique value is taken; `details` names the field and the existing id.
    AlreadyExists, "ALREADY_EXISTS", CONFLICT;
    /// Several records match; `details.ids` names them.
    AmbiguousMatch, "AMBIGUOUS_MATCH", CONFLICT;
    /// Not as things stand now; the message says what stands against it.
    Conflict, "CONFLICT", CONFLICT;
    /// The Idempotency-Key was used for another request.
    IdempotencyKeyReused, "IDEMPOTENCY_KEY_REUSED", CONFLICT;
    /// The record was changed meanwhile; `details.etag` is the ETag that it has now.
    PreconditionFailed, "PRECONDITION_FAILED", PRECONDITION_FAILED;
    /// The body is over the limit.
    PayloadTooLarge, "PAYLOAD_TOO_LARGE", PAYLOAD_TOO_LARGE;
    /// The body is not declared as JSON.
    UnsupportedMediaType, "UNSUPPORTED_MEDIA_TYPE", UNSUPPORTED_MEDIA_TYPE;
    /// Fields of the body are wrong; `details.fields` has them all.
    ValidationError, "VALIDATION_ERROR", UNPROCESSABLE_ENTITY;
    /// The key's requests per minute are used up; see `Retry-After`.
    RateLimitExceeded, "RATE_LIMIT_EXCEEDED", TOO_MANY_REQUESTS;
    /// The company has as many event streams open as it may.
    TooManyStreams, "TOO_MANY_STREAMS", TOO_MANY_REQUESTS;
    /// A fault of the server; quote the request id.
    InternalError, "INTERNAL_ERROR", INTERNAL_SERVER_ERROR;
    /// More writes are waiting, or event streams open, than the server takes on; see `Retry-After`.
    Overloaded, "OVERLOADED", SERVICE_UNAVAILABLE;
    /// The database does not answer; see `Retry-After`.
    DatabaseUnavailable, "DATABASE_UNAVAILABLE", SERVICE_UNAVAILABLE;
    /// The answer took too long. A write may still have happened.
    Timeout, "TIMEOUT", SERVICE_UNAVAILABLE;
}

/// Anything that is answered with an error.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// Which of the closed list.
    pub code: Code,
    /// Boxed, because every `Result` of a handler has room for it.
    content: Box<Content>,
}

#[derive(Clone, Debug)]
struct Content {
    error: String,
    message: String,
    details: Map<String, Value>,
    /// Top-level fields beside the usual ones.
    extra: Map<String, Value>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl ApiError {
    /// An error with a short description and a longer message for people.
    pub fn new(code: Code, error: impl Into<String>, message: impl Into<String>) -> Self {
        let content = Content {
            error: error.into(),
            message: message.into(),
            details: Map::new(),
            extra: Map::new(),
            headers: Vec::new(),
        };
        Self { code, content: Box::new(content) }
    }

    /// Adds one entry to `details`.
    pub fn detail(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.content.details.insert(name.into(), value.into());
        self
    }

    /// Adds a header to the response.
    pub fn header(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.content.headers.push((name, value.into()));
        self
    }

    /// Says when to come back.
    pub fn retry_after(self, seconds: u64) -> Self {
        self.header(axum::http::header::RETRY_AFTER, seconds)
    }

    /// 404 for a record, also when it is another company's.
    pub fn not_found(what: &str) -> Self {
        Self::new(
            Code::NotFound,
            format!("{what} not found"),
            format!("No such {} in your company", what.to_lowercase()),
        )
    }

    /// 403.
    pub fn permission_denied(required: Permission, available: &[Permission]) -> Self {
        let name = required.word();
        let mut error = Self::new(
            Code::PermissionDenied,
            format!("Permission denied: {name} required"),
            format!("This API key does not have the required permission: {name}"),
        );
        error.content.extra.insert("requiredPermission".into(), name.into());
        error.content.extra.insert("availablePermissions".into(), json!(available));
        error
    }

    /// 422 with every bad field and a sentence for each.
    pub fn validation(fields: Map<String, Value>) -> Self {
        let names = fields.keys().map(|field| format!("`{field}`")).collect::<Vec<_>>().join(", ");
        Self::new(
            Code::ValidationError,
            "Validation failed",
            format!("Please correct {names} and send the request again"),
        )
        .detail("fields", fields)
    }

    /// 422 for one field.
    pub fn invalid_field(field: &str, sentence: impl Into<String>) -> Self {
        Self::validation(Map::from_iter([(field.to_owned(), Value::String(sentence.into()))]))
    }

    /// 400 for a query parameter.
    pub fn invalid_query(parameter: &str, sentence: impl std::fmt::Display) -> Self {
        let parameter: String = parameter.chars().take(50).collect();
        Self::new(Code::InvalidQuery, "Invalid query parameter", format!("`{parameter}` {sentence}"))
            .detail("parameter", parameter)
    }

    /// 500. What happened goes to the log, not to the caller.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "internal error");
        Self::new(
            Code::InternalError,
            "Internal server error",
            "Something went wrong on our side. Please try again, and quote the X-Request-Id header if it persists",
        )
    }

    /// 503, the database is away.
    pub fn database_unavailable() -> Self {
        Self::new(
            Code::DatabaseUnavailable,
            "Service temporarily unavailable",
            "The database does not answer at the moment. Nothing was changed; please try again in a few seconds",
        )
        .retry_after(2)
    }

    /// 503, because there is too much to do.
    pub fn overloaded(error: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Code::Overloaded, error, message).retry_after(2)
    }

    /// The body as sent.
    pub fn body(&self, now: DateTime<Utc>) -> String {
        let mut body = json!({
            "success": false,
            "error": self.content.error,
            "message": self.content.message,
            "code": self.code.name(),
            "details": self.content.details,
            "timestamp": wire_time(now),
        });
        if let Value::Object(body) = &mut body {
            body.extend(self.content.extra.clone());
        }
        body.to_string()
    }

    /// The error of one record of several: what it is, without what only a whole answer has.
    pub fn of_one(&self) -> Value {
        json!({
            "error": self.content.error,
            "message": self.content.message,
            "code": self.code.name(),
            "details": self.content.details,
        })
    }

    /// Headers that belong to it.
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.content.headers
    }
}

impl From<sqlx::Error> for ApiError {
    fn from(error: sqlx::Error) -> Self {
        if crate::database::postgres::is_unavailable(&error) {
            tracing::warn!(%error, "the database does not answer");
            Self::database_unavailable()
        } else if crate::database::postgres::is_contention(&error) {
            tracing::warn!(%error, "a read took too long and was given up");
            Self::overloaded(
                "The request took too long",
                "The database did not finish in time. Nothing was changed; please ask for less at a time, or try again in a few seconds",
            )
        } else {
            Self::internal(&error)
        }
    }
}

impl From<TooManyReads> for ApiError {
    fn from(_: TooManyReads) -> Self {
        Self::overloaded(
            "Too many reads at once",
            "Your company has as many reads under way as it may, and they take long. Nothing was changed; please ask for less at a time, or try again in a few seconds",
        )
    }
}

impl IntoResponse for ApiError {
    /// Leaves the body to [`super::layers`], which knows the time.
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// The documented shape of every error.
#[derive(ToSchema)]
#[schema(as = Error, rename_all = "camelCase")]
pub struct ErrorBody {
    /// Always false.
    #[schema(example = false)]
    pub success: bool,
    /// A short description.
    #[schema(example = "Validation failed")]
    pub error: String,
    /// An explanation for people: what is wrong and what to do.
    #[schema(example = "Please correct `phoneNumber` and send the request again")]
    pub message: String,
    /// The kind of error, for programs; one of a closed list.
    pub code: Code,
    /// Further details; which ones depends on `code`.
    #[schema(value_type = Object, example = json!({"fields": {"phoneNumber": "is required"}}))]
    pub details: Value,
    /// The time of the answer.
    #[schema(example = "2024-11-08T10:30:00.000Z")]
    pub timestamp: String,
    /// The permission that is missing; only with 403.
    #[schema(example = "contacts:write")]
    pub required_permission: Option<String>,
    /// The permissions that the key has; only with 403.
    #[schema(example = json!(["contacts:read"]))]
    pub available_permissions: Option<Vec<String>>,
}
