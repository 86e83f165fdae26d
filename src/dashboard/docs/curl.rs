//! Requests as lines for a shell.

use serde_json::Value;

/// The longest body on one line.
const ONE_LINE: usize = 64;

/// A request, as curl makes it.
pub(in crate::dashboard) struct Curl {
    pub(super) method: String,
    /// With values or variables of the shell in place of its parameters.
    pub(super) path: String,
    pub(super) needs_key: bool,
    /// Does the answer come bit by bit?
    pub(super) is_stream: bool,
    pub(super) body: Option<Value>,
}

impl Curl {
    /// The line, for the API at this URL. The key is the shell's variable `KEY`.
    pub(in crate::dashboard) fn line(&self, api: &str) -> String {
        let stream = if self.is_stream { " -N" } else { "" };
        // What curl does without being told is not said.
        let method = match (&*self.method, &self.body) {
            ("GET", None) | ("POST", Some(_)) => String::new(),
            (method, _) => format!(" -X {method}"),
        };
        let mut line = format!("curl{stream}{method} \"{api}{}\"", self.path);
        if self.needs_key {
            line += " \\\n  -H \"Authorization: Bearer $KEY\"";
        }
        if let Some(body) = &self.body {
            line += " \\\n  -H 'Content-Type: application/json' \\\n  -d ";
            line += &with_variable(&quoted(&json(body)));
        }
        line
    }
}

/// JSON for people: on one line while it is short.
pub(super) fn json(value: &Value) -> String {
    let short = value.to_string();
    if short.len() <= ONE_LINE {
        return short;
    }
    serde_json::to_string_pretty(value).unwrap_or(short)
}

/// Text that the shell leaves alone.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The id of a record that there is not becomes the shell's variable `ID`, as it is in paths.
fn with_variable(body: &str) -> String {
    let mut line = String::new();
    for (number, part) in body.split('"').enumerate() {
        if number > 0 {
            line.push('"');
        }
        line += if is_id(part) { "'\"$ID\"'" } else { part };
    }
    line
}

/// Is it like `sub_0192f3a4b5c67d8e9f0a1b2c3d4e5f60`?
fn is_id(text: &str) -> bool {
    let digits = text.split_once('_').map_or("", |(_, digits)| digits);
    digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_what_curl_does_not_do_by_itself() {
        let mut curl = Curl {
            method: "GET".into(),
            path: "/contacts/$ID".into(),
            needs_key: true,
            is_stream: false,
            body: None,
        };
        let head = "\"http://x/contacts/$ID\" \\\n  -H \"Authorization: Bearer $KEY\"";
        assert_eq!(curl.line("http://x"), format!("curl {head}"));
        curl.body = Some(json!({"id": "sub_0192f3a4b5c67d8e9f0a1b2c3d4e5f60"}));
        assert!(curl.line("").ends_with("-d '{\"id\":\"'\"$ID\"'\"}'"), "{}", curl.line(""));
        curl.method = "PUT".into();
        curl.body = Some(json!({"name": "O'Neil"}));
        assert_eq!(
            curl.line("http://x"),
            format!(
                "curl -X PUT {head} \\\n  -H 'Content-Type: application/json' \\\n  -d '{{\"name\":\"O'\\''Neil\"}}'"
            )
        );
    }
}
