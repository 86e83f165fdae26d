//! What commands print: tables for people, JSON for programs.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::Error;

/// Prints text to stdout. A reader that has seen enough (`| head`) is no error.
pub fn text(text: &str) -> Result<(), Error> {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Writes all of a text to stdout.
pub fn write(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Whether what is printed goes nowhere. A stdout that was closed when the process began is there, too:
/// the standard library opens `/dev/null` in its place, so that no file takes its number.
pub fn is_unseen() -> bool {
    let device = |file: File| file.metadata().map(|found| (found.file_type().is_char_device(), found.rdev()));
    let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from).and_then(device);
    let null = File::open("/dev/null").and_then(device);
    stdout.map_or(true, |stdout| null.is_ok_and(|null| null == stdout))
}

/// Prints a value as JSON.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    text(&as_json(value)?)
}

/// A value as JSON, in which no character acts on a terminal.
pub fn as_json(value: &impl Serialize) -> Result<String, Error> {
    let json = serde_json::to_string_pretty(value).map_err(|error| Error::Output(error.into()))?;
    Ok(format!("{}\n", inert(&json)))
}

/// JSON with the same meaning, in which no character but line ends acts on a terminal.
pub fn inert(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && acts_on_terminals(c) {
            // None of them is beyond U+FFFF. They stand in texts only.
            escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Text that somebody else wrote, on one line and with nothing in it that acts on a terminal.
pub fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(acts_on_terminals) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| match acts_on_terminals(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    Cow::Owned(escaped.collect())
}

/// Whether a character is a control character, ends a line, or changes the direction of writing.
fn acts_on_terminals(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A time, to the second, as a column of a table.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Prints rows under their headings, in columns as wide as need be.
pub fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> Result<(), Error> {
    text(&aligned(headings, rows))
}

fn aligned<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<[Cow<'_, str>; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| shown(cell))).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| &*row[column]).chain([headings[column]]);
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let rows = rows.iter().map(|row| line(row.each_ref().map(|cell| &**cell)));
    std::iter::once(line(headings)).chain(rows).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_characters() {
        let rows = [["1".into(), "Ä…".into(), "x".into()], ["22".into(), "Bea".into(), String::new()]];
        assert_eq!(aligned(["ID", "NAME", "Z"], &rows), "ID  NAME  Z\n1   Ä…    x\n22  Bea\n");
    }

    #[test]
    fn what_others_wrote_does_not_act_on_the_terminal() {
        let name = "a\u{1b}[2J\r\nid\t\u{7f}\u{9b}31m\u{202e}b";
        let line = aligned(["NAME"], &[[name.into()]]);
        assert_eq!(line.lines().count(), 2, "{line:?}");
        assert!(!line.replace('\n', "").contains(acts_on_terminals), "{line:?}");
        assert!(line.contains(r"a\u{1b}[2J\r\nid\t"), "{line}");
        let json = as_json(&[name]).unwrap();
        assert!(!json.replace('\n', "").contains(acts_on_terminals), "{json:?}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [name]);
        assert_eq!(shown("Zoë \"Acme\" \\ 💥"), "Zoë \"Acme\" \\ 💥");
    }
}
