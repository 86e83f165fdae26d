//! How things are.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use chrono::TimeDelta;
use serde::de::IgnoredAny;

use super::subscription::{Subscription, add_charts};
use super::{OK, or_why};
use crate::dashboard::chart::{Chart, Span};
use crate::dashboard::listing::Wanted;
use crate::dashboard::page::{Listed, Page, shown};
use crate::dashboard::{Dashboard, Failure, SignedIn};
use crate::tallies::{self, Counts, Unit, WHOLE};

/// Undelivered events that are counted; more are said to be more.
const COUNTED: usize = 50;
/// Subscriptions that are looked through for those that need attention.
const LOOKED_THROUGH: usize = 200;

/// What can be looked back on: its name, the bars of the charts, the minutes of a bar, and what is read.
const RANGES: [(&str, usize, i64, Unit); 4] = [
    ("1h", 60, 1, Unit::Minute),
    ("24h", 96, 15, Unit::Minute),
    ("7d", 84, 120, Unit::Hour),
    ("30d", 90, 480, Unit::Hour),
];

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview {
    page: Page,
    range: &'static str,
    ranges: [&'static str; 4],
    figures: Vec<(&'static str, String, String)>,
    undelivered: String,
    waiting: usize,
    charts: [Chart; 2],
    webhooks: usize,
    attention: Vec<Subscription>,
}

pub(in crate::dashboard) async fn show(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, overview(&dashboard, &signed_in, &wanted).await)
}

async fn overview(dashboard: &Dashboard, signed_in: &SignedIn, wanted: &Wanted) -> Result<Response, Failure> {
    let (whose, t, language) = (signed_in.whose(), signed_in.reader.texts(), signed_in.reader.language);
    let range = RANGES.iter().find(|range| wanted.is("range", range.0)).unwrap_or(&RANGES[0]);
    let (name, bars, minutes, unit) = *range;
    let span = Span::until(dashboard.admin.clock.now(), bars, TimeDelta::minutes(minutes));
    let rows = tallies::since(dashboard.pool(), (signed_in.session.company, WHOLE), unit, span.from).await?;
    let mut sum = Counts::default();
    let (mut events, mut deliveries) = (vec![(0, 0); bars], vec![(0, 0); bars]);
    for (at, counts) in &rows {
        sum.add(counts);
        if let Some(index) = span.index(*at) {
            events[index].0 += counts.events;
            deliveries[index].0 += counts.delivered;
            deliveries[index].1 += counts.failed;
        }
    }

    let path = format!("/webhooks?status=all&limit={LOOKED_THROUGH}");
    let subscriptions: Listed<Subscription> = dashboard.inside.get(&whose, &path).await?;
    let path = format!("/webhooks/undelivered?limit={COUNTED}");
    let undelivered: Listed<IgnoredAny> = dashboard.inside.get(&whose, &path).await?;
    let more = if undelivered.meta.next_cursor.is_some() { "+" } else { "" };

    let (webhooks, waiting) = (
        subscriptions.data.len(),
        subscriptions.data.iter().filter(|subscription| subscription.is_waiting()).count(),
    );
    let mut attention: Vec<_> =
        subscriptions.data.into_iter().filter(Subscription::needs_attention).collect();
    add_charts(dashboard, signed_in, &mut attention).await?;

    let of_all = |part: i64| match sum.attempts {
        0 => "–".to_owned(),
        all => language.percent(part as f64 / all as f64),
    };
    let latency = |share| sum.latency(share).map_or("–".to_owned(), |latency| language.span(latency));
    let overview = Overview {
        page: signed_in.page("overview", t.overview),
        range: name,
        ranges: RANGES.map(|range| range.0),
        figures: vec![
            (t.events, language.number(&sum.events), String::new()),
            (
                t.deliveries,
                language.number(&sum.delivered),
                format!("{} {}", language.number(&sum.failed), t.failed_attempts),
            ),
            (t.success, of_all(sum.delivered), t.of_attempts.to_owned()),
            (t.latency, latency(0.5), format!("p99 {}", latency(0.99))),
        ],
        undelivered: format!("{}{more}", undelivered.data.len()),
        waiting,
        charts: [
            Chart::new(language, t.events.to_owned(), span, &events),
            Chart::new(language, t.deliveries.to_owned(), span, &deliveries),
        ],
        webhooks,
        attention,
    };
    Ok(shown(OK, &overview))
}
