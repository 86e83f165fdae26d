//! Successful answers: `{"success": true, "data": …}` and its companions.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::value::to_raw_value;
use utoipa::ToSchema;

use super::conditions::IfNoneMatch;
use super::error::{ApiError, Code};
use crate::model::etag::ETag;
use crate::writer::{Answer, WriteError};

/// Says that an answer is the first one to an earlier request with this Idempotency-Key.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// `{"success": true, "data": …}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Answered<T> {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// What was asked for.
    data: T,
}

/// `{"success": true, "data": …}` around `data`.
pub fn data<T>(data: T) -> Answered<T> {
    Answered { success: true, data }
}

/// `{"success": true, "message": …}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Message {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// What was done.
    message: &'static str,
}

/// `{"success": true, "message": …}` around `message`.
pub fn message(message: &'static str) -> Message {
    Message { success: true, message }
}

/// A JSON response.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_string(body) {
        Ok(body) => json_text(status, body),
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// A response of JSON text.
pub fn json_text(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// The response that shows one record, or 304 if the caller has it already.
pub fn record<T: Serialize>(record: &T, known: &IfNoneMatch) -> Response {
    match to_raw_value(record) {
        Ok(json) => tagged(&ETag::of(&[json.get()]), &data(json), known),
        Err(error) => ApiError::internal(&error).into_response(),
    }
}

/// The response that shows what has this tag, or 304 if the caller has it already.
pub fn tagged<T: Serialize>(etag: &ETag, body: &T, known: &IfNoneMatch) -> Response {
    let mut response = match known.is_known(etag) {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => json(StatusCode::OK, body),
    };
    set_etag(&mut response, etag);
    response
}

fn set_etag(response: &mut Response, etag: &ETag) {
    if let Ok(etag) = HeaderValue::from_str(etag.as_str()) {
        response.headers_mut().insert(header::ETAG, etag);
    }
}

/// The response to a write.
pub fn written(outcome: Result<Answer, WriteError>) -> Result<Response, ApiError> {
    let answer = outcome?;
    let status = StatusCode::from_u16(answer.status).map_err(|error| ApiError::internal(&error))?;
    let mut response = json_text(status, answer.body);
    if let Some(etag) = &answer.etag {
        set_etag(&mut response, etag);
    }
    if answer.replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::new(
                Code::Overloaded,
                "Too many writes are waiting",
                "The server is busy with earlier writes. Nothing was changed; please try again in a second",
            )
            .retry_after(1),
            WriteError::Held => Self::new(
                Code::Overloaded,
                "The record is busy",
                "Another write holds this record. Nothing was changed; please try again in a second",
            )
            .retry_after(1),
            WriteError::Unavailable => Self::database_unavailable(),
            WriteError::OutcomeUnknown => Self::outcome_unknown(),
            WriteError::KeyReused => Self::new(
                Code::IdempotencyKeyReused,
                "Idempotency-Key was used for another request",
                "This Idempotency-Key belongs to a request with another method, path or body in the last 24 hours; use a new key for a new request",
            ),
            WriteError::Failed => Self::internal(&error),
        }
    }
}

impl ApiError {
    /// 503, and a write may or may not have happened.
    pub fn outcome_unknown() -> Self {
        Self::new(
            Code::Timeout,
            "The answer took too long",
            "The request may or may not have been carried out. Check before you repeat it, or repeat it with the same Idempotency-Key",
        )
        .retry_after(5)
    }
}
