//! Callers that may do what a route does.

use std::marker::PhantomData;
use std::ops::Deref;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::auth::Caller;
use super::error::ApiError;
use crate::model::permission::Permission;

/// The caller of a request, whose key has the permission `P`; any other key is refused with
/// 403. There is no other way for a handler to learn whose data it may touch.
#[derive(Clone, Debug)]
pub struct Allowed<P>(Caller, PhantomData<P>);

/// A permission as a type.
pub trait Needs {
    /// The permission; none if every key will do.
    const PERMISSION: Option<Permission>;

    /// Is it granted to the caller otherwise?
    fn is_granted(_: &Caller) -> bool {
        false
    }
}

macro_rules! permissions {
    ($($(#[$doc:meta])* $name:ident = $permission:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl Needs for $name {
            const PERMISSION: Option<Permission> = $permission;
        }
    )+};
}

permissions! {
    /// Every key will do.
    AnyKey = None;
    /// `contacts:read`
    ContactsRead = Some(Permission::ContactsRead);
    /// `contacts:write`
    ContactsWrite = Some(Permission::ContactsWrite);
    /// `deals:read`
    DealsRead = Some(Permission::DealsRead);
    /// `deals:write`
    DealsWrite = Some(Permission::DealsWrite);
    /// `webhooks:read`
    WebhooksRead = Some(Permission::WebhooksRead);
    /// `webhooks:write`
    WebhooksWrite = Some(Permission::WebhooksWrite);
}

/// `webhooks:write`, or to be a user who works with deliveries.
#[derive(Clone, Copy, Debug)]
pub enum Redelivering {}

impl Needs for Redelivering {
    const PERMISSION: Option<Permission> = WebhooksWrite::PERMISSION;

    fn is_granted(caller: &Caller) -> bool {
        caller.redelivers()
    }
}

impl<P> Allowed<P> {
    /// The caller, for work that goes on after the handler.
    pub fn into_caller(self) -> Caller {
        self.0
    }
}

impl<P> Deref for Allowed<P> {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl<S: Send + Sync, P: Needs> FromRequestParts<S> for Allowed<P> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let caller: Option<&Caller> = parts.extensions.get();
        let caller =
            caller.cloned().ok_or_else(|| ApiError::internal(&"a route is not behind `authenticate`"))?;
        if let Some(permission) = P::PERMISSION
            && !P::is_granted(&caller)
        {
            caller.require(permission)?;
        }
        Ok(Self(caller, PhantomData))
    }
}
