//! Lists: their addresses say what is looked for, the API's routes find it, and what is shown can be
//! had as a CSV.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::form::listed;
use super::page::{Listed, Meta};
use super::{Dashboard, Failure, SignedIn};
use crate::model::cell::protected;

/// Rows on a page.
const PAGE: usize = 50;
/// Rows that are read at once for a CSV.
const CSV_PAGE: usize = 200;
/// Rows of a CSV, at most; whoever wants more has the API.
const CSV_ROWS: usize = 10_000;
/// What the address of a page says beside what is looked for.
const NOT_FILTERS: [&str; 3] = ["cursor", "done", "test"];

/// What is looked for, by the address of the page.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub(super) struct Wanted(BTreeMap<String, String>);

/// What was found, or what is wrong with what was looked for.
pub(super) struct Found<T> {
    pub(super) rows: Vec<T>,
    pub(super) meta: Meta,
    pub(super) problem: Option<String>,
}

/// One of the API's lists, and what its address may say.
#[derive(Clone, Copy)]
pub(super) struct List<'a> {
    pub(super) path: &'a str,
    pub(super) filters: &'static [&'static str],
}

impl Wanted {
    /// What a parameter says; nothing if it is not there.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |value| value.trim())
    }

    /// The same, where a parameter that is not there says this.
    pub(super) fn or(mut self, name: &str, value: &str) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| value.to_owned());
        self
    }

    /// Does the parameter say this?
    pub(super) fn is(&self, name: &str, value: impl AsRef<str>) -> bool {
        self.get(name) == value.as_ref()
    }

    /// Is anything looked for in particular?
    pub(super) fn is_narrow(&self) -> bool {
        self.0.iter().any(|(name, value)| !NOT_FILTERS.contains(&&**name) && !value.trim().is_empty())
    }

    /// The query of an address that looks for the same, from the start, ended by what may be added.
    pub(super) fn same(&self) -> String {
        let pairs = self.0.iter().filter(|(name, _)| !NOT_FILTERS.contains(&&***name));
        let pairs = pairs.filter(|(_, value)| !value.trim().is_empty());
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(pairs);
        text.finish()
    }

    /// The query of the address of the same list in the order of a field, or the other way round.
    pub(super) fn sorted(&self, field: &str) -> String {
        let now = self.get("sort");
        let to = if now == field { format!("-{field}") } else { field.to_owned() };
        let mut same = Self(self.0.clone());
        same.0.insert("sort".to_owned(), to);
        format!("?{}", same.same())
    }

    /// How the list is in order of a field, for `aria-sort`.
    pub(super) fn order(&self, field: &str) -> &'static str {
        match self.get("sort").strip_prefix('-') {
            Some(down) if down == field => "descending",
            None if self.is("sort", field) => "ascending",
            _ => "none",
        }
    }

    /// The query of the address of the next page.
    pub(super) fn next(&self, meta: &Meta) -> Option<String> {
        let cursor = encoded(meta.next_cursor.as_deref()?);
        Some(format!("?{}&cursor={cursor}", self.same()))
    }

    pub(super) fn api(&self, list: List<'_>, limit: usize, cursor: Option<&str>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("limit", &limit.to_string());
        let named = list.filters.iter().map(|name| (*name, self.get(name)));
        let named = named.chain(cursor.map(|cursor| ("cursor", cursor)));
        query.extend_pairs(named.filter(|(_, value)| !value.is_empty()));
        let joint = if list.path.contains('?') { '&' } else { '?' };
        format!("{}{joint}{}", list.path, query.finish())
    }

    /// A page of the list.
    pub(super) async fn read<T: DeserializeOwned>(
        &self,
        dashboard: &Dashboard,
        signed_in: &SignedIn,
        list: List<'_>,
    ) -> Result<Found<T>, Failure> {
        let cursor = Some(self.get("cursor")).filter(|cursor| !cursor.is_empty());
        let path = self.api(list, PAGE, cursor);
        match dashboard.inside.get::<Listed<T>>(&signed_in.whose(), &path).await {
            Ok(listed) => Ok(Found { rows: listed.data, meta: listed.meta, problem: None }),
            // A filter that cannot be understood: the page stays, and says so.
            Err(Failure::Told(told)) if told.status == StatusCode::BAD_REQUEST => Ok(Found {
                rows: Vec::new(),
                meta: Meta::default(),
                problem: Some(told.message().to_owned()),
            }),
            Err(failure) => Err(failure),
        }
    }

    /// The list as CSV, with these fields of its rows, from the start; `name` is the file's.
    pub(super) async fn csv(
        &self,
        (dashboard, signed_in): (&Dashboard, &SignedIn),
        list: List<'_>,
        (name, columns): (&str, &[&str]),
    ) -> Result<Response, Failure> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(columns)?;
        let (mut rows, mut cursor) = (0, None::<String>);
        loop {
            let path = self.api(list, CSV_PAGE.min(CSV_ROWS - rows), cursor.as_deref());
            let listed: Listed<Value> = dashboard.inside.get(&signed_in.whose(), &path).await?;
            for row in &listed.data {
                writer.write_record(columns.iter().map(|column| cell(row, column)))?;
            }
            rows += listed.data.len();
            cursor = listed.meta.next_cursor;
            if cursor.is_none() || rows >= CSV_ROWS {
                break;
            }
        }
        let bytes = writer.into_inner().map_err(|error| Failure::Csv(error.into_error().into()))?;
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}.csv\""))?;
        let kind = HeaderValue::from_static("text/csv; charset=utf-8");
        Ok(([(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, disposition)], bytes)
            .into_response())
    }
}

/// Text in the query of an address.
pub(super) fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A field of a row, as a cell; `a.b` is the field `b` of the field `a`.
fn cell(row: &Value, column: &str) -> String {
    let value = column.split('.').fold(row, |value, name| &value[name]);
    match value {
        Value::Null => String::new(),
        Value::String(_) | Value::Array(_) => protected(&listed(value)).into_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(pairs: &[(&str, &str)]) -> Wanted {
        Wanted(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn an_address_says_what_is_looked_for_and_nothing_unknown_reaches_the_api() {
        let wanted =
            wanted(&[("search", " a&b "), ("tags", ""), ("cursor", "c"), ("done", "saved"), ("x", "1")]);
        let list = List { path: "/contacts", filters: &["search", "tags"] };
        assert_eq!(wanted.api(list, 50, Some("c")), "/contacts?limit=50&search=a%26b&cursor=c");
        assert_eq!(wanted.same(), "search=+a%26b+&x=1");
        let meta = Meta { next_cursor: Some("d=".to_owned()), ..Meta::default() };
        assert_eq!(wanted.next(&meta).unwrap(), "?search=+a%26b+&x=1&cursor=d%3D");
        assert!(wanted.is_narrow() && wanted.next(&Meta::default()).is_none());
    }

    #[test]
    fn a_cell_is_no_formula() {
        let row = json!({"name": "=1+1", "tags": ["a", "b"], "value": -5, "contact": {"name": "Anna"}, "email": null});
        let cells =
            ["name", "tags", "value", "contact.name", "email", "gone.x"].map(|column| cell(&row, column));
        assert_eq!(cells, ["'=1+1", "a, b", "-5", "Anna", "", ""]);
    }
}
