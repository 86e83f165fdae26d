use super::*;
use crate::model::ids::{ContactId, MemberId};
use crate::model::records::{Contact, examples};
use crate::resources::contacts;
use crate::resources::deals::input::{DealInput, StatusInput};
use EventType::{DealCreated, DealLost, DealStageChanged, DealUpdated, DealWon};
use serde_json::{Value, json};
use uuid::Uuid;

const COMPANY: CompanyId = CompanyId(Uuid::from_u128(1));
const OTHER: CompanyId = CompanyId(Uuid::from_u128(2));
const DEAL: DealId = DealId(Uuid::from_u128(10));
const CONTACT: ContactId = ContactId(Uuid::from_u128(20));
const MEMBER: MemberId = MemberId(Uuid::from_u128(30));

/// A batch: its state, and what its commands did.
#[derive(Default)]
struct Batch {
    contacts: Contacts,
    deals: Deals,
}

/// What became of a command: status, body, and types and data of its events.
struct Outcome {
    status: u16,
    body: Value,
    events: Vec<(EventType, Value)>,
}

impl Outcome {
    fn types(&self) -> Vec<EventType> {
        self.events.iter().map(|(event_type, _)| *event_type).collect()
    }

    fn deal(&self) -> &Value {
        &self.body["data"]
    }

    fn bad_fields(&self) -> Vec<&str> {
        self.body["details"]["fields"].as_object().unwrap().keys().map(String::as_str).collect()
    }
}

fn at(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_731_061_800 + second, 0).unwrap()
}

fn outcome(decided: DecisionResult) -> Outcome {
    match decided.unwrap() {
        Ok((answer, events)) => Outcome {
            status: answer.status,
            body: serde_json::from_str(&answer.body).unwrap(),
            events: events
                .iter()
                .map(|event| (event.event_type, serde_json::from_str(&event.data).unwrap()))
                .collect(),
        },
        Err(error) => Outcome {
            status: error.code.status().as_u16(),
            body: serde_json::from_str(&error.body(at(0))).unwrap(),
            events: vec![],
        },
    }
}

impl Batch {
    fn run(&mut self, command: &Command, second: i64) -> Outcome {
        outcome(run(&mut self.deals, &self.contacts, COMPANY, command, at(second)))
    }

    fn create(&mut self, body: Value) -> Outcome {
        let input: DealInput = serde_json::from_str(&body.to_string()).unwrap();
        self.run(&Command::Create(DEAL, input.into_new().ok().unwrap()), 0)
    }

    fn update(&mut self, body: Value, second: i64) -> Outcome {
        let input: DealInput = serde_json::from_str(&body.to_string()).unwrap();
        self.run(&Command::Update(DEAL, input.into_changes().ok().unwrap()), second)
    }

    fn move_to(&mut self, body: Value, second: i64) -> Outcome {
        let input: StatusInput = serde_json::from_str(&body.to_string()).unwrap();
        self.run(&Command::Update(DEAL, input.into_changes().ok().unwrap()), second)
    }

    fn contact(&mut self, command: &contacts::Command) -> u16 {
        outcome(contacts::decide::run(&mut self.contacts, COMPANY, command, at(0))).status
    }
}

fn contact(name: &str) -> Contact {
    Contact { id: CONTACT, name: name.into(), ..examples::contact() }
}

#[test]
fn what_is_left_out_or_blank_gets_the_default() {
    let blank = json!({"title": " T ", "currency": "", "stage": null, "priority": " ", "status": null,
                       "value": "", "contactId": "", "assignedToId": null});
    for body in [json!({"title": "T"}), blank] {
        let made = Batch::default().create(body);
        assert_eq!((made.status, made.types()), (201, vec![DealCreated]));
        assert_eq!(
            made.deal(),
            &json!({
                "id": DEAL, "title": "T", "description": null, "value": null, "currency": "EUR",
                "stage": "new", "priority": "medium", "probability": null, "status": "open",
                "expectedCloseDate": null, "actualCloseDate": null, "source": null, "contact": null,
                "assignedTo": null, "createdAt": "2024-11-08T10:30:00.000Z",
                "updatedAt": "2024-11-08T10:30:00.000Z",
            })
        );
        assert_eq!(&made.events[0].1, made.deal(), "the event carries the record as it is answered");
    }
}

#[test]
fn a_deal_created_as_won_is_created_then_won() {
    let made = Batch::default().create(json!({"title": "T", "stage": "closed", "status": "won"}));
    assert_eq!(made.types(), [DealCreated, DealWon]);
    assert_eq!(made.deal()["actualCloseDate"], "2024-11-08T10:30:00.000Z");
    let made =
        Batch::default().create(json!({"title": "T", "status": "lost", "actualCloseDate": "2024-01-01"}));
    assert_eq!(made.types(), [DealCreated, DealLost]);
    assert_eq!(made.deal()["actualCloseDate"], "2024-01-01T00:00:00.000Z");
}

#[test]
fn one_write_tells_update_stage_and_status_in_this_order() {
    let mut batch = Batch::default();
    batch.create(json!({"title": "T"}));
    let won = batch.move_to(json!({"status": "won", "stage": "closed", "probability": 100}), 5);
    assert_eq!((won.status, won.types()), (200, vec![DealUpdated, DealStageChanged, DealWon]));
    assert_eq!(won.deal()["updatedAt"], "2024-11-08T10:30:05.000Z");
    assert_eq!(&won.events[0].1, won.deal());
    assert_eq!(&won.events[2].1, won.deal());
    let mut with_stage = won.deal().clone();
    with_stage["previousStage"] = "new".into();
    assert_eq!(won.events[1].1, with_stage);

    let moved = batch.update(json!({"stage": "archive"}), 6);
    assert_eq!(moved.types(), [DealUpdated, DealStageChanged], "won already");
    assert_eq!(moved.events[1].1["previousStage"], "closed");
}

#[test]
fn closing_sets_the_date_and_reopening_clears_it() {
    let mut batch = Batch::default();
    batch.create(json!({"title": "T"}));
    let closed = |outcome: &Outcome| outcome.deal()["actualCloseDate"].clone();

    let won = batch.move_to(json!({"status": "won"}), 1);
    assert_eq!((won.types(), closed(&won)), (vec![DealUpdated, DealWon], json!("2024-11-08T10:30:01.000Z")));
    let lost = batch.move_to(json!({"status": "lost"}), 2);
    assert_eq!(
        (lost.types(), closed(&lost)),
        (vec![DealUpdated, DealLost], json!("2024-11-08T10:30:02.000Z"))
    );
    let reopened = batch.move_to(json!({"status": "open"}), 3);
    assert_eq!((reopened.types(), closed(&reopened)), (vec![DealUpdated], Value::Null));
    let given = batch.move_to(json!({"status": "won", "actualCloseDate": "2024-11-01"}), 4);
    assert_eq!(closed(&given), "2024-11-01T00:00:00.000Z");
    let corrected = batch.move_to(json!({"status": "won", "actualCloseDate": "2024-11-02"}), 5);
    assert_eq!(
        (corrected.types(), closed(&corrected)),
        (vec![DealUpdated], json!("2024-11-02T00:00:00.000Z"))
    );
}

#[test]
fn no_change_no_event_and_time_never_runs_backwards() {
    let mut batch = Batch::default();
    let made = batch.create(json!({"title": "T", "value": 0.1, "currency": "usd"}));
    let same = json!({"title": "T ", "value": 1e-1, "currency": "USD", "source": "", "unknown": 1});
    let kept = batch.update(same, 9);
    assert_eq!((kept.status, kept.types(), kept.deal()), (200, vec![], made.deal()));
    let changed = batch.update(json!({"value": null}), -9);
    assert_eq!(changed.deal()["value"], Value::Null);
    assert_eq!(changed.deal()["updatedAt"], made.deal()["updatedAt"]);
}

#[test]
fn contact_and_member_must_be_of_the_company() {
    let mut batch = Batch::default();
    batch.deals.contacts.insert((OTHER, CONTACT.0), contact("Elsewhere"));
    let foreign = json!({"title": "T", "contactId": CONTACT, "assignedToId": MEMBER});
    let refused = batch.create(foreign.clone());
    assert_eq!((refused.status, refused.bad_fields()), (422, vec!["contactId", "assignedToId"]));

    batch.deals.contacts.insert((COMPANY, CONTACT.0), contact("Jane"));
    batch.deals.members.insert((COMPANY, MEMBER.0), AssignedTo { id: MEMBER, ..examples::member() });
    let made = batch.create(foreign);
    assert_eq!(made.status, 201);
    assert_eq!(
        made.deal()["contact"],
        json!({"id": CONTACT, "name": "Jane", "email": null, "phoneNumber": "+33123456789", "currentCompany": null})
    );
    assert_eq!(
        made.deal()["assignedTo"],
        json!({"id": MEMBER, "name": "Alice Martin", "email": "alice.martin@example.com"})
    );
    let cleared = batch.update(json!({"contactId": null, "assignedToId": ""}), 1);
    assert_eq!((&cleared.deal()["contact"], &cleared.deal()["assignedTo"]), (&Value::Null, &Value::Null));
}

#[test]
fn what_the_batch_did_to_a_contact_is_seen() {
    let mut batch = Batch::default();
    let key = (COMPANY, CONTACT.0);
    batch.contacts.rows.put(key, contact("Jane"));
    let made = batch.create(json!({"title": "T", "contactId": CONTACT}));
    assert_eq!(made.deal()["contact"]["name"], "Jane");

    batch.contacts.rows.put(key, contact("Joan"));
    let kept = batch.update(json!({"title": "T"}), 1);
    assert_eq!((kept.types(), &kept.deal()["contact"]["name"]), (vec![], &json!("Joan")));

    assert_eq!(batch.contact(&contacts::Command::Delete(CONTACT)), 200);
    let changed = batch.update(json!({"title": "U"}), 2);
    assert_eq!((changed.types(), &changed.deal()["contact"]), (vec![DealUpdated], &Value::Null));
    let refused = batch.update(json!({"contactId": CONTACT}), 3);
    assert_eq!((refused.status, refused.bad_fields()), (422, vec!["contactId"]));
}

#[test]
fn a_deal_does_not_wait_for_its_contact() {
    let mut batch = Batch::default();
    batch.contacts.rows.held((COMPANY, CONTACT.0));
    batch.deals.contacts.insert((COMPANY, CONTACT.0), contact("Jane"));
    let made = batch.create(json!({"title": "T", "contactId": CONTACT}));
    assert_eq!(made.deal()["contact"]["name"], "Jane");
}

#[test]
fn what_does_not_exist_is_404_and_what_is_locked_waits() {
    let mut batch = Batch::default();
    assert_eq!(batch.update(json!({}), 0).status, 404);
    assert_eq!(batch.run(&Command::Delete(DEAL), 0).status, 404);
    batch.create(json!({"title": "T"}));
    let deleted = batch.run(&Command::Delete(DEAL), 0);
    assert_eq!((deleted.status, deleted.types()), (200, vec![EventType::DealDeleted]));
    assert_eq!(batch.update(json!({}), 0).status, 404);

    let mut held = Deals::default();
    held.rows.held((COMPANY, DEAL.0));
    assert!(run(&mut held, &Contacts::default(), COMPANY, &Command::Delete(DEAL), at(0)).is_err());
}
