//! What subscribing a URL would say, without subscribing.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::whose;
use crate::http::allowed::{Allowed, WebhooksWrite};
use crate::http::answer::{self, Answered};
use crate::http::body::Payload;
use crate::http::error::ApiError;
use crate::http::field::{Field, Problems};
use crate::http::openapi::{IdempotencyKeyHeader, WriteErrors};
use crate::outbound::address::{ALLOW_TARGETS, TargetUrl};
use crate::outbound::targets::{AddressVerdict, Verdict};
use crate::resources::Api;

/// A URL to check.
#[derive(Deserialize, ToSchema)]
#[schema(example = json!({"target_url": "https://hooks.example.com/isao"}))]
pub(super) struct CheckUrlInput {
    /// The URL, as a subscription would have it.
    #[serde(default)]
    #[schema(value_type = String, format = "uri", max_length = 2048)]
    target_url: Field<TargetUrl>,
}

/// The result of checking a URL.
#[derive(Serialize, ToSchema)]
pub(super) struct CheckedUrl {
    target_url: String,
    /// Whether a subscription with this URL would be accepted; also true while the host name does
    /// not resolve.
    allowed: bool,
    /// The host as it is looked up: in lower case and ASCII, an address in its usual spelling.
    #[schema(example = "hooks.example.com")]
    host: String,
    /// The present addresses of the host. Deliveries connect only to allowed ones.
    addresses: Vec<CheckedAddress>,
    /// The result in one sentence.
    message: String,
    /// The server setting that would allow what is refused.
    #[schema(required, example = "ISAO_ALLOW_TARGETS")]
    setting: Option<&'static str>,
}

/// One address of the host.
#[derive(Serialize, ToSchema)]
struct CheckedAddress {
    #[schema(value_type = String, example = "10.0.0.5")]
    ip: IpAddr,
    allowed: bool,
    /// The rule that refuses the address.
    #[schema(required, example = "private")]
    rule: Option<&'static str>,
    /// The address range of that rule.
    #[schema(required, example = "10.0.0.0/8")]
    range: Option<String>,
    /// The refusal in a sentence.
    #[schema(required)]
    message: Option<String>,
}

impl CheckedUrl {
    fn new(target: &TargetUrl, verdict: Verdict) -> Self {
        let host = target.host().to_string();
        let addresses = verdict.addresses.as_deref().unwrap_or_default();
        let refused = addresses.iter().filter(|judged| judged.refusal.is_some()).count();
        let message = match (&verdict.refusal, &verdict.addresses) {
            (Some(refusal), _) => format!("{host} is refused: {refusal}"),
            (None, Err(error)) => format!(
                "{host} does not resolve now: {error}. It can be subscribed; deliveries fail until it resolves"
            ),
            (None, Ok(_)) if refused > 0 => format!(
                "{host} is allowed, but {refused} of its {} addresses are refused and will not be connected to",
                addresses.len()
            ),
            (None, Ok(_)) => format!("{host} is allowed"),
        };
        Self {
            target_url: target.as_str().to_owned(),
            allowed: verdict.refusal.is_none(),
            host,
            addresses: addresses.iter().map(CheckedAddress::from).collect(),
            message,
            setting: (verdict.refusal.is_some() || refused > 0).then_some(ALLOW_TARGETS),
        }
    }
}

impl From<&AddressVerdict> for CheckedAddress {
    fn from(judged: &AddressVerdict) -> Self {
        let refusal = judged.refusal.as_ref();
        Self {
            ip: judged.ip,
            allowed: refusal.is_none(),
            rule: refusal.map(|refusal| refusal.rule.word()),
            range: refusal.map(|refusal| refusal.range.to_string()),
            message: refusal.map(ToString::to_string),
        }
    }
}

/// Check a target URL
///
/// Says whether a subscription with this URL would be accepted, and why: the addresses of its
/// host, the rule that refuses an address, and the server setting that would allow it. The host
/// name is looked up for at most 5 s; the server connects to none of the addresses. The
/// permission is the one of subscribing, which reveals what the server's name servers know, too.
#[utoipa::path(post, path = "/webhooks/check-url", operation_id = "checkTargetUrl", tag = "Webhooks", request_body = CheckUrlInput,
    params(IdempotencyKeyHeader),
    responses((status = 200, description = "The result of the check", body = Answered<CheckedUrl>), WriteErrors))]
pub(super) async fn check_url(
    State(api): State<Api>,
    caller: Allowed<WebhooksWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let input = payload.json::<CheckUrlInput>()?;
    let mut problems = Problems::default();
    let target = problems.required("target_url", input.target_url);
    problems.finish()?;
    let target =
        target.ok_or_else(|| ApiError::internal(&"a required field is missing without a problem"))?;
    let checked = async {
        let verdict = api.targets.verdict(&target, whose(&caller)).await;
        Ok(answer::data(CheckedUrl::new(&target, verdict)))
    };
    api.once(&caller, &payload, checked).await
}
