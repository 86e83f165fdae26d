//! Query strings: unknown parameters are refused, because a silently dropped
//! paging parameter makes clients loop for ever.

use std::ops::RangeInclusive;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;

use super::error::ApiError;
use super::field::{NOT_A_TIME, parse_time};

/// Longest text of a parameter, in characters.
const MAX_TEXT: usize = 255;

/// The query string, read into a struct of `Option<String>`s that denies unknown fields.
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            // U+FFFD is what invalid UTF-8 decodes to.
            if name.contains('\u{fffd}') || value.contains(['\u{fffd}', '\0']) {
                return Err(ApiError::invalid_query(&name, "must be valid UTF-8 without NUL"));
            }
            if value.chars().count() > MAX_TEXT {
                return Err(ApiError::invalid_query(
                    &name,
                    format_args!("must not be longer than {MAX_TEXT} characters"),
                ));
            }
        }
        let query = axum::extract::Query::<T>::try_from_uri(&parts.uri).map_err(|rejection| {
            use super::error::Code;
            let message = rejection.body_text();
            let message = message.strip_prefix("Failed to deserialize query string: ").unwrap_or(&message);
            ApiError::new(Code::InvalidQuery, "Invalid query parameter", message)
        })?;
        Ok(Self(query.0))
    }
}

/// Text; blank is none.
pub fn text(value: Option<String>) -> Option<String> {
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// A whole number in a range.
pub fn number(
    name: &str,
    value: Option<String>,
    range: RangeInclusive<i64>,
) -> Result<Option<i64>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    let number = value.parse().ok().filter(|number| range.contains(number));
    number.map(Some).ok_or_else(|| {
        ApiError::invalid_query(
            name,
            format_args!("must be a whole number from {} to {}", range.start(), range.end()),
        )
    })
}

/// A time in any ISO 8601 form.
pub fn time(name: &str, value: Option<String>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    parse_time(&value).map(Some).ok_or_else(|| ApiError::invalid_query(name, NOT_A_TIME))
}

/// One of a few words.
pub fn word<T>(
    name: &str,
    value: Option<String>,
    words: &[&str],
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    parse(&value)
        .map(Some)
        .ok_or_else(|| ApiError::invalid_query(name, format_args!("must be one of {}", words.join(", "))))
}

/// The id of a record, which need not exist.
pub fn id<T>(
    name: &str,
    value: Option<String>,
    prefix: &str,
    parse: fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    parse(&value)
        .map(Some)
        .ok_or_else(|| ApiError::invalid_query(name, format_args!("must be an id like `{prefix}…`")))
}

/// An `ILIKE` pattern for a substring.
pub fn substring(text: &str) -> String {
    let escaped = text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    format!("%{escaped}%")
}
