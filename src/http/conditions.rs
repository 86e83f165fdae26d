//! Conditions of requests: `If-Match` for who must not overwrite what others changed meanwhile, and
//! `If-None-Match` for who has the record already (RFC 9110 §13).

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use utoipa::{IntoParams, IntoResponses};

use super::error::{ApiError, Code, ErrorBody};
use crate::model::etag::ETag;

/// The tags that a header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: whichever the record has.
    Any,
    /// These. Weak ones begin with `W/`.
    These(Vec<String>),
}

/// The condition of a request that changes a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfMatch(pub Option<Tags>);

/// What the caller of a request that reads a record knows already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IfNoneMatch(Option<Tags>);

impl Tags {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let mut values = headers.get_all(name).iter().peekable();
        values.peek()?;
        // What is not text fits no record; left out, it would be no condition any more.
        let texts = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
        let tags: Vec<_> = texts.map(str::trim).filter(|tag| !tag.is_empty()).map(quoted).collect();
        Some(if tags.iter().any(|tag| tag == "*") { Self::Any } else { Self::These(tags) })
    }

    /// Compares strongly: a weak tag does not say that the record is the same to the byte.
    pub fn contain(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| tag == current.as_str()),
        }
    }

    /// Compares weakly.
    fn contain_weakly(&self, current: &ETag) -> bool {
        match self {
            Self::Any => true,
            Self::These(tags) => {
                tags.iter().any(|tag| tag.strip_prefix("W/").unwrap_or(tag) == current.as_str())
            }
        }
    }
}

/// A tag with its quotes, which some clients take off.
fn quoted(tag: &str) -> String {
    if tag == "*" || tag.contains('"') { tag.to_owned() } else { format!("\"{tag}\"") }
}

impl IfNoneMatch {
    /// Returns whether the caller knows the record as it is.
    pub fn is_known(&self, current: &ETag) -> bool {
        self.0.as_ref().is_some_and(|tags| tags.contain_weakly(current))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Tags::read(&parts.headers, &header::IF_MATCH)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Tags::read(&parts.headers, &header::IF_NONE_MATCH)))
    }
}

/// 412: the record is not as the caller knows it.
pub fn changed_meanwhile(current: &ETag) -> ApiError {
    ApiError::new(
        Code::PreconditionFailed,
        "The record was changed meanwhile",
        "The record does not have an ETag of If-Match any more, so nothing was written. Please read the record, and send your change again with its ETag",
    )
    .detail("etag", current.as_str())
}

/// The header of writes that must not overwrite what others changed.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described; `IfMatch` reads it")]
pub struct IfMatchHeader {
    /// Write only if the record still has this `ETag`; otherwise the answer is 412. `*` fits any record
    #[param(rename = "If-Match")]
    tags: Option<String>,
}

/// The header of reads of one record.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described; `IfNoneMatch` reads it")]
pub struct IfNoneMatchHeader {
    /// The `ETag` of the record as you know it; if it still is that one, the answer is 304 without a body
    #[param(rename = "If-None-Match")]
    tags: Option<String>,
}

/// The error of every route that takes `If-Match`.
#[derive(IntoResponses)]
pub enum ConditionErrors {
    /// The record does not have an ETag of `If-Match` any more; `details.etag` is the current one.
    #[response(status = 412)]
    Changed(ErrorBody),
}

/// The answer of every route that takes `If-None-Match`, to who has the record already.
#[derive(IntoResponses)]
pub enum Unchanged {
    /// The record still has the ETag of `If-None-Match`.
    #[response(status = 304)]
    NotModified,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&'static str]) -> Option<Tags> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::IF_MATCH, value.parse().unwrap());
        }
        Tags::read(&headers, &header::IF_MATCH)
    }

    #[test]
    fn tags_are_read_as_clients_send_them() {
        let current = ETag::stored("\"a\"".into());
        for values in [&["\"a\""][..], &["a"], &["\"b\", \"a\""], &["\"b\"", " \"a\" "], &["*"]] {
            assert!(read(values).unwrap().contain(&current), "{values:?}");
        }
        for values in [&["\"b\""][..], &["W/\"a\""], &[""], &["\"a"]] {
            assert!(!read(values).unwrap().contain(&current), "{values:?}");
        }
        assert!(read(&["W/\"a\""]).unwrap().contain_weakly(&current));
        assert_eq!(read(&[]), None);
    }
}
