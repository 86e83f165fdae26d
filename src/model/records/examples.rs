//! Records for tests.

use chrono::DateTime;
use uuid::Uuid;

use super::{AssignedTo, Contact, Deal, DealContact, Priority, Status};
use crate::model::ids::{ContactId, DealId, MemberId};

/// A contact with only what it must have.
pub fn contact() -> Contact {
    Contact {
        id: ContactId(Uuid::from_u128(1)),
        name: "John Doe".into(),
        first_name: None,
        last_name: None,
        phone_number: "+33123456789".into(),
        email: None,
        position: None,
        current_company: None,
        industry_sector: None,
        city: None,
        country: None,
        tags: vec![],
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}

/// A team member.
pub fn member() -> AssignedTo {
    AssignedTo {
        id: MemberId(Uuid::from_u128(2)),
        name: "Alice Martin".into(),
        email: "alice.martin@example.com".into(),
    }
}

/// A deal with a contact and a member, and otherwise only what it must have.
pub fn deal() -> Deal {
    Deal {
        id: DealId(Uuid::from_u128(3)),
        title: "Enterprise License".into(),
        description: None,
        value: None,
        currency: "EUR".into(),
        stage: "negotiation".into(),
        priority: Priority::High,
        probability: None,
        status: Status::Open,
        expected_close_date: None,
        actual_close_date: None,
        source: None,
        contact: Some(DealContact::from(&contact())),
        assigned_to: Some(member()),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: DateTime::UNIX_EPOCH,
    }
}
