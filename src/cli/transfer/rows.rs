//! What an export writes: records as lines of JSON, or as rows of a CSV file.

use std::io::Write;

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
    Csv(csv::Writer<W>, &'static [Column]),
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
                Self::Csv(writer, what.columns())
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
                for (_, path) in *columns {
                    writer.write_field(cell(record, path))?;
                }
                writer.write_record(None::<&[u8]>)?;
            }
        }
        Ok(())
    }

    /// Brings everything out.
    pub fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Csv(writer, _) => writer.flush(),
            Self::Jsonl(out) => out.flush(),
        }
    }
}

/// The value of a field as a cell: text as it is, a list with commas, a number as it was sent.
fn cell(record: &RawValue, path: &[&str]) -> String {
    let Some((field, rest)) = path.split_first() else { return text(record.get()) };
    match Field::of(record.get(), field) {
        Some(value) => cell(value, rest),
        None => String::new(),
    }
}

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
struct Field<'a>(#[serde(borrow)] std::collections::HashMap<std::borrow::Cow<'a, str>, &'a RawValue>);

impl<'a> Field<'a> {
    fn of(json: &'a str, name: &str) -> Option<&'a RawValue> {
        let fields: Self = serde_json::from_str(json).ok()?;
        fields.0.get(name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_become_rows() {
        let record =
            r#"{"id":"c","name":"=1+1","tags":["a","b"],"value":123456789012345.123456,"contact":null}"#;
        let record: &RawValue = serde_json::from_str(record).unwrap();
        assert_eq!(cell(record, &["name"]), "'=1+1");
        assert_eq!(cell(record, &["tags"]), "a,b");
        assert_eq!(cell(record, &["value"]), "123456789012345.123456");
        assert_eq!(cell(record, &["contact", "id"]), "");
        assert_eq!(text(r#"["a,b","c"]"#), r#"["a,b","c"]"#);
        assert_eq!(text("-5"), "-5");
    }
}
