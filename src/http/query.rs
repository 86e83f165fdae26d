//! Query strings: unknown parameters are refused, because a silently dropped
//! paging parameter makes clients loop for ever.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use utoipa::openapi::path::ParameterIn;
use utoipa::openapi::{OpenApi, RefOr};

use super::error::ApiError;
use crate::model::text::tidy;
use crate::model::time::{NOT_A_TIME, parse_time};
use crate::model::words::Words;

/// Longest text of a parameter, in characters.
const MAX_TEXT: usize = 255;

/// The query string, read into a struct of `Option<String>`s.
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

/// The query parameters of every route and method, as the OpenAPI document has them.
pub struct KnownParameters {
    /// What the paths of the document come after.
    base: &'static str,
    parameters: HashMap<(String, Method), Vec<String>>,
}

impl KnownParameters {
    /// Reads them from the document, whose paths are below `base`.
    pub fn new(base: &'static str, document: &OpenApi) -> Self {
        let mut parameters = HashMap::new();
        for (path, item) in &document.paths.paths {
            let operations = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::PATCH, &item.patch),
                (Method::DELETE, &item.delete),
            ];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let names = operation.parameters.iter().flatten().filter_map(|parameter| match parameter {
                    RefOr::T(parameter) if parameter.parameter_in == ParameterIn::Query => {
                        Some(parameter.name.clone())
                    }
                    _ => None,
                });
                parameters.insert((path.clone(), method), names.collect());
            }
        }
        Self { base, parameters }
    }

    fn check(&self, path: &str, method: &Method, query: &str) -> Result<(), ApiError> {
        let path = path.strip_prefix(self.base).unwrap_or(path).to_owned();
        let method = if *method == Method::HEAD { Method::GET } else { method.clone() };
        // A method that there is not is told about elsewhere.
        let Some(known) = self.parameters.get(&(path, method)) else { return Ok(()) };
        for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.iter().any(|known| *known == name) {
                let allowed = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(ApiError::invalid_query(
                    &name,
                    format_args!("is not known here; known are: {allowed}"),
                ));
            }
        }
        Ok(())
    }
}

/// The layer in front of every route that refuses unknown parameters.
pub async fn refuse_unknown(
    State(known): State<Arc<KnownParameters>>,
    path: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    match known.check(path.as_str(), request.method(), request.uri().query().unwrap_or_default()) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

/// Text; blank is none.
pub fn text(value: Option<String>) -> Option<String> {
    value.map(|value| tidy(&value).into_owned()).filter(|value| !value.is_empty())
}

/// Text in which a space can only be a `+` that was not escaped, where it stands in front of
/// digits, or inside an email address.
pub fn with_lost_plus(value: Option<String>) -> Option<String> {
    text(value.map(|value| {
        let is_number =
            value.strip_prefix(' ').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let (local, domain) = value.trim().split_once('@').unwrap_or_default();
        if is_number {
            format!("+{}", value.trim_start())
        } else if local.contains(' ') && !domain.is_empty() && !domain.contains(' ') {
            format!("{}@{domain}", local.replace(' ', "+"))
        } else {
            value
        }
    }))
}

/// Text to search for, in each way in which it can have been meant: a space in front of the last word with
/// an `@` may be a `+` that was not escaped.
pub fn searches(value: Option<String>) -> Vec<String> {
    let Some(plain) = text(value.clone()) else { return Vec::new() };
    let with_plus = with_lost_plus(value).filter(|text| *text != plain);
    let address = plain.rfind(' ').filter(|space| plain[*space..].contains('@'));
    let near = address.map(|space| format!("{}+{}", &plain[..space], &plain[space + 1..]));
    let mut all = vec![plain];
    for text in [with_plus, near].into_iter().flatten() {
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
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

/// A whole number in a range. One below the range is taken as none: some clients send `-1` for
/// "as many as there are".
pub fn number_or_less(
    name: &str,
    value: Option<String>,
    range: RangeInclusive<i64>,
) -> Result<Option<i64>, ApiError> {
    let is_less = |text: &String| text.trim().parse::<i64>().is_ok_and(|number| number < *range.start());
    number(name, value.filter(|text| !is_less(text)), range)
}

/// A time in any ISO 8601 form.
pub fn time(name: &str, value: Option<String>) -> Result<Option<DateTime<Utc>>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    parse_time(&value).map(Some).ok_or_else(|| ApiError::invalid_query(name, NOT_A_TIME))
}

/// One of a few words.
pub fn word<W: Words>(name: &str, value: Option<String>) -> Result<Option<W>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    W::parse(&value)
        .map(Some)
        .ok_or_else(|| ApiError::invalid_query(name, format_args!("must be one of {}", W::WORDS.join(", "))))
}

/// `true` or `false`.
pub fn flag(name: &str, value: Option<String>) -> Result<Option<bool>, ApiError> {
    let Some(value) = text(value) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| ApiError::invalid_query(name, "must be `true` or `false`"))
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
