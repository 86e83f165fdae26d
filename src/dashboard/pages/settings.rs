//! The company: its name, its team, and who changed what.

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::{OK, or_why, said};
use crate::admin::audit::{self, Entry};
use crate::admin::companies;
use crate::admin::members::{self, Member};
use crate::dashboard::form::{self, Sent};
use crate::dashboard::listing::Wanted;
use crate::dashboard::page::{Meta, Page, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};
use crate::model::time::wire_time;

/// Characters of a name.
const NAME: usize = 255;
/// Entries of the audit log on a page.
const ENTRIES: i64 = 50;

#[derive(Template)]
#[template(path = "company.html")]
struct Company {
    page: Page,
    id: String,
    name: String,
    members: Vec<Member>,
    said: Option<&'static str>,
    problem: Option<&'static str>,
}

pub(in crate::dashboard) async fn company(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    or_why(&signed_in, page(&dashboard, &signed_in, (OK, None), wanted.get("done")).await)
}

async fn page(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    (status, problem): (StatusCode, Option<&'static str>),
    done: &str,
) -> Result<Response, Failure> {
    signed_in.must_be_admin()?;
    let session = &signed_in.session;
    let company = Company {
        page: signed_in.page("settings", signed_in.reader.texts().company_settings),
        id: session.company.to_string(),
        name: session.company_name.clone(),
        members: members::list(dashboard.pool(), Some(session.company)).await?,
        said: said(signed_in, done),
        problem,
    };
    Ok(shown(status, &company))
}

/// Renames the company.
pub(in crate::dashboard) async fn rename(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    let done = async {
        signed_in.must_be_admin()?;
        let name = form::value(&sent, "name");
        let name = name.trim();
        if name.is_empty() || name.chars().count() > NAME || name.contains('\0') {
            return refused(&dashboard, &signed_in).await;
        }
        let session = &signed_in.session;
        companies::rename(dashboard.pool(), session.company, name).await?;
        let subject = session.company.to_string();
        let details = format!("{} → {name}", session.company_name);
        signed_in.note(&dashboard, ("company.renamed", &subject, &details)).await?;
        Ok(Redirect::to(&format!("{BASE}/settings/company?done=saved")).into_response())
    };
    or_why(&signed_in, done.await)
}

async fn refused(dashboard: &Dashboard, signed_in: &SignedIn) -> Result<Response, Failure> {
    let problem = Some(signed_in.reader.texts().name_needed);
    page(dashboard, signed_in, (StatusCode::UNPROCESSABLE_ENTITY, problem), "").await
}

/// Adds somebody to whom deals can be assigned.
pub(in crate::dashboard) async fn add_member(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    let done = async {
        signed_in.must_be_admin()?;
        let (name, email) = (form::value(&sent, "name"), form::value(&sent, "email"));
        let (name, email) = (name.trim(), email.trim());
        let fits = |text: &str| !text.is_empty() && text.chars().count() <= NAME && !text.contains('\0');
        if !fits(name) || !fits(email) || !email.contains('@') {
            return refused(&dashboard, &signed_in).await;
        }
        let company = signed_in.company(&dashboard.admin);
        let member = members::create(&dashboard.admin, &company, name, email).await?;
        signed_in.note(&dashboard, ("member.added", &member.id.to_string(), email)).await?;
        Ok(Redirect::to(&format!("{BASE}/settings/company?done=saved")).into_response())
    };
    or_why(&signed_in, done.await)
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    page: Page,
    entries: Vec<Entry>,
    next: Option<String>,
}

/// Who changed what.
pub(in crate::dashboard) async fn audit(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Query(wanted): Query<Wanted>,
) -> Response {
    let listed = async {
        signed_in.must_be_admin()?;
        let company = signed_in.session.company;
        let before = uuid::Uuid::parse_str(wanted.get("cursor")).ok();
        let mut entries = audit::list(dashboard.pool(), company, before, ENTRIES + 1).await?;
        let shown_entries = usize::try_from(ENTRIES).unwrap_or_default();
        let more = entries.len() > shown_entries;
        entries.truncate(shown_entries);
        let next_cursor = entries.last().filter(|_| more).map(|last| last.id.to_string());
        let page = signed_in.page("settings", signed_in.reader.texts().audit_log);
        let next = wanted.next(&Meta { next_cursor, ..Meta::default() });
        Ok(shown(OK, &Audit { page, entries, next }))
    };
    or_why(&signed_in, listed.await)
}

impl SignedIn {
    /// Notes in the audit log what this person did to what.
    pub(super) async fn note(&self, dashboard: &Dashboard, what: (&str, &str, &str)) -> Result<(), Failure> {
        let by = audit::By {
            id: self.session.user.to_string(),
            name: self.session.email.clone(),
            address: self.address.clone(),
        };
        audit::note(&dashboard.admin, self.session.company, &by, what).await?;
        Ok(())
    }
}

impl Entry {
    fn time(&self) -> String {
        wire_time(self.at)
    }
}
