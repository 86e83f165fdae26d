//! Reading request bodies.

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, Method, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::error::{ApiError, Code};
use super::json::{depth, repeated_key};
use super::openapi::IDEMPOTENCY_KEY;
use super::warnings::Unknown;
use crate::writer::IdempotencyKey;

/// Bytes in a request body.
pub const MAX_BODY: usize = 1024 * 1024;
/// Levels of arrays and objects in a request body.
const MAX_DEPTH: usize = 32;

/// Characters of a key that an error names.
const KEY_CHARS: usize = 100;

/// A request with its whole body, not looked at yet: permissions come first.
pub struct Payload {
    headers: HeaderMap,
    method: Method,
    path: String,
    body: Bytes,
    /// Where unknown fields are noted.
    unknown: Option<Unknown>,
}

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let too_large = || {
            ApiError::new(
                Code::PayloadTooLarge,
                "Request body too large",
                format!("The body must not be larger than {MAX_BODY} bytes"),
            )
        };
        // Nobody has to send it to hear that.
        if body.size_hint().lower() > MAX_BODY as u64 {
            return Err(too_large());
        }
        let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        match Limited::new(body, MAX_BODY).collect().await {
            Ok(body) => {
                let unknown = parts.extensions.get::<Unknown>().cloned();
                let (headers, method) = (parts.headers, parts.method);
                Ok(Self { headers, method, path, body: body.to_bytes(), unknown })
            }
            Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
            Err(_) => Err(ApiError::new(
                Code::BadRequest,
                "Request body incomplete",
                "The body ended before it was complete, or is not encoded as its Content-Encoding says",
            )),
        }
    }
}

impl Payload {
    /// Bytes of the body.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Did the caller send no body?
    pub fn is_empty(&self) -> bool {
        self.body.iter().all(u8::is_ascii_whitespace)
    }

    /// The body as a JSON object. A missing `Content-Type` is taken for JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        if let Some(declared) = self.headers.get(header::CONTENT_TYPE)
            && !declared.to_str().is_ok_and(is_json)
        {
            return Err(ApiError::new(
                Code::UnsupportedMediaType,
                "Content-Type must be application/json",
                "Please send JSON and say so with the header Content-Type: application/json",
            ));
        }
        let malformed =
            |message: String| ApiError::new(Code::InvalidJson, "Request body is not valid JSON", message);
        let text =
            std::str::from_utf8(&self.body).map_err(|_| malformed("The body is not valid UTF-8".into()))?;
        // RFC 8259 §8.1: a parser may ignore a byte order mark.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if depth(text) > MAX_DEPTH {
            return Err(malformed(format!("The body is nested deeper than {MAX_DEPTH} levels")));
        }
        if self.is_empty() {
            return Err(malformed("The body is empty; please send a JSON object".into()));
        }
        if !text.trim_start().starts_with('{') {
            // Still JSON, or not even that?
            let message = serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map_or_else(|error| error.to_string(), |_| "The body must be a JSON object".to_owned());
            return Err(malformed(message));
        }
        let read = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
        if let Some(key) = repeated_key(text) {
            let key: String = key.chars().take(KEY_CHARS).collect();
            return Err(malformed(format!("An object of the body has the key `{key}` twice; send it once")));
        }
        if let Some(unknown) = &self.unknown {
            unknown.look(text);
        }
        Ok(read)
    }

    /// The Idempotency-Key of a POST; other methods have none.
    pub fn idempotency(&self) -> Result<Option<IdempotencyKey>, ApiError> {
        let Some(key) = self.headers.get(IDEMPOTENCY_KEY).filter(|_| self.method == Method::POST) else {
            return Ok(None);
        };
        let key = key
            .to_str()
            .ok()
            .and_then(|key| IdempotencyKey::new(key, self.method.as_str(), &self.path, &self.body));
        key.map(Some).ok_or_else(|| {
            ApiError::new(
                Code::BadRequest,
                "Invalid Idempotency-Key",
                format!(
                    "Idempotency-Key must be 1 to {} printable ASCII characters",
                    IdempotencyKey::MAX_LEN
                ),
            )
        })
    }
}

fn is_json(content_type: &str) -> bool {
    let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_by_any_of_its_names() {
        assert!(is_json("application/json; charset=utf-8"));
        assert!(is_json("application/vnd.api+JSON"));
        assert!(!is_json("text/plain"));
        assert!(!is_json("application/x-www-form-urlencoded"));
    }
}
