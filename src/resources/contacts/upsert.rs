//! Upserting: changing the contact that a record matches, or creating it.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::Command;
use super::input::{Changes, ContactInput, NewContact};
use super::{Api, Contacts};
use crate::http::allowed::{Allowed, ContactsWrite};
use crate::http::body::Payload;
use crate::http::error::{ApiError, Code};
use crate::http::field::{Field, FromJson, Problems};
use crate::http::openapi::{IdempotencyKeyHeader, WriteErrors};
use crate::model::ids::{CompanyId, ContactId};
use crate::model::records::Contact;
use crate::resources::table::RowHeld;

/// Contacts with one email that are looked at, and named in an answer.
pub(super) const MAX_MATCHES: usize = 100;

/// An email address as compared: the case of ASCII letters does not count.
pub(super) fn email_key(email: &str) -> String {
    email.to_ascii_lowercase()
}

/// A contact to create or to change.
pub struct Upsert {
    pub(super) changes: Changes,
    /// The phone number by which a contact matches, as compared.
    pub(super) phone: Option<String>,
    /// The email by which a contact matches, as compared.
    pub(super) email: Option<String>,
}

impl Upsert {
    /// The contact to create, if none matches.
    pub(super) fn to_new(&self) -> Result<NewContact, ApiError> {
        let (name, phone) = (&self.changes.name, &self.changes.phone);
        if let (Some(name), Some(phone)) = (name, phone) {
            return Ok(NewContact { name: name.clone(), phone: phone.clone(), rest: self.changes.clone() });
        }
        let mut problems = Problems::default();
        for (field, missing) in [("name", name.is_none()), ("phoneNumber", phone.is_none())] {
            if missing {
                problems.add(field, "is required, because no contact matches");
            }
        }
        problems.finish()?;
        Err(ApiError::internal(&"a contact was refused without a problem"))
    }

    /// Returns whether a contact that matches may get another phone number.
    pub(super) fn may_renumber(&self) -> bool {
        self.changes.phone.is_some() && self.email.is_some()
    }
}

/// 409: several contacts match.
pub(super) fn ambiguous(matching: &[ContactId]) -> ApiError {
    let ids: Vec<_> = matching.iter().take(MAX_MATCHES).map(ToString::to_string).collect();
    let more = if matching.len() > MAX_MATCHES { " and others" } else { "" };
    let message = format!(
        "Several contacts have this phoneNumber or email, so nothing was written: {}{more}. Change one of them by its id, or match by one field only (matchBy)",
        ids.join(", ")
    );
    ApiError::new(Code::AmbiguousMatch, "Several contacts match", message).detail("ids", json!(ids))
}

impl Contacts {
    /// The contacts that match, as of now. A contact that another process is writing has to be waited
    /// for.
    pub(super) fn matching(&self, company: CompanyId, upsert: &Upsert) -> Result<Vec<ContactId>, RowHeld> {
        let mut matching = Vec::new();
        if let Some(phone) = &upsert.phone
            && let Some(owner) = self.phones.get(&(company, phone.clone()))
        {
            // One that was made while contacts were loaded is there the next time.
            self.rows.get((company, owner.0))?.ok_or(RowHeld)?;
            matching.push(*owner);
        }
        if let Some(email) = &upsert.email {
            let key = (company, email.clone());
            if self.held_emails.contains(&key) {
                return Err(RowHeld);
            }
            for id in self.emails.get(&key).into_iter().flatten() {
                let contact = self.rows.get((company, id.0))?;
                let has_it = contact.and_then(|contact| contact.email.as_deref());
                if has_it.is_some_and(|has| has.eq_ignore_ascii_case(email)) && !matching.contains(id) {
                    matching.push(*id);
                }
            }
        }
        Ok(matching)
    }

    /// Notes who has an email by which a command of the batch matches.
    pub(super) fn note_email(&mut self, company: CompanyId, contact: &Contact) {
        if self.emails.is_empty() {
            return;
        }
        let Some(email) = &contact.email else { return };
        if let Some(known) = self.emails.get_mut(&(company, email_key(email)))
            && !known.contains(&contact.id)
        {
            known.push(contact.id);
        }
    }
}

/// A field by which contacts match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MatchBy {
    phone: bool,
    email: bool,
}

impl MatchBy {
    const WORDS: [&'static str; 2] = ["phoneNumber", "email"];
    const DEFAULT: Self = Self { phone: true, email: true };
}

impl FromJson for MatchBy {
    fn from_json(json: &str) -> Result<Self, String> {
        let words: Vec<String> = match serde_json::from_str::<String>(json) {
            Ok(text) => text.split(',').map(|word| word.trim().to_owned()).collect(),
            Err(_) => serde_json::from_str(json).unwrap_or_default(),
        };
        let [phone, email] = Self::WORDS.map(|known| words.iter().any(|word| word == known));
        if words.is_empty() || words.iter().any(|word| !Self::WORDS.contains(&word.as_str())) {
            return Err(r#"must be ["phoneNumber"], ["email"], or both"#.to_owned());
        }
        Ok(Self { phone, email })
    }
}

/// A contact to create or to change, and by what it is found. It is the body of a contact with one
/// field more.
pub struct UpsertInput {
    contact: ContactInput,
    match_by: Field<MatchBy>,
}

impl<'de> Deserialize<'de> for UpsertInput {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct More {
            #[serde(default)]
            match_by: Field<MatchBy>,
        }
        // Flattened, the fields would no longer be read from their own text.
        let text = <&RawValue>::deserialize(deserializer)?.get();
        let contact = serde_json::from_str(text).map_err(serde::de::Error::custom)?;
        let More { match_by } = serde_json::from_str(text).map_err(serde::de::Error::custom)?;
        Ok(Self { contact, match_by })
    }
}

impl UpsertInput {
    /// Reads a contact to create or to change.
    pub(super) fn into_upsert(self) -> Result<Upsert, ApiError> {
        let mut problems = Problems::default();
        let match_by = problems.optional("matchBy", self.match_by).value();
        let MatchBy { phone, email } = match_by.unwrap_or(MatchBy::DEFAULT);
        let changes = self.contact.read(&mut problems);
        problems.finish()?;
        let phone = changes.phone.as_ref().filter(|_| phone).map(|phone| phone.key().to_owned());
        let email = changes.email.clone().value().filter(|_| email).map(|email| email_key(&email));
        if phone.is_none() && email.is_none() {
            // Whoever says by what to match wants no second contact because it was left blank.
            let field = match match_by {
                Some(MatchBy { phone: false, .. }) => "email",
                _ => "phoneNumber",
            };
            return Err(ApiError::invalid_field(field, "is required, because contacts are matched by it"));
        }
        Ok(Upsert { changes, phone, email })
    }
}

impl PartialSchema for UpsertInput {
    fn schema() -> RefOr<Schema> {
        let mut schema = ContactInput::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            let word = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(MatchBy::WORDS));
            let match_by = ArrayBuilder::new()
                .schema_type(SchemaType::from_iter([Type::Array, Type::Null]))
                .items(word)
                .description(Some("The fields by which a contact is found; both by default."));
            object.properties.insert("matchBy".into(), Schema::Array(match_by.build()).into());
            let about =
                "A contact to create or to change. Unknown fields are ignored, and named under `warnings`.";
            object.description = Some(about.into());
            if let Some(example) = object.example.as_mut().and_then(Value::as_object_mut) {
                example.insert("matchBy".into(), json!(["email"]));
            }
        }
        schema
    }
}

impl ToSchema for UpsertInput {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ContactInput::schemas(schemas);
    }
}

/// The answer to an upsert.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only described; the writer makes the text")]
pub(super) struct Upserted {
    /// Always true.
    #[schema(example = true)]
    success: bool,
    /// Whether the contact is new.
    created: bool,
    /// The contact as it is now.
    data: Contact,
}

/// Create or change a contact
///
/// Looks for the contact that has this `phoneNumber` or this `email` (in upper or lower case); `matchBy`
/// names only one of them. If there is none, it is created (201) and `contact.created` is fired. If there
/// is one, it is changed as PUT does (200), and `contact.updated` is fired if any field changed. If
/// several contacts match, the answer is 409 with their ids, and nothing is written. Requests that
/// arrive at the same time make one contact.
#[utoipa::path(post, path = "/contacts/upsert", operation_id = "upsertContact", tag = "Contacts",
    request_body = UpsertInput,
    params(IdempotencyKeyHeader),
    responses(
        (status = 201, description = "Created", body = Upserted, headers(("ETag" = String, description = "The state of the record"))),
        (status = 200, description = "The contact as it is now", body = Upserted, headers(("ETag" = String, description = "The state of the record"))),
        WriteErrors))]
pub(super) async fn upsert(
    State(api): State<Api>,
    caller: Allowed<ContactsWrite>,
    payload: Payload,
) -> Result<Response, ApiError> {
    let upsert = payload.json::<UpsertInput>()?.into_upsert()?;
    let id = ContactId(api.ids.next(api.clock.now()));
    api.write(&caller, Some(&payload), Command::Upsert(id, Box::new(upsert))).await
}

/// The contacts with these emails that commands of a batch know, by company and email.
pub(super) type Emails = BTreeMap<(CompanyId, String), Vec<ContactId>>;
