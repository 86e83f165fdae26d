//! What the columns of a file mean: the fields by header or by `--map`, and the record of a row.

use csv::ByteRecord;
use serde_json::{Map, Value};

use super::error::Error;
use super::fields::{FIRST_NAME, Field, Kind, LAST_NAME, NAME};
use crate::model::cell::unprotected;

/// The field of each column, if the column has one.
#[derive(Debug)]
pub struct Columns {
    fields: Vec<Option<&'static Field>>,
    /// Does an empty cell clear the field? Otherwise it says nothing about it.
    clear_empty: bool,
}

impl Columns {
    /// Finds the fields of these headers. `maps` has precedence, then a field's own name, then its aliases;
    /// of several columns for a field the first one counts.
    pub fn new(kind: Kind, headers: &[String], maps: &[String], clear_empty: bool) -> Result<Self, Error> {
        let mut fields: Vec<Option<&'static Field>> = vec![None; headers.len()];
        let mut decided = vec![false; headers.len()];
        for text in maps {
            let (column, name) = text.rsplit_once('=').ok_or_else(|| Error::BadMap { text: text.clone() })?;
            let same = |header: &String| header.trim().to_lowercase() == column.trim().to_lowercase();
            let at = headers.iter().position(same).ok_or_else(|| Error::UnknownColumn {
                column: column.to_owned(),
                columns: headers.join(", "),
            })?;
            decided[at] = true;
            fields[at] = match name.trim() {
                "" => None,
                name => Some(kind.fields().iter().find(|field| field.is_named(name)).ok_or_else(|| {
                    let known: Vec<_> = kind.fields().iter().map(|field| field.name).collect();
                    Error::UnknownField { field: name.to_owned(), fields: known.join(", ") }
                })?),
            };
        }
        for field in kind.fields() {
            if fields.iter().flatten().filter(|mapped| mapped.name == field.name).count() > 1 {
                return Err(Error::TwoColumns { field: field.name });
            }
        }
        for by_alias in [false, true] {
            for field in kind.fields() {
                if fields.iter().flatten().any(|mapped| mapped.name == field.name) {
                    continue;
                }
                let means = |header: &str| match by_alias {
                    true => field.is_alias(header),
                    false => field.is_named(header),
                };
                let free = |at: &usize| !decided[*at] && fields[*at].is_none();
                if let Some(at) = (0..headers.len()).filter(free).find(|at| means(&headers[*at])) {
                    fields[at] = Some(field);
                }
            }
        }
        Ok(Self { fields, clear_empty })
    }

    /// A field that each new record must have and for which there is no column.
    pub fn missing(&self, kind: Kind) -> Option<&'static str> {
        let has = |name: &str| self.fields.iter().flatten().any(|field| field.name == name);
        let made_up = has(FIRST_NAME) || has(LAST_NAME);
        let needed = kind.fields().iter().filter(|field| field.required);
        needed.map(|field| field.name).find(|name| !(has(name) || *name == NAME && made_up))
    }

    /// The headers with their fields, and those that are not imported, for people.
    pub fn told(&self, headers: &[String]) -> (Vec<String>, Vec<String>) {
        let pairs = headers.iter().zip(&self.fields);
        let (known, other): (Vec<_>, Vec<_>) = pairs.partition(|(_, field)| field.is_some());
        let told = |(header, field): &(&String, &Option<&Field>)| match field {
            Some(field) if field.name != **header => format!("{header} = {}", field.name),
            _ => (*header).clone(),
        };
        (known.iter().map(told).collect(), other.iter().map(told).collect())
    }

    /// The field names by column, for whoever wants to know whether they are still the same.
    pub fn names(&self) -> Vec<&'static str> {
        self.fields.iter().map(|field| field.map_or("", |field| field.name)).collect()
    }

    /// The record of a row as JSON, nothing if the row is empty, or why there is none.
    pub fn record(&self, row: &ByteRecord) -> Result<Option<String>, String> {
        if row.len() != self.fields.len() {
            return Err(format!("has {} cells, but the header has {}", row.len(), self.fields.len()));
        }
        let mut record = Map::new();
        let mut empty = true;
        for (at, (bytes, field)) in row.iter().zip(&self.fields).enumerate() {
            let cell = str::from_utf8(bytes).map_err(|_| format!("cell {} is not UTF-8", at + 1))?;
            let blank = cell.trim().is_empty();
            empty &= blank;
            let Some(field) = field else { continue };
            let value = match blank {
                true if self.clear_empty && !field.required => Value::Null,
                true => continue,
                false if field.list => list(unprotected(cell)),
                false => unprotected(cell).into(),
            };
            record.insert(field.name.to_owned(), value);
        }
        if empty {
            return Ok(None);
        }
        if self.fields.iter().flatten().any(|field| field.name == FIRST_NAME || field.name == LAST_NAME)
            && !record.contains_key(NAME)
        {
            let part = |name| record.get(name).and_then(Value::as_str).map(str::trim);
            let parts: Vec<_> = [FIRST_NAME, LAST_NAME].into_iter().filter_map(part).collect();
            if !parts.is_empty() {
                record.insert(NAME.to_owned(), parts.join(" ").into());
            }
        }
        Ok(Some(Value::Object(record).to_string()))
    }
}

/// A list: texts with commas, or JSON where a text has a comma itself.
fn list(cell: &str) -> Value {
    match serde_json::from_str::<Vec<String>>(cell) {
        Ok(texts) => texts.into(),
        Err(_) => cell.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(kind: Kind, headers: &[&str], maps: &[&str]) -> Result<Columns, Error> {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        Columns::new(kind, &owned(headers), &owned(maps), false)
    }

    fn names(kind: Kind, headers: &[&str], maps: &[&str]) -> Vec<&'static str> {
        columns(kind, headers, maps).unwrap().names()
    }

    #[test]
    fn headers_are_known_however_they_are_written() {
        let contacts = |headers: &[&str], maps: &[&str]| names(Kind::Contacts, headers, maps);
        assert_eq!(
            contacts(&["First Name", "last_name", "E-MAIL", "Phone", "Job title", "Shoe size"], &[]),
            ["firstName", "lastName", "email", "phoneNumber", "position", ""]
        );
        // A field's own name comes before an alias, the first alias before the second one.
        assert_eq!(contacts(&["Mobile", "Phone number"], &[]), ["", "phoneNumber"]);
        assert_eq!(contacts(&["Mobile", "Phone"], &[]), ["phoneNumber", ""]);
        assert_eq!(contacts(&["Mobile", "Phone"], &["phone=phoneNumber"]), ["", "phoneNumber"]);
        assert_eq!(contacts(&["Phone", "a=b", "Name"], &["a=b=city", "Name="]), ["phoneNumber", "city", ""]);
        assert_eq!(names(Kind::Deals, &["Name", "Amount"], &[]), ["title", "value"]);
    }

    #[test]
    fn a_bad_map_says_what_there_is() {
        let error = |maps: &[&str]| columns(Kind::Contacts, &["A", "B"], maps).unwrap_err().to_string();
        assert!(error(&["A"]).contains("must be a column and a field"));
        assert!(error(&["C=name"]).contains("the columns are: A, B"));
        assert!(error(&["A=nme"]).contains("the fields are: name, firstName"));
        assert!(error(&["A=name", "B=name"]).contains("two columns to the field name"));
        let missing =
            |headers: &[&str]| columns(Kind::Contacts, headers, &[]).unwrap().missing(Kind::Contacts);
        assert_eq!(missing(&["Name"]), Some("phoneNumber"));
        assert_eq!(missing(&["Phone"]), Some("name"));
        assert_eq!(missing(&["Phone", "Surname"]), None);
    }

    #[test]
    fn a_row_becomes_a_record() {
        let columns = columns(Kind::Contacts, &["First Name", "Surname", "Phone", "Tags", "X"], &[]).unwrap();
        let record = |cells: &[&str]| columns.record(&ByteRecord::from(cells.to_vec()));
        assert_eq!(
            record(&["Ann", "Lee", "'+33 1", "a,b", "1"]).unwrap().unwrap(),
            r#"{"firstName":"Ann","lastName":"Lee","phoneNumber":"+33 1","tags":"a,b","name":"Ann Lee"}"#
        );
        assert_eq!(record(&["", "", "", r#"["a,b"]"#, ""]).unwrap().unwrap(), r#"{"tags":["a,b"]}"#);
        assert_eq!(record(&["", " ", "", "", ""]).unwrap(), None);
        assert_eq!(record(&["a"]).unwrap_err(), "has 1 cells, but the header has 5");
        let bad = ByteRecord::from(vec![&b"\xff"[..], b"", b"", b"", b""]);
        assert_eq!(columns.record(&bad).unwrap_err(), "cell 1 is not UTF-8");
    }
}
