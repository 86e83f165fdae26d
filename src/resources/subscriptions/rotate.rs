//! Changing the secret of a subscription without losing a delivery.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Command, Subscription, parse_id};
use crate::http::auth::Caller;
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::field::{Field, FromJson, Problems};
use crate::http::openapi::{Answered, WriteErrors};
use crate::model::duration::parse_duration;
use crate::model::permission::Permission;
use crate::model::records::serialize_time_option;
use crate::outbound::signature::Secret;
use crate::random;
use crate::resources::Api;

/// How long the secret before goes on signing.
#[derive(Clone, Copy, Debug)]
struct Overlap(Duration);

impl Overlap {
    /// Time for one deployment of a receiver.
    const DEFAULT: Self = Self(Duration::from_secs(24 * 60 * 60));
    /// A secret that leaked must not stay for ever.
    const MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);
}

impl FromJson for Overlap {
    fn from_json(json: &str) -> Result<Self, String> {
        let overlap = serde_json::from_str::<String>(json).ok().and_then(|text| parse_duration(&text).ok());
        overlap
            .filter(|overlap| *overlap <= Self::MAX)
            .map(Self)
            .ok_or_else(|| r#"must be a duration from "0s" to "7d", for example "24h""#.into())
    }
}

/// How to change the secret.
#[derive(Default, Deserialize, ToSchema)]
#[schema(example = json!({"overlap": "24h"}))]
pub(super) struct RotateInput {
    /// A secret of one's own, `whsec_` and base64 of 24–64 bytes; otherwise one is made.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "secret")]
    secret: Field<Secret>,
    /// How long deliveries are signed with the secret before, too: `0s` to `7d`, `24h` if left out.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = "duration-text")]
    overlap: Field<Overlap>,
}

/// A secret to change to.
pub struct Rotation {
    pub(super) secret: Secret,
    pub(super) overlap: Duration,
}

impl RotateInput {
    fn into_rotation(self, made: Secret) -> Result<Rotation, ApiError> {
        let mut problems = Problems::default();
        let secret = problems.optional("secret", self.secret).flatten().unwrap_or(made);
        let Overlap(overlap) =
            problems.optional("overlap", self.overlap).flatten().unwrap_or(Overlap::DEFAULT);
        problems.finish()?;
        Ok(Rotation { secret, overlap })
    }
}

/// A changed secret.
#[derive(Serialize, ToSchema)]
pub(super) struct Rotated {
    /// `hook_…`
    id: String,
    /// `sub_…`
    subscription_id: String,
    /// The new secret. Shown here only.
    secret: String,
    /// Until when deliveries are signed with the secret before, too.
    #[serde(serialize_with = "serialize_time_option")]
    #[schema(required)]
    previous_secret_valid_until: Option<DateTime<Utc>>,
}

impl From<&Subscription> for Rotated {
    fn from(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.hook(),
            subscription_id: subscription.id.to_string(),
            secret: subscription.secret.reveal().to_owned(),
            previous_secret_valid_until: subscription.previous_secret.as_ref().map(|(_, until)| *until),
        }
    }
}

/// Change the secret
///
/// From the answer on, deliveries are signed with the new secret. During the overlap
/// `webhook-signature` has both signatures, separated by a space, and receivers may take
/// either. Changing again during it ends the overlap of the secret before the current one.
#[utoipa::path(post, path = "/webhooks/{id}/rotate-secret", operation_id = "rotateSecret", tag = "Webhooks", request_body = Option<RotateInput>,
    params(("id" = String, Path, description = "`sub_…` or `hook_…`"),
           ("Idempotency-Key" = Option<String>, Header, description = "Repeats of the same request with the same key get the first answer for 24 hours")),
    responses((status = 200, description = "The new secret", body = Answered<Rotated>), WriteErrors))]
pub(super) async fn rotate_secret(
    State(api): State<Api>,
    caller: Caller,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Response, ApiError> {
    caller.require(Permission::WebhooksWrite)?;
    let id = parse_id(&id)?;
    let random = random::bytes().map_err(|error| ApiError::internal(&error))?;
    let input = if payload.is_empty() { RotateInput::default() } else { payload.json::<RotateInput>()? };
    let rotation = input.into_rotation(Secret::generate(random))?;
    api.write(&caller, Some(&payload), Command::Rotate(id, rotation)).await
}
