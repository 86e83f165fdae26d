//! Team members, to whom deals are assigned. They are made with `isao members create`.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Api;
use crate::http::allowed::{Allowed, DealsRead};
use crate::http::answer;
use crate::http::bounded::Bounded;
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::http::query::{self, Query};
use crate::model::ids::MemberId;
use crate::model::records::AssignedTo;

/// Members in one answer.
const MAX_MEMBERS: i64 = 1_000;

/// The routes.
pub fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which members.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Return only members whose name or email contains this text, in upper or lower case.
    search: Option<String>,
}

/// List team members
///
/// Lists those to whom deals can be assigned, by name: the `id` of a member is what `assignedToId` of a
/// deal takes. The list has at most 1000 members; `search` finds the others.
#[utoipa::path(get, path = "/members", operation_id = "listMembers", tag = "Deals", params(ListQuery),
    responses((status = 200, description = "Team members", body = Bounded<AssignedTo>), ReadErrors))]
async fn list(
    State(api): State<Api>,
    caller: Allowed<DealsRead>,
    Query(wanted): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let company = caller.company();
    let pattern = query::with_lost_plus(wanted.search).as_deref().map(query::substring);
    let members = sqlx::query!(
        "SELECT id, name, email FROM team_members
         WHERE company_id = $1 AND ($2::text IS NULL OR name ILIKE $2 OR email ILIKE $2)
         ORDER BY lower(name), name, id LIMIT $3",
        company.0,
        pattern,
        MAX_MEMBERS + 1,
    )
    .map(|row| AssignedTo { id: MemberId(row.id), name: row.name, email: row.email })
    .fetch_all(&*api.reads.of(company).await?)
    .await?;
    Ok(answer::json(StatusCode::OK, &Bounded::new(members, MAX_MEMBERS)))
}
