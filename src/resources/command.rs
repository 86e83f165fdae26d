//! What callers want written.

use chrono::{DateTime, Utc};

use super::record_batch::RecordBatch;
use super::table::RowHeld;
use super::{DecisionResult, State, contacts, deals, refusal, subscriptions};
use crate::http::conditions::{IfMatch, Tags, changed_meanwhile};
use crate::model::etag::ETag;
use crate::model::ids::CompanyId;
use crate::writer::Answer;

/// One wish of one caller.
pub enum Command {
    /// About a contact.
    Contact(contacts::Command),
    /// About a deal.
    Deal(deals::Command),
    /// About a subscription.
    Subscription(subscriptions::Command),
    /// About nothing: the answer to a request that writes nothing, for those who repeat it with the same
    /// Idempotency-Key.
    Answered(Answer),
    /// A command that is carried out only if its record has one of these tags.
    Guarded(Tags, Box<Command>),
    /// Several commands with one answer.
    RecordBatch(RecordBatch),
}

impl Command {
    /// A command with the condition of its request.
    pub fn guarded(IfMatch(tags): IfMatch, command: impl Into<Self>) -> Self {
        match tags {
            Some(tags) => Self::Guarded(tags, Box::new(command.into())),
            None => command.into(),
        }
    }

    /// How many writes it is.
    pub(super) fn weight(&self) -> usize {
        if let Self::RecordBatch(batch) = self { batch.len() } else { 1 }
    }

    /// Returns whether its answer, if it is carried out, shows one contact or deal.
    pub(super) fn shows_record(&self) -> bool {
        match self {
            Self::Contact(command) => !matches!(command, contacts::Command::Delete(_)),
            Self::Deal(command) => !matches!(command, deals::Command::Delete(_)),
            Self::Guarded(_, command) => command.shows_record(),
            Self::Subscription(_) | Self::Answered(_) | Self::RecordBatch(_) => false,
        }
    }
}

/// The commands about one thing each that these commands consist of.
pub(super) fn singles<'c>(commands: &[(CompanyId, &'c Command)]) -> Vec<(CompanyId, &'c Command)> {
    let mut singles = Vec::with_capacity(commands.len());
    for (company, command) in commands {
        match command {
            Command::Guarded(_, command) => singles.push((*company, &**command)),
            Command::RecordBatch(batch) => {
                singles.extend(batch.commands().map(|command| (*company, command)))
            }
            command => singles.push((*company, command)),
        }
    }
    singles
}

impl State {
    /// Decides one command and notes what it changes.
    pub(super) fn decide(
        &mut self,
        company: CompanyId,
        command: &Command,
        now: DateTime<Utc>,
    ) -> DecisionResult {
        match command {
            Command::Contact(command) => contacts::decide::run(&mut self.contacts, company, command, now),
            Command::Deal(command) => {
                deals::decide::run(&mut self.deals, &self.contacts, company, command, now)
            }
            Command::Subscription(command) => {
                subscriptions::decide::run(&mut self.subscriptions, company, command, now)
            }
            Command::Answered(answer) => Ok(Ok((answer.clone(), Vec::new()))),
            Command::Guarded(tags, command) => match self.etag(company, command)? {
                Some(current) if !tags.contain(&current) => {
                    let refused = refusal(&changed_meanwhile(&current), now);
                    Ok(Ok((Answer { etag: Some(current), ..refused }, Vec::new())))
                }
                // What is not there is 404.
                _ => self.decide(company, command, now),
            },
            Command::RecordBatch(batch) => batch.decide(self, company, now),
        }
    }

    /// The tag of the record that a command changes, as of now.
    fn etag(&self, company: CompanyId, command: &Command) -> Result<Option<ETag>, RowHeld> {
        match command {
            Command::Contact(command) => contacts::decide::etag(&self.contacts, company, command),
            Command::Deal(command) => deals::decide::etag(&self.deals, &self.contacts, company, command),
            Command::Subscription(command) => {
                subscriptions::decide::etag(&self.subscriptions, company, command)
            }
            Command::Answered(_) | Command::Guarded(..) | Command::RecordBatch(_) => Ok(None),
        }
    }

    /// Returns whether a command has to wait for a row that another process has locked.
    pub(super) fn is_held(&self, company: CompanyId, command: &Command) -> bool {
        match command {
            Command::Contact(command) => contacts::decide::is_held(&self.contacts, company, command),
            Command::Deal(command) => deals::decide::is_held(&self.deals, company, command),
            _ => false,
        }
    }
}
