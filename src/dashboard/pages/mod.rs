//! The pages.

pub(super) mod account;
pub(super) mod board;
pub(super) mod contacts;
pub(super) mod deals;
pub(super) mod deliveries;
pub(super) mod events;
pub(super) mod keys;
pub(super) mod overview;
pub(super) mod people;
pub(super) mod replays;
pub(super) mod settings;
pub(super) mod sign_in;
pub(super) mod subscribing;
pub(super) mod trying;
pub(super) mod webhooks;

use axum::http::StatusCode;
use axum::response::Response;

use super::{Failure, SignedIn};

/// A page, or the one that says why there is none.
fn or_why(signed_in: &SignedIn, page: Result<Response, Failure>) -> Response {
    page.unwrap_or_else(|failure| signed_in.fails(&failure))
}

/// What to say on the page after something was done: the next request asks for it by its name.
fn said(signed_in: &SignedIn, done: &str) -> Option<&'static str> {
    let t = signed_in.reader.texts();
    match done {
        "saved" => Some(t.saved),
        "deleted" => Some(t.deleted),
        "redelivered" => Some(t.redelivered),
        "moved" => Some(t.moved),
        "replaying" => Some(t.replaying),
        _ => None,
    }
}

/// Text in the query of an address.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

const OK: StatusCode = StatusCode::OK;
