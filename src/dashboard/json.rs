//! JSON, for people.

/// JSON that is valid, over several lines for people. Nothing in it changes, least of all numbers.
pub(super) fn pretty(json: &str) -> String {
    let mut text = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    let line = |text: &mut String, depth: usize| {
        text.push('\n');
        text.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = json.chars().peekable();
    while let Some(char) = rest.next() {
        if in_string {
            text.push(char);
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
            continue;
        }
        match char {
            '{' | '[' if matches!(rest.peek(), Some('}' | ']')) => text.push(char),
            '{' | '[' => {
                depth += 1;
                text.push(char);
                line(&mut text, depth);
            }
            '}' | ']' => {
                if !text.ends_with(['{', '[']) {
                    depth = depth.saturating_sub(1);
                    line(&mut text, depth);
                }
                text.push(char);
            }
            ',' => {
                text.push(char);
                line(&mut text, depth);
            }
            ':' => text.push_str(": "),
            char if char.is_whitespace() => {}
            char => {
                in_string = char == '"';
                text.push(char);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_broken_into_lines_and_nothing_else_happens_to_it() {
        let json = r#"{"a":1.000000000000000000001,"b":{},"c":["x,\"{y\\",[]],"d":null}"#;
        let lines = "{\n  \"a\": 1.000000000000000000001,\n  \"b\": {},\n  \"c\": [\n    \"x,\\\"{y\\\\\",\n    []\n  ],\n  \"d\": null\n}";
        assert_eq!(pretty(json), lines);
        assert_eq!(pretty(""), "");
    }
}
