//! What every way of carrying out a batch needs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::idempotency::{Answers, KeyLookup};
use super::job::{Job, Outcomes, WriteError};
use super::outage::Outage;
use super::session::Session;
use super::{Decision, Domain};
use crate::clock::Clock;
use crate::log::{Appender, Author, NewEvent};

/// The rules, the time, the log, and the writer's own connection.
pub(super) struct Core<D: Domain> {
    pub(super) domain: D,
    pub(super) pool: PgPool,
    pub(super) clock: Clock,
    pub(super) appender: Appender,
    pub(super) session: Option<Session>,
    pub(super) outage: Arc<Outage>,
}

impl<D: Domain> Core<D> {
    /// Takes the session out, or opens one.
    pub(super) async fn connected(&mut self) -> Result<Session, sqlx::Error> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => {
                // Perhaps it is another database by now.
                self.appender.forget_head();
                Session::open(&self.pool).await
            }
        }
    }

    /// Decides each job in order of arrival: what became of it, and the events of all.
    pub(super) fn decide(
        &self,
        jobs: &[Job<D>],
        state: &mut D::State,
        answers: &mut Answers,
        now: DateTime<Utc>,
    ) -> (Outcomes, Vec<(Author, NewEvent)>) {
        let mut events = Vec::new();
        let outcomes = jobs.iter().map(|job| {
            match job.idempotency.as_ref().map_or(KeyLookup::No, |key| answers.find(job.author.company, key))
            {
                KeyLookup::Answered(answer) => return Some(Ok(answer)),
                KeyLookup::OtherRequest => return Some(Err(WriteError::KeyReused)),
                KeyLookup::No => {}
            }
            match self.domain.decide(state, job.author.company, &job.command, now) {
                Decision::Held => None,
                Decision::Done(answer, new) => {
                    events.extend(new.into_iter().map(|event| (job.author, event)));
                    if let Some(key) = &job.idempotency {
                        answers.keep(job.author.company, key, &answer);
                    }
                    Some(Ok(answer))
                }
            }
        });
        (outcomes.collect(), events)
    }
}
