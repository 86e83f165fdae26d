//! The connections on which companies read, each with its share of them.

use std::ops::Deref;
use std::time::Duration;

use sqlx::PgPool;

use super::postgres;
use crate::model::ids::CompanyId;
use crate::shares::{Place, Shares};

/// Reads at once of one company, so that its long ones leave connections for others.
pub const PER_COMPANY: usize = postgres::CONNECTIONS as usize / 3;
/// How long a read waits for its company's others, before it is told to come back.
const WAIT: Duration = Duration::from_secs(3);

/// What companies read with.
#[derive(Debug)]
pub struct Reads {
    pool: PgPool,
    shares: Shares,
}

/// The pool, for one company, for one statement at a time.
#[derive(Debug)]
pub struct Reading<'a> {
    pool: &'a PgPool,
    _place: Place,
}

/// The company has all the reads under way that it may have.
#[derive(Clone, Copy, Debug)]
pub struct TooManyReads;

impl Reads {
    /// Reads on the connections of `pool`.
    pub fn new(pool: PgPool) -> Self {
        Self { pool, shares: Shares::new(postgres::CONNECTIONS as usize, PER_COMPANY) }
    }

    /// Waits for the company's turn. Nobody asks for one who has one.
    ///
    /// # Errors
    /// When it does not come in time.
    pub async fn of(&self, company: CompanyId) -> Result<Reading<'_>, TooManyReads> {
        let place = tokio::time::timeout(WAIT, self.shares.take(company)).await;
        let place = place.ok().flatten().ok_or(TooManyReads)?;
        Ok(Reading { pool: &self.pool, _place: place })
    }

    /// Connections that are there, and those of them that nobody uses.
    pub fn connections(&self) -> (usize, usize) {
        (self.pool.size() as usize, self.pool.num_idle())
    }
}

impl Deref for Reading<'_> {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        self.pool
    }
}
