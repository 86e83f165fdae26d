//! The orders of a list.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder, Row as _};

use crate::http::error::ApiError;
use crate::http::query;

/// What a list can be sorted by. An index of the table begins with the company, the column and the id.
#[derive(Debug)]
pub struct Sort {
    /// Its name in `sort`.
    pub name: &'static str,
    /// The column, of the table `c`.
    pub column: &'static str,
    /// What the column holds.
    pub kind: Kind,
    /// Records without a value come last.
    pub is_nullable: bool,
}

/// What a column holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A time.
    Time,
    /// Text.
    Text,
    /// A number.
    Number,
}

/// A record's value of the column.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// None.
    Null,
    /// A time.
    Time(DateTime<Utc>),
    /// Text.
    Text(String),
    /// A number.
    Number(Decimal),
}

/// The order of a list. Records with the same value are in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// By what.
    pub sort: &'static Sort,
    /// The greatest first?
    pub is_descending: bool,
}

impl Order {
    /// Reads `sort`.
    pub fn parse(sorts: &'static [Sort], sort: Option<String>) -> Result<Self, ApiError> {
        let Some(text) = query::text(sort) else {
            return Ok(Self { sort: &sorts[0], is_descending: true });
        };
        let (name, is_descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (&*text, false),
        };
        let sort = sorts.iter().find(|sort| sort.name == name).ok_or_else(|| {
            let names: Vec<_> = sorts.iter().map(|sort| sort.name).collect();
            let names = names.join(", ");
            ApiError::invalid_query(
                "sort",
                format_args!("must be one of {names}, or one of them after a `-`"),
            )
        })?;
        Ok(Self { sort, is_descending })
    }

    /// The order of the columns, in SQL.
    pub(super) fn direction(&self) -> &'static str {
        if self.is_descending { " DESC" } else { "" }
    }

    /// What compares a later record with an earlier one, in SQL.
    pub(super) fn beyond(&self) -> &'static str {
        if self.is_descending { " < " } else { " > " }
    }
}

impl Key {
    pub(super) fn decode(row: &PgRow, kind: Kind) -> Result<Self, sqlx::Error> {
        Ok(match kind {
            Kind::Time => row.try_get::<Option<_>, _>("sort_key")?.map(Self::Time),
            Kind::Text => row.try_get::<Option<_>, _>("sort_key")?.map(Self::Text),
            Kind::Number => row.try_get::<Option<_>, _>("sort_key")?.map(Self::Number),
        }
        .unwrap_or(Self::Null))
    }

    pub(super) fn bind(&self, sql: &mut QueryBuilder<Postgres>) {
        match self {
            Self::Null => sql.push("NULL"),
            Self::Time(at) => sql.push_bind(*at),
            Self::Text(text) => sql.push_bind(text.clone()),
            Self::Number(number) => sql.push_bind(*number),
        };
    }
}
