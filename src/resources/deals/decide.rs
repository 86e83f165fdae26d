//! The rules of deals. Pure: no SQL, no clock.

use chrono::{DateTime, Utc};

use super::input::{Changes, NO_SUCH_CONTACT, NO_SUCH_MEMBER, NewDeal};
use super::{Command, Deals};
use crate::http::answer::message;
use crate::http::error::ApiError;
use crate::http::field::Problems;
use crate::http::id::not_found;
use crate::log::NewEvent;
use crate::model::etag::ETag;
use crate::model::events::EventType;
use crate::model::ids::{CompanyId, DealId};
use crate::model::patch::Patch;
use crate::model::records::{AssignedTo, Deal, DealContact, Priority, StageChange, Status};
use crate::resources::contacts::Contacts;
use crate::resources::table::{Key, RowHeld};
use crate::resources::{DecisionResult, answer, previous, record_answer, record_json};

/// Decides one command and notes what it changes. Of the contacts it only reads.
pub fn run(
    deals: &mut Deals,
    contacts: &Contacts,
    company: CompanyId,
    command: &Command,
    now: DateTime<Utc>,
) -> DecisionResult {
    let (status, before, deal) = match command {
        Command::Create(id, new) => match deals.named(contacts, company, &new.rest)? {
            Ok(named) => (201, None, created(*id, new, named, now)),
            Err(error) => return Ok(Err(error)),
        },
        Command::Update(id, changes) => {
            let Some(current) = deals.current(contacts, company, *id)? else {
                return Ok(Err(not_found::<DealId>()));
            };
            let named = match deals.named(contacts, company, changes)? {
                Ok(named) => named,
                Err(error) => return Ok(Err(error)),
            };
            match updated(&current, changes, named, now) {
                Some(deal) => (200, Some(current), deal),
                None => return Ok(record_json(&current).map(|data| (record_answer(200, &data), Vec::new()))),
            }
        }
        Command::Delete(id) => {
            let Some(current) = deals.current(contacts, company, *id)? else {
                return Ok(Err(not_found::<DealId>()));
            };
            deals.rows.delete((company, id.0));
            let event = record_json(&current).map(|data| NewEvent {
                event_type: EventType::DealDeleted,
                record: id.0,
                data,
                previous: None,
            });
            return Ok(event
                .and_then(|event| Ok((answer(200, &message("Deal deleted successfully"))?, vec![event]))));
        }
    };
    Ok(record_json(&deal).and_then(|data| {
        let answer = record_answer(status, &data);
        let events = events(before.as_ref(), &deal, data)?;
        deals.rows.put((company, deal.id.0), deal);
        Ok((answer, events))
    }))
}

/// The tag of the deal that a command changes, as of now.
pub fn etag(
    deals: &Deals,
    contacts: &Contacts,
    company: CompanyId,
    command: &Command,
) -> Result<Option<ETag>, RowHeld> {
    match command {
        Command::Update(id, _) | Command::Delete(id) => {
            Ok(deals.current(contacts, company, *id)?.as_ref().map(ETag::of_record))
        }
        Command::Create(..) => Ok(None),
    }
}

/// Returns whether a command that makes a deal has to wait for another process, which is about to
/// delete or renumber its contact.
pub fn is_held(deals: &Deals, company: CompanyId, command: &Command) -> bool {
    let Command::Create(_, new) = command else { return false };
    new.rest.contact.value().is_some_and(|id| deals.held.contains(&(company, id.0)))
}

/// The contact and the member that a request names.
#[derive(Default)]
struct References {
    contact: Patch<DealContact>,
    assigned_to: Patch<AssignedTo>,
}

impl Deals {
    /// A contact as of now: as the batch left it, else as committed.
    pub(super) fn contact(&self, contacts: &Contacts, key: Key) -> Option<DealContact> {
        let contact = match contacts.rows.seen(key) {
            Some(seen) => seen,
            None => self.contacts.get(&key),
        };
        contact.map(DealContact::from)
    }

    /// A deal with its contact as of now.
    fn current(&self, contacts: &Contacts, company: CompanyId, id: DealId) -> Result<Option<Deal>, RowHeld> {
        let deal = self.rows.get((company, id.0))?.cloned();
        Ok(deal.map(|deal| {
            let contact =
                deal.contact.as_ref().and_then(|known| self.contact(contacts, (company, known.id.0)));
            Deal { contact, ..deal }
        }))
    }

    /// Looks up what a request names; 422 if it is not of the company.
    fn named(
        &self,
        contacts: &Contacts,
        company: CompanyId,
        changes: &Changes,
    ) -> Result<Result<References, ApiError>, RowHeld> {
        if changes.contact.value().is_some_and(|id| self.held.contains(&(company, id.0))) {
            return Err(RowHeld);
        }
        let mut problems = Problems::default();
        let contact = changes.contact.and_then(|id| {
            let contact = self.contact(contacts, (company, id.0));
            if contact.is_none() {
                problems.add("contactId", NO_SUCH_CONTACT);
            }
            contact
        });
        let assigned_to = changes.assigned_to.and_then(|id| {
            let member = self.members.get(&(company, id.0)).cloned();
            if member.is_none() {
                problems.add("assignedToId", NO_SUCH_MEMBER);
            }
            member
        });
        Ok(problems.finish().map(|()| References { contact, assigned_to }))
    }
}

fn created(id: DealId, new: &NewDeal, named: References, now: DateTime<Utc>) -> Deal {
    let mut deal = Deal {
        id,
        title: new.title.clone(),
        description: None,
        value: None,
        currency: "EUR".into(),
        stage: "new".into(),
        priority: Priority::Medium,
        probability: None,
        status: Status::Open,
        expected_close_date: None,
        actual_close_date: None,
        source: None,
        contact: None,
        assigned_to: None,
        created_at: now,
        updated_at: now,
    };
    apply(&mut deal, &new.rest, named, now);
    deal
}

/// The deal with the changes, or none if nothing really changes.
fn updated(current: &Deal, changes: &Changes, named: References, now: DateTime<Utc>) -> Option<Deal> {
    // Never backwards, whichever process's clock it is.
    let now = now.max(current.updated_at);
    let mut deal = current.clone();
    apply(&mut deal, changes, named, now);
    (deal != *current).then_some(Deal { updated_at: now, ..deal })
}

fn apply(deal: &mut Deal, changes: &Changes, named: References, now: DateTime<Utc>) {
    fn set<T: Clone>(field: &mut T, change: &Option<T>) {
        if let Some(value) = change {
            field.clone_from(value);
        }
    }
    let status_before = deal.status;
    set(&mut deal.title, &changes.title);
    changes.description.apply(&mut deal.description);
    changes.value.apply(&mut deal.value);
    set(&mut deal.currency, &changes.currency);
    set(&mut deal.stage, &changes.stage);
    set(&mut deal.priority, &changes.priority);
    changes.probability.apply(&mut deal.probability);
    set(&mut deal.status, &changes.status);
    changes.expected_close_date.apply(&mut deal.expected_close_date);
    changes.actual_close_date.apply(&mut deal.actual_close_date);
    changes.source.apply(&mut deal.source);
    named.contact.apply(&mut deal.contact);
    named.assigned_to.apply(&mut deal.assigned_to);
    if deal.status != status_before {
        deal.actual_close_date = match deal.status {
            Status::Open => None,
            Status::Won | Status::Lost => changes.actual_close_date.value().or(Some(now)),
        };
    }
}

/// The events of a change, in their order. `data` is the deal as JSON text.
fn events(before: Option<&Deal>, deal: &Deal, data: String) -> Result<Vec<NewEvent>, ApiError> {
    let event = |event_type, data, previous| NewEvent { event_type, record: deal.id.0, data, previous };
    let previous = before.map(|before| previous(&record_json(before)?, &data)).transpose()?;
    let first = if before.is_some() { EventType::DealUpdated } else { EventType::DealCreated };
    let mut events = vec![event(first, data.clone(), previous.clone())];
    if let Some(before) = before.filter(|before| before.stage != deal.stage) {
        let change = StageChange { deal, previous_stage: &before.stage };
        events.push(event(EventType::DealStageChanged, record_json(&change)?, previous));
    }
    if before.is_none_or(|before| before.status != deal.status) {
        match deal.status {
            Status::Open => {}
            Status::Won => events.push(event(EventType::DealWon, data, None)),
            Status::Lost => events.push(event(EventType::DealLost, data, None)),
        }
    }
    Ok(events)
}

#[cfg(test)]
mod tests;
