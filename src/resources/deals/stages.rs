//! The stages that deals are in.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use crate::http::allowed::{Allowed, DealsRead};
use crate::http::answer;
use crate::http::bounded::Bounded;
use crate::http::error::ApiError;
use crate::http::openapi::ReadErrors;
use crate::model::records::Money;

/// Stages in one answer.
const MAX_STAGES: i64 = 1_000;

/// A stage, and the deals that are in it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Stage {
    /// The stage, as deals have it.
    #[schema(example = "negotiation")]
    stage: String,
    /// The number of deals in this stage.
    #[schema(example = 3)]
    deals: i64,
    /// The number of those that are open.
    #[schema(example = 2)]
    open_deals: i64,
    /// The sum of the values of the open deals, per currency. Deals without a value do not count.
    open_value: Vec<Amount>,
}

/// An amount of money.
#[derive(Debug, Serialize, ToSchema)]
struct Amount {
    /// ISO 4217.
    #[schema(example = "EUR")]
    currency: String,
    /// Exact amount; trailing zeros are trimmed.
    #[schema(value_type = f64, example = 25000)]
    value: Money,
}

/// List the stages of deals
///
/// Lists the stages that deals are in now, in the order in which the company first used them, with the
/// number of deals in each and the value of the open ones. The list has at most 1000 stages.
#[utoipa::path(get, path = "/deals/stages", operation_id = "listDealStages", tag = "Deals",
    responses((status = 200, description = "The stages in use", body = Bounded<Stage>), ReadErrors))]
pub(super) async fn list(State(api): State<Api>, caller: Allowed<DealsRead>) -> Result<Response, ApiError> {
    let company = caller.company();
    // One row per stage and currency. Their sums are kept, so that no deal is read.
    let rows = sqlx::query!(
        r#"WITH sums AS (
               SELECT stage, currency, sum(deals)::bigint AS deals, sum(open_deals)::bigint AS open_deals,
                      CASE WHEN sum(open_valued) > 0 THEN sum(open_value) END AS open_value
               FROM deal_sums WHERE company_id = $1 GROUP BY stage, currency HAVING sum(deals) > 0
           ), stages AS (
               SELECT stage, row_number() OVER (ORDER BY min(k.number) NULLS LAST, stage) AS place
               FROM sums LEFT JOIN (SELECT stage, number FROM deal_stages WHERE company_id = $1) k USING (stage)
               GROUP BY stage ORDER BY place LIMIT $2
           )
           SELECT stage AS "stage!", currency AS "currency!", deals AS "deals!", open_deals AS "open_deals!",
                  open_value
           FROM stages JOIN sums USING (stage) ORDER BY place, currency"#,
        company.0,
        MAX_STAGES + 1,
    )
    .fetch_all(&*api.reads.of(company).await?)
    .await?;
    let mut stages: Vec<Stage> = Vec::new();
    for row in rows {
        let amount =
            row.open_value.map(|value| Amount { currency: row.currency, value: Money::from_decimal(value) });
        match stages.last_mut().filter(|stage| stage.stage == row.stage) {
            Some(stage) => {
                stage.deals += row.deals;
                stage.open_deals += row.open_deals;
                stage.open_value.extend(amount);
            }
            None => stages.push(Stage {
                stage: row.stage,
                deals: row.deals,
                open_deals: row.open_deals,
                open_value: amount.into_iter().collect(),
            }),
        }
    }
    Ok(answer::json(StatusCode::OK, &Bounded::new(stages, MAX_STAGES)))
}
