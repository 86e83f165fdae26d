//! Text in the cells of a CSV file that somebody may open in a spreadsheet.
//!
//! Spreadsheets take text that begins like a formula for one, and would do what it says. So an apostrophe
//! is put in front of such text, and is taken away again when the file is read. Source: OWASP, "CSV
//! Injection".

use std::borrow::Cow;

/// The text as it is written to a cell.
pub fn protected(text: &str) -> Cow<'_, str> {
    if is_formula(text) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

/// The text of a cell, without what [`protected`] put in front of it.
pub fn unprotected(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| is_formula(text)).unwrap_or(cell)
}

/// Returns whether text begins like a formula, perhaps behind apostrophes: text that is protected, or
/// looks so by itself, gets one more.
fn is_formula(text: &str) -> bool {
    text.trim_start_matches('\'').starts_with(['=', '+', '-', '@', '\t', '\r'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_protected_and_read_back() {
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+33 1", "'+33 1"),
            ("-x", "'-x"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("'=1", "''=1"),
            ("''", "''"),
            ("'s-Hertogenbosch", "'s-Hertogenbosch"),
            ("Jane", "Jane"),
            ("", ""),
        ] {
            assert_eq!(protected(text), cell);
            assert_eq!(unprotected(cell), text);
        }
    }
}
