//! The pages.

pub(super) mod account;
pub(super) mod board;
pub(super) mod contacts;
mod deal;
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
mod subscription;
pub(super) mod trying;
pub(super) mod webhooks;

use axum::http::StatusCode;
use axum::response::Response;

use super::inside::Told;
use super::listing::encoded;
use super::texts::Texts;
use super::{Failure, SignedIn};
use crate::admin::users::Role;

/// May the user change records?
fn may(signed_in: &SignedIn) -> bool {
    signed_in.session.role != Role::ReadOnly
}

/// The form once more, if the answer is about what is in it.
fn refused(
    signed_in: &SignedIn,
    told: Told,
    form: impl FnOnce(&Told, &'static Texts) -> Response,
) -> Result<Response, Failure> {
    if !matches!(told.status.as_u16(), 409 | 412 | 422) {
        return Err(Failure::Told(Box::new(told)));
    }
    Ok(form(&told, signed_in.reader.texts()))
}

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

const OK: StatusCode = StatusCode::OK;
