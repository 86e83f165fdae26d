//! Deals on a board: a column for each stage, and the deals moved between them.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Redirect, Response};
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::deal::{ByWhat, Deal};
use super::{OK, encoded, may, or_why, said};
use crate::dashboard::listing::Wanted;
use crate::dashboard::page::{Listed, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};

/// Stages that have a column; the others are in the list.
const COLUMNS: usize = 20;
/// Deals in a column; the others are in the list.
const CARDS: usize = 50;
/// Deals in the columns of what was won and lost, the newest.
const CLOSED: usize = 20;

/// A stage, or what was won or lost.
struct Column {
    title: String,
    /// Where a deal goes that is moved here, as the form says it.
    to: String,
    deals: Vec<Deal>,
    total: i64,
    /// What the open deals that are shown are worth, by currency.
    amounts: Vec<String>,
    /// The list of all its deals.
    list: String,
}

#[derive(Template)]
#[template(path = "board.html")]
struct Board {
    page: Page,
    columns: Vec<Column>,
    by: ByWhat,
    wanted: Wanted,
    may: bool,
    said: Option<&'static str>,
    left_out: usize,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, board(&dashboard, &signed_in, wanted).await)
}

async fn board(dashboard: &Dashboard, signed_in: &SignedIn, wanted: Wanted) -> Result<Response, Failure> {
    let t = signed_in.reader.texts();
    let by = ByWhat::read(dashboard, signed_in).await?;
    let mut columns = Vec::new();
    for stage in by.stages.iter().take(COLUMNS) {
        let query = format!("status=open&stage={}", encoded(stage));
        columns.push(
            column(dashboard, signed_in, &wanted, (stage, format!("stage:{stage}"), query, CARDS)).await?,
        );
    }
    for (status, title) in [("won", t.won), ("lost", t.lost)] {
        let (to, query) = (format!("status:{status}"), format!("status={status}"));
        columns.push(column(dashboard, signed_in, &wanted, (title, to, query, CLOSED)).await?);
    }
    let board = Board {
        page: signed_in.page("deals", t.deals).with_script("board.js"),
        left_out: by.stages.len().saturating_sub(COLUMNS),
        columns,
        by,
        may: may(signed_in),
        said: said(signed_in, wanted.get("done")),
        wanted,
    };
    Ok(shown(OK, &board))
}

async fn column(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    wanted: &Wanted,
    (title, to, query, limit): (&str, String, String, usize),
) -> Result<Column, Failure> {
    let narrowed = ["assignedToId", "priority", "search"].map(|name| (name, wanted.get(name)));
    let narrowed = narrowed.iter().filter(|(_, value)| !value.is_empty());
    let query = narrowed.fold(query, |query, (name, value)| format!("{query}&{name}={}", encoded(value)));
    let path = format!("/deals?limit={limit}&{query}");
    let found: Listed<Deal> = dashboard.inside.get(&signed_in.whose(), &path).await?;
    let mut sums: BTreeMap<&str, Decimal> = BTreeMap::new();
    for deal in &found.data {
        if let Some(value) = deal.value() {
            *sums.entry(&deal.currency).or_default() += value;
        }
    }
    let language = signed_in.reader.language;
    let amounts = sums.iter().map(|(currency, sum)| language.money(*sum, currency));
    Ok(Column {
        title: title.to_owned(),
        to,
        amounts: amounts.collect(),
        total: found.meta.total,
        deals: found.data,
        list: format!("{BASE}/deals?{query}"),
    })
}

#[derive(Deserialize)]
pub(in crate::dashboard) struct Move {
    to: String,
}

/// Moves a deal to a stage, or closes it.
pub(in crate::dashboard) async fn go(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    Form(Move { to }): Form<Move>,
) -> Response {
    let done = async {
        let body = match to.split_once(':') {
            Some(("status", status)) => json!({"status": status}),
            Some(("stage", stage)) => json!({"stage": stage, "status": "open"}),
            _ => json!({"stage": to}),
        };
        let path = format!("/deals/{}/status", encoded(&id));
        dashboard.inside.must(&signed_in.whose(), (Method::PUT, &path), Some(&body)).await?;
        Ok(Redirect::to(&format!("{BASE}/deals/board?{}&done=moved", wanted.same())).into_response())
    };
    or_why(&signed_in, done.await)
}
