//! Calling the API from within: the pages have the routes' own rules, queries and answers, and no
//! second copy of any.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt as _;

use super::session::Session;
use crate::admin::users::Role;
use crate::http::auth::{Caller, SignedIn};
use crate::http::error::ApiError;

/// Bytes of an answer, at most: a page of the API's lists.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// The API's routes, without the layer that asks for a key.
#[derive(Clone)]
pub(super) struct Inside {
    pub(super) routes: Router,
    pub(super) base: &'static str,
}

/// What a route answered.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) status: StatusCode,
    /// To be looked into; numbers in it are not exact.
    pub(super) json: Value,
    /// The state of the record that was answered.
    pub(super) etag: String,
    /// As it was answered.
    bytes: Bytes,
}

/// In whose name, and whether through a proxy.
pub(super) struct For<'a> {
    pub(super) session: &'a Session,
    pub(super) proxied: bool,
}

impl Inside {
    /// Sends a request in the name of somebody who is signed in.
    pub(super) async fn call(
        &self,
        whose: &For<'_>,
        (method, path): (Method, &str),
        body: Option<&Value>,
    ) -> Result<Told, super::Failure> {
        self.call_if(whose, (method, path), body, "").await
    }

    /// The same, if the record is still in the state of this ETag; in any if there is none.
    pub(super) async fn call_if(
        &self,
        whose: &For<'_>,
        (method, path): (Method, &str),
        body: Option<&Value>,
        etag: &str,
    ) -> Result<Told, super::Failure> {
        let session = whose.session;
        let signed_in = SignedIn {
            user: session.user,
            company: session.company,
            company_name: session.company_name.clone(),
            permissions: session.role.permissions(),
            redelivers: session.role != Role::ReadOnly,
        };
        let caller = Caller::on_a_page(Arc::new(signed_in), whose.proxied);
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .extension(caller)
            .body(body)?;
        if let Ok(etag) = HeaderValue::from_str(etag)
            && !etag.is_empty()
        {
            request.headers_mut().insert(header::IF_MATCH, etag);
        }
        let mut answer = match self.routes.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let etag = answer.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.unwrap_or_default().to_owned();
        if let Some(error) = answer.extensions_mut().remove::<ApiError>() {
            let bytes = Bytes::from(error.body(chrono::DateTime::UNIX_EPOCH));
            return Ok(Told {
                status: error.code.status(),
                json: serde_json::from_slice(&bytes)?,
                etag,
                bytes,
            });
        }
        let bytes = to_bytes(answer.into_body(), MAX_ANSWER).await?;
        Ok(Told { status, json: serde_json::from_slice(&bytes).unwrap_or_default(), etag, bytes })
    }

    /// The same, for what must succeed.
    pub(super) async fn must(
        &self,
        whose: &For<'_>,
        request: (Method, &str),
        body: Option<&Value>,
    ) -> Result<Told, super::Failure> {
        let told = self.call(whose, request, body).await?;
        if told.status.is_success() { Ok(told) } else { Err(super::Failure::Told(Box::new(told))) }
    }

    /// What is there to read.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        whose: &For<'_>,
        path: &str,
    ) -> Result<T, super::Failure> {
        let told = self.must(whose, (Method::GET, path), None).await?;
        told.read()
    }
}

impl Told {
    /// The sentence for people.
    pub(super) fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    /// The whole of it.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, super::Failure> {
        Ok(serde_json::from_slice(&self.bytes)?)
    }

    /// What is wrong with a field, if it is.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.json["details"]["fields"][name].as_str()
    }
}
