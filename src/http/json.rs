//! What JSON text tells and a parser does not: how deep it goes, which key an object has twice, and
//! which number a binary float cannot hold.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::model::decimal::exact_decimal;

/// How deep arrays and objects are nested, without recursion. The text need not be JSON.
pub(super) fn depth(json: &str) -> usize {
    let (mut depth, mut deepest, mut in_string, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// The first key that an object of the text has twice, at whatever depth, with the keys that lead to
/// it: `filters.city`. A parser takes one of the two values and says nothing. The text has to be JSON.
pub(super) fn repeated_key(json: &str) -> Option<String> {
    let mut open: Vec<Level<'_>> = Vec::new();
    let mut rest = json;
    while let Some(at) = rest.find(['"', '{', '}', '[', ']', ',']) {
        let (mark, after) = (rest.as_bytes()[at], &rest[at + 1..]);
        rest = after;
        match mark {
            b'{' => open.push(Level { keys: Some(HashSet::new()), key: None }),
            b'[' => open.push(Level { keys: None, key: None }),
            b'}' | b']' => _ = open.pop(),
            b',' => {
                if let Some(level) = open.last_mut() {
                    level.key = None;
                }
            }
            _ => {
                let (text, after) = after.split_at(end_of_string(after));
                rest = after.get(1..).unwrap_or_default();
                let Some(Level { keys: Some(keys), key: key @ None }) = open.last_mut() else { continue };
                let name = unescaped(text);
                *key = Some(name.clone());
                if !keys.insert(name) {
                    let path = open.iter().filter_map(|level| level.key.as_deref());
                    return Some(path.collect::<Vec<_>>().join("."));
                }
            }
        }
    }
    None
}

/// An object or array that is not closed yet.
struct Level<'a> {
    /// The keys so far; None in an array.
    keys: Option<HashSet<Cow<'a, str>>>,
    /// The key whose value is being read.
    key: Option<Cow<'a, str>>,
}

/// Where a string ends whose first quote is in front of the text.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    });
    end.unwrap_or(text.len())
}

/// A key as it is compared; one that is no text is compared as it is written.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(&format!("\"{text}\"")).map_or(Cow::Borrowed(text), Cow::Owned)
}

/// The first number of the text that is another one after it was read as a binary float. The text has
/// to be JSON.
pub fn inexact_number(json: &str) -> Option<&str> {
    let mut rest = json;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[at..];
        if let Some(text) = rest.strip_prefix('"') {
            rest = text.get(end_of_string(text) + 1..).unwrap_or_default();
            continue;
        }
        let end = rest.find(|c: char| !"+-.eE".contains(c) && !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(end);
        let read = serde_json::from_str::<serde_json::Number>(number).map(|read| read.to_string());
        if exact_decimal(number)
            .is_none_or(|exact| read.ok().and_then(|read| exact_decimal(&read)) != Some(exact))
        {
            return Some(number);
        }
        rest = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_text_are_not_depth() {
        assert_eq!(depth(r#"{"a":["[[[\"[["]}"#), 2);
        assert_eq!(depth(&"[".repeat(1000)), 1000);
    }

    #[test]
    fn a_key_that_is_there_twice_is_found_wherever_it_is() {
        for (json, found) in [
            (r#"{"a":1,"a":2}"#, "a"),
            (r#"{"a":{"b":1,"c":2,"b":3}}"#, "a.b"),
            (r#"{"a":[{"b":1},{"b":1,"b":1}]}"#, "a.b"),
            (r#"{"a":[1,{"b":[]}, {}],"c":{},"a":2}"#, "a"),
            (r#"{"a":1,"\u0061":2}"#, "a"),
            (r#"{"\"":1 , "\"" : 2}"#, "\""),
            (r#"{"":1,"":2}"#, ""),
            (r#"[{"a":{}},{"a":"a","a":1}]"#, "a"),
            (r#"{"\ud800":1,"\ud800":2}"#, "\\ud800"),
        ] {
            assert_eq!(repeated_key(json).as_deref(), Some(found), "{json}");
        }
        for json in [
            r#"{"a":1,"b":"a","c":["a","a"],"d":{"a":1,"d":{"a":1}}}"#,
            r#"[{"a":1},{"a":2}]"#,
            r#"{"a":"{\"a\":1,\"a\":2}","b":"\\","c":"\""}"#,
            r#"["a","a"]"#,
            r#"{"a":{},"A":{}}"#,
            "{}",
            "1",
            r#""""#,
        ] {
            assert_eq!(repeated_key(json), None, "{json}");
        }
    }

    #[test]
    fn numbers_that_a_float_changes_are_found() {
        for json in ["999999999999999.999999", r#"{"value":[1,"2",123456789.0123456789]}"#, "1e-30", "1e40"] {
            assert!(inexact_number(json).is_some(), "{json}");
        }
        for json in [
            r#"{"value":[1,-2.50,1e2,0.1,12345678901234567e-2],"a":"999999999999999.999999","b":null}"#,
            "9223372036854775807",
            "0",
            "[]",
        ] {
            assert_eq!(inexact_number(json), None, "{json}");
        }
    }
}
