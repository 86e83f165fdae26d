//! Users of the dashboard: let in, given another role, sent away.

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};

use super::{OK, or_why};
use crate::admin::companies::Company;
use crate::admin::users::{self, Link, PASSWORD_LINK, Role, User};
use crate::dashboard::form::{self, Sent};
use crate::dashboard::page::{Page, role_text, shown};
use crate::dashboard::{BASE, Dashboard, Failure, SignedIn};
use crate::model::words::Words as _;

/// Characters of a name.
const NAME: usize = 255;

#[derive(Template)]
#[template(path = "users.html")]
struct Users {
    page: Page,
    users: Vec<User>,
    roles: Vec<(&'static str, &'static str)>,
    /// To be handed to whoever was let in.
    link: Option<String>,
    problem: Option<String>,
}

pub(in crate::dashboard) async fn list(State(dashboard): State<Dashboard>, signed_in: SignedIn) -> Response {
    or_why(&signed_in, page(&dashboard, &signed_in, OK, (None, None)).await)
}

async fn page(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    status: StatusCode,
    (link, problem): (Option<String>, Option<String>),
) -> Result<Response, Failure> {
    signed_in.must_be_admin()?;
    let t = signed_in.reader.texts();
    let users = Users {
        page: signed_in.page("settings", t.users),
        users: users::list(dashboard.pool(), Some(signed_in.session.company)).await?,
        roles: Role::ALL.iter().map(|role| (role.word(), role_text(*role, t))).collect(),
        link,
        problem,
    };
    Ok(shown(status, &users))
}

/// Lets somebody in; the page shows the link for a password, to be handed on.
pub(in crate::dashboard) async fn invite(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, let_in(&dashboard, &signed_in, &sent).await)
}

async fn let_in(dashboard: &Dashboard, signed_in: &SignedIn, sent: &Sent) -> Result<Response, Failure> {
    signed_in.must_be_admin()?;
    let t = signed_in.reader.texts();
    let (email, name) = (form::value(sent, "email"), form::value(sent, "name"));
    let (email, name) = (email.trim(), name.trim());
    let is_address = email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    let role = Role::parse(&form::value(sent, "role"));
    let (true, Some(role)) =
        (is_address && email.len() <= NAME && !name.is_empty() && name.len() <= NAME, role)
    else {
        let problem = Some(t.user_incomplete.to_owned());
        return page(dashboard, signed_in, StatusCode::UNPROCESSABLE_ENTITY, (None, problem)).await;
    };
    let company = signed_in.company(&dashboard.admin);
    let user = match users::create(&dashboard.admin, &company, (email, name), role).await {
        Ok(user) => user,
        Err(crate::admin::Error::MemberAlready { .. }) => {
            let problem = Some(t.user_already.to_owned());
            return page(dashboard, signed_in, StatusCode::CONFLICT, (None, problem)).await;
        }
        Err(error) => return Err(error.into()),
    };
    signed_in
        .note(dashboard, ("user.invited", &user.to_string(), &format!("{email} ({})", role.word())))
        .await?;
    let link = match users::has_password(dashboard.pool(), user).await? {
        // Known from another company: signs in as before.
        true => None,
        false => Some(link(dashboard, user).await?),
    };
    page(dashboard, signed_in, OK, (link, None)).await
}

async fn link(dashboard: &Dashboard, user: crate::model::ids::UserId) -> Result<String, Failure> {
    let mut connection = dashboard.pool().acquire().await?;
    let secret =
        users::link(&mut connection, &dashboard.admin, user, (Link::Password, PASSWORD_LINK)).await?;
    Ok(format!("{BASE}/password/{secret}"))
}

/// Gives a role, makes a new link, or sends away.
pub(in crate::dashboard) async fn act(
    State(dashboard): State<Dashboard>,
    signed_in: SignedIn,
    Path((id, action)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> Response {
    or_why(&signed_in, perform(&dashboard, &signed_in, (&id, &action), &sent).await)
}

async fn perform(
    dashboard: &Dashboard,
    signed_in: &SignedIn,
    (id, action): (&str, &str),
    sent: &Sent,
) -> Result<Response, Failure> {
    signed_in.must_be_admin()?;
    let (company, t) = (signed_in.session.company, signed_in.reader.texts());
    let users = users::list(dashboard.pool(), Some(company)).await?;
    // Only those of the company.
    let Some(user) = users.iter().find(|user| user.id.to_string() == id) else {
        return Err(Failure::Gone(t.not_found));
    };
    let role = Role::parse(&form::value(sent, "role"));
    let kept = match (action, role) {
        ("role", Some(role)) => {
            let kept = users::set_role(dashboard.pool(), company, user.id, role).await?;
            if kept {
                let details = format!("{} ({})", user.email, role.word());
                signed_in.note(dashboard, ("user.role_changed", id, &details)).await?;
            }
            kept
        }
        ("remove", _) => {
            let kept = users::remove(dashboard.pool(), company, user.id).await?;
            if kept {
                signed_in.note(dashboard, ("user.removed", id, &user.email)).await?;
            }
            kept
        }
        // Only of those who work nowhere else: the password is the same everywhere.
        ("link", _) if users::works_only_in(dashboard.pool(), company, user.id).await? => {
            signed_in.note(dashboard, ("user.password_link", id, &user.email)).await?;
            let link = link(dashboard, user.id).await?;
            return page(dashboard, signed_in, OK, (Some(link), None)).await;
        }
        ("link", _) => {
            let problem = Some(t.user_elsewhere.to_owned());
            return page(dashboard, signed_in, StatusCode::CONFLICT, (None, problem)).await;
        }
        _ => return Err(Failure::Gone(t.not_found)),
    };
    if !kept {
        let problem = Some(t.last_admin.to_owned());
        return page(dashboard, signed_in, StatusCode::CONFLICT, (None, problem)).await;
    }
    Ok(Redirect::to(&format!("{BASE}/settings/users")).into_response())
}

impl SignedIn {
    /// Refuses everybody else.
    pub(super) fn must_be_admin(&self) -> Result<(), Failure> {
        if self.session.role == Role::Admin { Ok(()) } else { Err(Failure::Forbidden) }
    }

    /// The company that is worked for.
    pub(super) fn company(&self, admin: &crate::admin::Admin) -> Company {
        let name = self.session.company_name.clone();
        Company { id: self.session.company, name, created_at: admin.clock.now() }
    }
}
