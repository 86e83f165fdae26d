//! The records as the outside sees them. One serializer makes them in REST
//! answers, in webhook `data`, in samples and in `recent`.

mod contact;
mod deal;
#[cfg(test)]
pub mod examples;
mod money;

pub use crate::model::deal_words::{Priority, Status};
pub use contact::Contact;
pub use deal::{AssignedTo, Deal, DealContact, StageChange};
pub use money::{Money, NotMoney};
