//! The filters of a list, as conditions of a statement.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// A part of a condition: our own text, or a parameter. What a caller sent is always a parameter.
#[derive(Clone, Debug)]
pub enum Piece {
    /// SQL. The table is `c`, the company `$1`.
    Sql(&'static str),
    /// A parameter.
    Text(String),
    /// A parameter.
    Texts(Vec<String>),
    /// A parameter.
    Time(DateTime<Utc>),
    /// A parameter.
    Id(Uuid),
}

/// A filter of a list.
#[derive(Debug)]
pub struct Filter {
    /// The condition as an index knows it.
    indexed: Vec<Piece>,
    /// The condition as it is quickest to judge for one record.
    plain: Vec<Piece>,
    /// Few records match, however many there are.
    is_narrow: bool,
    /// The index is one of tokens, which begins slowly where many records match.
    is_by_tokens: bool,
    /// The sort of which the filter takes a range.
    range_of: Option<&'static str>,
}

impl Filter {
    /// A condition that an index knows as it stands.
    pub fn new(pieces: impl Into<Vec<Piece>>) -> Self {
        let plain = pieces.into();
        Self { indexed: plain.clone(), plain, is_narrow: false, is_by_tokens: false, range_of: None }
    }

    /// A condition that an index of tokens knows in another form.
    pub fn by_tokens(indexed: Vec<Piece>, plain: Vec<Piece>) -> Self {
        Self { indexed, plain, is_narrow: false, is_by_tokens: true, range_of: None }
    }

    /// The same, of which few records match.
    pub fn narrow(self) -> Self {
        Self { is_narrow: true, ..self }
    }

    /// Records whose time is this or later.
    pub fn since(sort: &'static str, condition: &'static str, at: DateTime<Utc>) -> Self {
        Self { range_of: Some(sort), ..Self::new([Piece::Sql(condition), Piece::Time(at)]) }
    }

    pub(super) fn is_narrow(&self) -> bool {
        self.is_narrow
    }

    pub(super) fn is_by_tokens(&self) -> bool {
        self.is_by_tokens
    }

    pub(super) fn is_range_of(&self, sort: &str) -> bool {
        self.range_of == Some(sort)
    }

    pub(super) fn push_indexed(&self, sql: &mut QueryBuilder<Postgres>) {
        push(&self.indexed, sql);
    }

    pub(super) fn push_plain(&self, sql: &mut QueryBuilder<Postgres>) {
        push(&self.plain, sql);
    }

    /// The same text for the same filter, and another for every other.
    pub(super) fn describe(&self, text: &mut String) {
        let _ = write!(text, "{:?}", self.plain);
    }
}

fn push(pieces: &[Piece], sql: &mut QueryBuilder<Postgres>) {
    sql.push(" AND (");
    for piece in pieces {
        match piece {
            Piece::Sql(text) => sql.push(*text),
            Piece::Text(text) => sql.push_bind(text.clone()),
            Piece::Texts(texts) => sql.push_bind(texts.clone()),
            Piece::Time(at) => sql.push_bind(*at),
            Piece::Id(id) => sql.push_bind(*id),
        };
    }
    sql.push(")");
}
