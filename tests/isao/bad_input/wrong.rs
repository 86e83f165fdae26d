//! What is wrong for a field or a parameter, by its schema in the document.

use serde_json::{Value, json};

use crate::support::schema::Field;

/// JSON of every kind. What the schema of a field allows is not wrong for it.
const KINDS: [&str; 9] = ["1", "-1", "1.5", "true", r#""x""#, "{}", "[]", "[[]]", r#"{"a":1}"#];

/// What no field takes: JSON that is no text, no number and no object that anybody means.
const NEVER: [&str; 13] = [
    "1e400",
    "123456789012345678901234567890",
    "[null]",
    r#"["\u0000"]"#,
    r#""\u0000""#,
    r#""https://example.com/\u0000""#,
    r#""a\u0000b@example.com""#,
    r#""\ud800""#,
    r#""\udc00\ud800""#,
    r#"["\ud800"]"#,
    r#"{"tags":"\ud800"}"#,
    r#"{"stage":"\u0000"}"#,
    r#"{"\ud800":1}"#,
];

/// Texts that are no times.
const NO_TIMES: [&str; 15] = [
    "x",
    "yesterday",
    "1731061800",
    "2024-13-01",
    "2024-02-30",
    "2024-11-08T25:00:00Z",
    "2024-11-08T10:30:00+99:00",
    "0000-01-01",
    "10000-01-01",
    "99999-01-01T00:00:00Z",
    "-2024-01-01",
    "+12024-01-01",
    "2024-11-08T10:30:00.000Zx",
    "infinity",
    "now",
];

/// Texts that are no whole numbers, or none that anybody means.
const NO_NUMBERS: [&str; 9] =
    ["x", "1.5", "1e2", "0x10", "9223372036854775808", "99999999999999999999", "1,2", "null", "++1"];

/// Ids of nothing that a field could mean.
const NO_IDS: [&str; 4] = ["x", "contact_", "event_0192f3a4b5c67d8e9f0a1b2c3d4e5f60", "1"];

/// Texts that are wrong by the format.
fn malformed(field: &Field, format: &str) -> &'static [&'static str] {
    match format {
        "date-time" => &NO_TIMES,
        "contact-id" | "member-id" | "record-id" => &NO_IDS,
        // One of nothing is 404.
        "subscription-id" => &[],
        "phone" => &["x", "12", "+"],
        "email" => &["x", "@example.com", "jane@", "jane@exam ple.com", "a@b@c"],
        "uri" => {
            &["x", "example.com/hook", "ftp://example.com/", "https://", "https://{{host}}/", "http://a@b/"]
        }
        "currency" => &["x", "EURO", "AAA", "€"],
        "secret" => &["x", "whsec_", "whsec_AAAA", "whsec_!!!!"],
        "duration-text" => &["x", "8d", "-1h"],
        "cursor" => &[
            "x",
            "AAAA",
            "====",
            "f39_f39_f39_f39_f39_f39_f39_f39_",
            "gICAgICAgICAgICAgICAgICAgICAgICA",
            "f_________8",
            "null",
        ],
        "event-types" => &["x", "deal.won,x", "DEAL.WON"],
        "int32" | "int64" | "double" => &[],
        _ => panic!("nothing is known to be wrong for {}, whose format is {format}", field.name),
    }
}

/// Text that is longer by one character than the field allows, and else as it should be.
fn too_long(field: &Field, longest: usize) -> String {
    let (begin, rest, end) = match field.format() {
        Some("uri") => ("https://example.com/", "x", ""),
        Some("email") => ("", "x", "@example.com"),
        Some("phone") => ("", "1", ""),
        _ => ("", "é", ""),
    };
    format!("{begin}{}{end}", rest.repeat(longest + 1 - begin.len() - end.len()))
}

fn number(schema: &Value, name: &str) -> Option<i64> {
    schema.get(name).map(|value| value.as_i64().unwrap())
}

/// Is JSON text of the kind that a field takes?
fn is_kind(field: &Field, raw: &str) -> bool {
    let within = |number: i64| {
        self::number(&field.schema, "minimum").is_none_or(|least| number >= least)
            && self::number(&field.schema, "maximum").is_none_or(|most| number <= most)
    };
    match serde_json::from_str(raw).unwrap() {
        Value::Number(value) if field.kind() == "integer" => value.as_i64().is_some_and(within),
        // Numbers are taken for texts that say nothing about their form, and for phone numbers.
        Value::Number(_) if field.kind() == "string" && field.words().is_none() => {
            match field.format() {
                // One of nothing is 404.
                None | Some("subscription-id") => true,
                format => format == Some("phone") && raw.len() >= 3,
            }
        }
        Value::Number(_) => field.kind() == "number",
        Value::Bool(_) => field.kind() == "boolean",
        // A list may also come as text, with commas between.
        Value::String(_) => field.kind() == "array" || field.kind() == "string" && field.words().is_none(),
        Value::Array(items) => {
            field.kind() == "array" && (items.is_empty() || field.parts[0].kind() == "array")
        }
        Value::Object(_) => field.kind() == "object",
        Value::Null => field.nullable,
    }
}

/// JSON texts that are wrong for a field of a body.
pub fn in_a_body(field: &Field) -> Vec<String> {
    let schema = &field.schema;
    let mut wrong: Vec<String> =
        KINDS.into_iter().filter(|raw| !is_kind(field, raw)).map(str::to_owned).collect();
    wrong.extend(NEVER.into_iter().map(str::to_owned));
    wrong.push(json!("x".repeat(100_000)).to_string());
    wrong.push(json!((0..10_000).collect::<Vec<_>>()).to_string());
    if !field.nullable {
        wrong.push("null".to_owned());
    }
    let text = |text: &&str| json!(text).to_string();
    wrong.extend(field.format().iter().flat_map(|format| malformed(field, format)).map(text));
    if let Some(longest) = number(schema, "maxLength") {
        wrong.push(json!(too_long(field, longest.try_into().unwrap())).to_string());
    }
    if let Some(most) = number(schema, "maxItems") {
        wrong.push(json!((0..=most).map(|item| item.to_string()).collect::<Vec<_>>()).to_string());
    }
    wrong.extend(number(schema, "minimum").map(|least| (least - 1).to_string()));
    wrong.extend(number(schema, "maximum").map(|most| (most + 1).to_string()));
    if let Some(words) = field.words() {
        wrong.extend([text(&"nothing"), text(&words.join(",").as_str())]);
    }
    // A test sends what it is given.
    if field.kind() == "object" && field.name != "data" {
        wrong.extend(
            [r#"{"a":1}"#, r#"{"stage":[]}"#, r#"{"stage":[[1]]}"#, r#"{"id":{}}"#].map(str::to_owned),
        );
    }
    wrong
}

/// Texts that are wrong for a parameter of a query string, before they are escaped.
pub fn in_a_query(field: &Field) -> Vec<String> {
    let schema = &field.schema;
    let mut wrong: Vec<String> = Vec::new();
    if let Some(words) = field.words() {
        wrong.extend(["x".to_owned(), words.join(","), words[0].to_uppercase()]);
    } else if field.kind() == "integer" {
        wrong.extend(NO_NUMBERS.map(str::to_owned));
        wrong.extend(number(schema, "minimum").map(|least| (least - 1).to_string()));
        wrong.extend(number(schema, "maximum").map(|most| (most + 1).to_string()));
    } else if field.kind() == "boolean" {
        wrong.extend(["maybe", "2", "falsetrue"].map(str::to_owned));
    } else {
        assert_eq!(field.kind(), "string", "nothing is known to be wrong for {}: {schema}", field.name);
        let malformed = field.format().map(|format| malformed(field, format)).unwrap_or_default();
        wrong.extend(malformed.iter().map(|text| (*text).to_owned()));
        if !schema["pattern"].is_null() {
            wrong.extend(["x".to_owned(), "deleted".to_owned(), "ACTIVE".to_owned()]);
        }
    }
    wrong
}
