//! The `{id}` of a path.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use utoipa::IntoParams;
use utoipa::openapi::Required;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::error::ApiError;
use crate::model::ids::{ContactId, DealId, DeliveryId, EventId, ReplayId, SubscriptionId};

/// What the `{id}` of a path names. Text that is no such id names nothing: 404.
#[derive(Clone, Copy, Debug)]
pub struct Id<T>(pub T);

/// A kind of id that paths have.
pub trait PathId: Sized {
    /// What it names, as a 404 says.
    const RESOURCE: &'static str;
    /// What it looks like, as the OpenAPI document says.
    const FORM: &'static str;

    /// Reads it.
    fn read(text: &str) -> Option<Self>;
}

/// 404 for a resource that is not there.
pub fn not_found<T: PathId>() -> ApiError {
    ApiError::not_found(T::RESOURCE)
}

macro_rules! path_ids {
    ($($id:ident, $resource:literal, $form:literal, $read:ident;)+) => {$(
        impl PathId for $id {
            const RESOURCE: &'static str = $resource;
            const FORM: &'static str = $form;

            fn read(text: &str) -> Option<Self> {
                Self::$read(text)
            }
        }
    )+};
}

path_ids! {
    ContactId, "Contact", "`contact_…`", parse;
    DealId, "Deal", "`deal_…`", parse;
    DeliveryId, "Delivery", "`delivery_…`", parse;
    EventId, "Event", "`event_…`", parse;
    ReplayId, "Replay", "`replay_…`", parse;
    SubscriptionId, "Webhook subscription", "`sub_…` or `hook_…`", parse_either;
}

impl<S: Send + Sync, T: PathId> FromRequestParts<S> for Id<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let id = Path::<String>::from_request_parts(parts, state).await;
        id.ok().and_then(|Path(id)| T::read(&id)).map(Self).ok_or_else(not_found::<T>)
    }
}

impl<T: PathId> IntoParams for Id<T> {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let parameter = ParameterBuilder::new()
            .name("id")
            .parameter_in(ParameterIn::Path)
            .required(Required::True)
            .description(Some(T::FORM))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
        vec![parameter.build()]
    }
}
