//! What an export writes: records as lines of JSON, or as rows of a CSV file.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::model::cell::protected;

/// What is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Exported {
    /// People
    Contacts,
    /// Opportunities
    Deals,
    /// What happened to them, as long as it is kept
    Events,
}

/// How the file looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A header line and a row each, for spreadsheets and `isao import`
    Csv,
    /// A JSON object a line, as the API answers it
    Jsonl,
}

/// A column: its header, and the path of fields to its value.
type Column = (&'static str, &'static [&'static str]);

const CONTACT: &[Column] = &[
    ("id", &["id"]),
    ("name", &["name"]),
    ("firstName", &["firstName"]),
    ("lastName", &["lastName"]),
    ("phoneNumber", &["phoneNumber"]),
    ("email", &["email"]),
    ("position", &["position"]),
    ("currentCompany", &["currentCompany"]),
    ("industrySector", &["industrySector"]),
    ("city", &["city"]),
    ("country", &["country"]),
    ("tags", &["tags"]),
    ("createdAt", &["createdAt"]),
    ("updatedAt", &["updatedAt"]),
];

const DEAL: &[Column] = &[
    ("id", &["id"]),
    ("title", &["title"]),
    ("description", &["description"]),
    ("value", &["value"]),
    ("currency", &["currency"]),
    ("stage", &["stage"]),
    ("priority", &["priority"]),
    ("probability", &["probability"]),
    ("status", &["status"]),
    ("expectedCloseDate", &["expectedCloseDate"]),
    ("actualCloseDate", &["actualCloseDate"]),
    ("source", &["source"]),
    ("contactId", &["contact", "id"]),
    ("contact.name", &["contact", "name"]),
    ("contact.email", &["contact", "email"]),
    ("contact.phoneNumber", &["contact", "phoneNumber"]),
    ("assignedToId", &["assignedTo", "id"]),
    ("assignedTo.name", &["assignedTo", "name"]),
    ("assignedTo.email", &["assignedTo", "email"]),
    ("createdAt", &["createdAt"]),
    ("updatedAt", &["updatedAt"]),
];

const EVENT: &[Column] = &[
    ("eventId", &["metadata", "eventId"]),
    ("event", &["event"]),
    ("timestamp", &["timestamp"]),
    ("source", &["metadata", "source"]),
    ("recordId", &["data", "id"]),
    ("data", &["data"]),
];

impl Exported {
    fn columns(self) -> &'static [Column] {
        match self {
            Self::Contacts => CONTACT,
            Self::Deals => DEAL,
            Self::Events => EVENT,
        }
    }

    /// As people and paths of the API name them.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contacts => "contacts",
            Self::Deals => "deals",
            Self::Events => "events",
        }
    }
}

/// Writes records.
pub enum Writer<W: Write> {
    Csv(Box<csv::Writer<W>>, &'static [Column]),
    Jsonl(W),
}

impl<W: Write> Writer<W> {
    /// Writes to `out`, the header line first.
    pub fn new(out: W, what: Exported, format: Format) -> Result<Self, csv::Error> {
        Ok(match format {
            Format::Jsonl => Self::Jsonl(out),
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(what.columns().iter().map(|(header, _)| header))?;
                Self::Csv(Box::new(writer), what.columns())
            }
        })
    }

    /// Writes a record.
    pub fn write(&mut self, record: &RawValue) -> Result<(), csv::Error> {
        match self {
            Self::Jsonl(out) => {
                out.write_all(record.get().as_bytes())?;
                out.write_all(b"\n")?;
            }
            Self::Csv(writer, columns) => {
                let fields = Fields::of(record.get())?;
                for (_, path) in *columns {
                    writer.write_field(fields.cell(path))?;
                }
                writer.write_record(None::<&[u8]>)?;
            }
        }
        Ok(())
    }

    /// Brings everything out.
    pub fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Csv(writer, _) => writer.flush(),
            Self::Jsonl(out) => out.flush(),
        }
    }
}

/// A value as a cell: text as it is, a list with commas, a number as it was sent.
fn text(json: &str) -> String {
    if json == "null" {
        return String::new();
    }
    if let Ok(text) = serde_json::from_str::<String>(json) {
        return protected(&text).into_owned();
    }
    match serde_json::from_str::<Vec<String>>(json) {
        // A text with a comma would be read back as two.
        Ok(texts) if texts.iter().any(|text| text.contains(',') || text.starts_with('[')) => json.to_owned(),
        Ok(texts) => protected(&texts.join(",")).into_owned(),
        Err(_) => json.to_owned(),
    }
}

/// The fields of an object, as they were sent: no digit of a number is lost.
#[derive(Deserialize)]
#[serde(transparent)]
struct Fields<'a>(#[serde(borrow)] HashMap<String, &'a RawValue>);

impl<'a> Fields<'a> {
    fn of(json: &'a str) -> io::Result<Self> {
        serde_json::from_str(json).map_err(io::Error::from)
    }

    /// The value at the end of a path.
    fn cell(&self, path: &[&str]) -> String {
        let Some((field, rest)) = path.split_first() else { return String::new() };
        match self.0.get(*field) {
            Some(value) if rest.is_empty() => text(value.get()),
            // What is null has no fields.
            Some(value) => Self::of(value.get()).map_or_else(|_| String::new(), |fields| fields.cell(rest)),
            None => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_rows() {
        let record =
            r#"{"id":"c","name":"=1+1","tags":["a","b"],"value":123456789012345.123456,"contact":null}"#;
        let fields = Fields::of(record).unwrap();
        assert_eq!(fields.cell(&["name"]), "'=1+1");
        assert_eq!(fields.cell(&["tags"]), "a,b");
        assert_eq!(fields.cell(&["value"]), "123456789012345.123456");
        assert_eq!(fields.cell(&["contact", "id"]), "");
        assert_eq!(text(r#"["a,b","c"]"#), r#"["a,b","c"]"#);
        assert_eq!(text("-5"), "-5");
    }
}
