//! The rules of contacts. Pure: no SQL, no clock.

use chrono::{DateTime, Utc};

use super::input::{Changes, NewContact, Phone, phone_key};
use super::upsert::{Upsert, ambiguous};
use super::{Command, Contacts};
use crate::http::answer::message;
use crate::http::error::{ApiError, Code};
use crate::http::id::not_found;
use crate::log::NewEvent;
use crate::model::etag::ETag;
use crate::model::events::EventType;
use crate::model::ids::{CompanyId, ContactId};
use crate::model::patch::Patch;
use crate::model::records::Contact;
use crate::resources::table::RowHeld;
use crate::resources::{DecisionResult, answer, previous, record_answer, record_json, with_created};
use crate::writer::Answer;

/// What became of a command that did not have to wait.
type Decided = Result<(Answer, Vec<NewEvent>), ApiError>;

/// Decides one command and notes what it changes.
pub fn run(
    contacts: &mut Contacts,
    company: CompanyId,
    command: &Command,
    now: DateTime<Utc>,
) -> DecisionResult {
    Ok(match command {
        Command::Create(id, new) => create(contacts, company, *id, new, now),
        Command::Update(id, changes) => match contacts.rows.get((company, id.0))?.cloned() {
            Some(current) => update(contacts, company, &current, changes, now),
            None => Err(not_found::<ContactId>()),
        },
        Command::Upsert(id, upsert) => upsert_one(contacts, company, (*id, upsert), now)?,
        Command::Delete(id) => match contacts.rows.get((company, id.0))?.cloned() {
            Some(current) => delete(contacts, company, &current),
            None => Err(not_found::<ContactId>()),
        },
    })
}

/// The tag of the contact that a command changes, as of now.
pub fn etag(contacts: &Contacts, company: CompanyId, command: &Command) -> Result<Option<ETag>, RowHeld> {
    match command {
        Command::Update(id, _) | Command::Delete(id) => {
            Ok(contacts.rows.get((company, id.0))?.map(ETag::of_record))
        }
        Command::Create(..) | Command::Upsert(..) => Ok(None),
    }
}

/// Returns whether a command that makes or changes one contact has to wait for another process.
pub fn is_held(contacts: &Contacts, company: CompanyId, command: &Command) -> bool {
    matches!(command, Command::Upsert(_, upsert) if contacts.matching(company, upsert).is_err())
}

fn create(
    contacts: &mut Contacts,
    company: CompanyId,
    id: ContactId,
    new: &NewContact,
    now: DateTime<Utc>,
) -> Decided {
    if let Some(taken) = contacts.taken(company, &new.phone, id) {
        return Err(taken);
    }
    written(contacts, company, None, created(id, new, now))
}

fn update(
    contacts: &mut Contacts,
    company: CompanyId,
    current: &Contact,
    changes: &Changes,
    now: DateTime<Utc>,
) -> Decided {
    if let Some(taken) = changes.phone.as_ref().and_then(|phone| contacts.taken(company, phone, current.id)) {
        return Err(taken);
    }
    match updated(current, changes, now) {
        Some(contact) => written(contacts, company, Some(current), contact),
        None => Ok((record_answer(200, &record_json(current)?), Vec::new())),
    }
}

/// Creates the contact, or changes the one that it matches.
fn upsert_one(
    contacts: &mut Contacts,
    company: CompanyId,
    (id, upsert): (ContactId, &Upsert),
    now: DateTime<Utc>,
) -> Result<Decided, RowHeld> {
    let matching = contacts.matching(company, upsert)?;
    let decided = match &matching[..] {
        [] => upsert.to_new().and_then(|new| create(contacts, company, id, &new, now)),
        [only] => match contacts.rows.get((company, only.0))?.cloned() {
            Some(current) => update(contacts, company, &current, &upsert.changes, now),
            None => Err(not_found::<ContactId>()),
        },
        several => Err(ambiguous(several)),
    };
    Ok(decided.map(|(answer, events)| (with_created(answer), events)))
}

fn delete(contacts: &mut Contacts, company: CompanyId, current: &Contact) -> Decided {
    let data = record_json(current)?;
    let event =
        NewEvent { event_type: EventType::ContactDeleted, record: current.id.0, data, previous: None };
    contacts.phones.remove(&(company, phone_key(&current.phone_number)));
    contacts.rows.delete((company, current.id.0));
    Ok((answer(200, &message("Contact deleted successfully"))?, vec![event]))
}

/// Notes a contact that is new or was changed.
fn written(
    contacts: &mut Contacts,
    company: CompanyId,
    before: Option<&Contact>,
    contact: Contact,
) -> Decided {
    let (status, event_type) = match before {
        Some(_) => (200, EventType::ContactUpdated),
        None => (201, EventType::ContactCreated),
    };
    let data = record_json(&contact)?;
    let previous = before.map(|before| previous(&record_json(before)?, &data)).transpose()?;
    let (answer, record) = (record_answer(status, &data), contact.id.0);
    contacts.put(company, contact);
    Ok((answer, vec![NewEvent { event_type, record, data, previous }]))
}

impl Contacts {
    /// 409 if somebody else has the number.
    fn taken(&self, company: CompanyId, phone: &Phone, id: ContactId) -> Option<ApiError> {
        let owner = *self.phones.get(&(company, phone.key().to_owned()))?;
        (owner != id).then(|| {
            let message = format!("A contact with this phoneNumber exists already: {owner}");
            ApiError::new(Code::AlreadyExists, "Contact already exists", message)
                .detail("field", "phoneNumber")
                .detail("existingId", owner.to_string())
        })
    }

    fn put(&mut self, company: CompanyId, contact: Contact) {
        let key = (company, contact.id.0);
        let phone = phone_key(&contact.phone_number);
        if let Ok(Some(before)) = self.rows.get(key) {
            let before = phone_key(&before.phone_number);
            if before != phone {
                self.renumbered.insert(key);
            }
            self.phones.remove(&(company, before));
        }
        self.phones.insert((company, phone), contact.id);
        self.note_email(company, &contact);
        self.rows.put(key, contact);
    }
}

fn created(id: ContactId, new: &NewContact, now: DateTime<Utc>) -> Contact {
    let (first_name, last_name) = split_name(&new.name);
    let rest = &new.rest;
    let given = |field: &Patch<String>| field.clone().value();
    Contact {
        id,
        name: new.name.clone(),
        first_name: given(&rest.first_name).or(first_name),
        last_name: given(&rest.last_name).or(last_name),
        phone_number: new.phone.text().to_owned(),
        email: given(&rest.email),
        position: given(&rest.position),
        current_company: given(&rest.current_company),
        industry_sector: given(&rest.industry_sector),
        city: given(&rest.city),
        country: given(&rest.country),
        tags: rest.tags.clone().unwrap_or_default(),
        created_at: now,
        updated_at: now,
    }
}

/// The contact with the changes, or none if nothing really changes.
fn updated(current: &Contact, changes: &Changes, now: DateTime<Utc>) -> Option<Contact> {
    let mut contact = current.clone();
    if let Some(name) = changes.name.as_ref().filter(|name| **name != current.name) {
        // Its parts follow the name, unless the same request sets them.
        (contact.first_name, contact.last_name) = split_name(name);
        contact.name.clone_from(name);
    }
    if let Some(phone) = &changes.phone {
        phone.text().clone_into(&mut contact.phone_number);
    }
    changes.first_name.apply(&mut contact.first_name);
    changes.last_name.apply(&mut contact.last_name);
    changes.email.apply(&mut contact.email);
    changes.position.apply(&mut contact.position);
    changes.current_company.apply(&mut contact.current_company);
    changes.industry_sector.apply(&mut contact.industry_sector);
    changes.city.apply(&mut contact.city);
    changes.country.apply(&mut contact.country);
    if let Some(tags) = &changes.tags {
        contact.tags.clone_from(tags);
    }
    (contact != *current).then(|| {
        // Never backwards, whichever process's clock it is.
        contact.updated_at = now.max(current.updated_at);
        contact
    })
}

/// First word and the rest; a single word is a first name.
fn split_name(name: &str) -> (Option<String>, Option<String>) {
    match name.split_once(char::is_whitespace) {
        Some((first, last)) => (Some(first.to_owned()), Some(last.trim_start().to_owned())),
        None => (Some(name.to_owned()), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::body::MAX_BODY;
    use crate::resources::contacts::input::ContactInput;
    use uuid::Uuid;

    const COMPANY: CompanyId = CompanyId(Uuid::from_u128(1));

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_731_061_800 + second, 0).unwrap()
    }

    fn create(id: u128, json: &str) -> Command {
        assert!(json.len() < MAX_BODY);
        let input: ContactInput = serde_json::from_str(json).unwrap();
        Command::Create(ContactId(Uuid::from_u128(id)), input.into_new().unwrap())
    }

    fn update(id: u128, json: &str) -> Command {
        let input: ContactInput = serde_json::from_str(json).unwrap();
        Command::Update(ContactId(Uuid::from_u128(id)), input.into_changes().unwrap())
    }

    /// Status and event types.
    fn decide(contacts: &mut Contacts, command: &Command, second: i64) -> (u16, Vec<EventType>) {
        match run(contacts, COMPANY, command, at(second)).unwrap() {
            Ok((answer, events)) => (answer.status, events.iter().map(|event| event.event_type).collect()),
            Err(error) => (error.code.status().as_u16(), vec![]),
        }
    }

    fn contact(contacts: &Contacts, id: u128) -> Contact {
        contacts.rows.get((COMPANY, Uuid::from_u128(id))).unwrap().unwrap().clone()
    }

    #[test]
    fn names_are_derived_and_follow() {
        let mut contacts = Contacts::default();
        let jane =
            create(1, r#"{"name":"Jane van Dyke","phoneNumber":"+331"}"#.replace("+331", "+33100").as_str());
        assert_eq!(decide(&mut contacts, &jane, 0), (201, vec![EventType::ContactCreated]));
        let made = contact(&contacts, 1);
        assert_eq!((made.first_name.as_deref(), made.last_name.as_deref()), (Some("Jane"), Some("van Dyke")));

        decide(&mut contacts, &update(1, r#"{"lastName":"Smith"}"#), 1);
        decide(&mut contacts, &update(1, r#"{"name":"Joan Smith-Dyke"}"#), 2);
        let renamed = contact(&contacts, 1);
        assert_eq!(
            (renamed.first_name.as_deref(), renamed.last_name.as_deref()),
            (Some("Joan"), Some("Smith-Dyke"))
        );
        decide(&mut contacts, &update(1, r#"{"name":"Ann Lee","lastName":"Leigh"}"#), 3);
        let both = contact(&contacts, 1);
        assert_eq!((both.first_name.as_deref(), both.last_name.as_deref()), (Some("Ann"), Some("Leigh")));
    }

    #[test]
    fn no_change_no_event() {
        let mut contacts = Contacts::default();
        decide(&mut contacts, &create(1, r#"{"name":"A","phoneNumber":"100","tags":["x"]}"#), 0);
        let same = update(1, r#"{"name":" A ","email":null,"tags":["x","x"],"unknown":1}"#);
        assert_eq!(decide(&mut contacts, &same, 9), (200, vec![]));
        assert_eq!(contact(&contacts, 1).updated_at, at(0));
    }

    #[test]
    fn a_number_has_one_owner_also_within_a_batch() {
        let mut contacts = Contacts::default();
        assert_eq!(decide(&mut contacts, &create(1, r#"{"name":"A","phoneNumber":"00 1 00"}"#), 0).0, 201);
        assert_eq!(decide(&mut contacts, &create(2, r#"{"name":"B","phoneNumber":"+100"}"#), 0).0, 409);
        assert_eq!(
            decide(&mut contacts, &update(1, r#"{"phoneNumber":"+1-0-0"}"#), 0).0,
            200,
            "its own number"
        );
        assert_eq!(decide(&mut contacts, &update(1, r#"{"phoneNumber":"200"}"#), 0).0, 200);
        assert_eq!(
            decide(&mut contacts, &create(2, r#"{"name":"B","phoneNumber":"+100"}"#), 0).0,
            201,
            "free again"
        );
        assert_eq!(decide(&mut contacts, &Command::Delete(ContactId(Uuid::from_u128(1))), 0).0, 200);
        assert_eq!(decide(&mut contacts, &create(3, r#"{"name":"C","phoneNumber":"200"}"#), 0).0, 201);
    }

    #[test]
    fn time_never_runs_backwards() {
        let mut contacts = Contacts::default();
        decide(&mut contacts, &create(1, r#"{"name":"A","phoneNumber":"100"}"#), 10);
        decide(&mut contacts, &update(1, r#"{"name":"B"}"#), 5);
        assert_eq!(contact(&contacts, 1).updated_at, at(10));
    }

    #[test]
    fn what_does_not_exist_is_404_and_what_is_locked_waits() {
        let mut contacts = Contacts::default();
        assert_eq!(decide(&mut contacts, &update(1, "{}"), 0).0, 404);
        contacts.rows.held((COMPANY, Uuid::from_u128(2)));
        assert!(run(&mut contacts, COMPANY, &update(2, "{}"), at(0)).is_err());
    }
}
