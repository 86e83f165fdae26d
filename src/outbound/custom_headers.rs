//! Headers that a subscriber wants with every delivery, such as `Authorization`.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

/// Headers of a subscriber's own; their values are credentials, and are not shown again.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomHeaders(BTreeMap<String, String>);

/// Headers that the server sets, or that belong to the connection (RFC 9110 §7.6.1).
const RESERVED: [&str; 16] = [
    "accept",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
];
/// Beginnings of names that the server sets.
const RESERVED_BEGINNINGS: [&str; 2] = ["webhook-", "x-isao-"];

impl CustomHeaders {
    /// The most headers.
    pub const MAX: usize = 10;
    /// Characters of a value.
    pub const MAX_VALUE: usize = 1024;

    /// Reads an object of texts. The error is a sentence that follows the field's name.
    ///
    /// # Errors
    /// When a name is not a header's, or is the server's to set; when a value is not visible ASCII.
    pub fn parse(value: &Value) -> Result<Self, String> {
        let Value::Object(object) = value else {
            return Err(r#"must be an object of texts, for example {"Authorization": "Bearer …"}"#.to_owned());
        };
        if object.len() > Self::MAX {
            return Err(format!("must not have more than {} headers", Self::MAX));
        }
        let mut headers = BTreeMap::new();
        for (name, value) in object {
            let cut: String = name.chars().take(50).collect();
            let known = HeaderName::try_from(name.as_str());
            let Ok(known) = known else { return Err(format!("has `{cut}`, which is no name of a header")) };
            let is_ours = RESERVED.contains(&known.as_str())
                || RESERVED_BEGINNINGS.iter().any(|begin| known.as_str().starts_with(begin));
            if is_ours {
                return Err(format!("has `{cut}`, which the server sets by itself"));
            }
            let text = value.as_str().map(str::trim).filter(|text| {
                !text.is_empty()
                    && text.len() <= Self::MAX_VALUE
                    && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
            });
            let Some(text) = text else {
                return Err(format!(
                    "has a value of `{cut}` that is not 1 to {} characters of visible ASCII",
                    Self::MAX_VALUE
                ));
            };
            if headers.insert(known.as_str().to_owned(), text.to_owned()).is_some() {
                return Err(format!("has `{cut}` twice"));
            }
        }
        Ok(Self(headers))
    }

    /// Reads them as they are stored, also what a later version would refuse. None if that is no
    /// object of texts.
    pub fn stored(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    /// As they are stored.
    pub fn to_json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_else(|_| "{}".to_owned())
    }

    /// As they are shown: without their values.
    pub fn masked(&self) -> BTreeMap<String, &'static str> {
        self.0.keys().map(|name| (name.clone(), "…")).collect()
    }

    /// Adds them to a request.
    pub fn add_to(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            // Both were checked.
            if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        }
    }
}

/// Without their values.
impl fmt::Debug for CustomHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_is_the_subscribers_to_set_is_taken() {
        let headers = CustomHeaders::parse(&json!({"Authorization": " Bearer a b ", "X-Key": "k"})).unwrap();
        assert_eq!(headers.to_json(), r#"{"authorization":"Bearer a b","x-key":"k"}"#);
        assert_eq!(CustomHeaders::stored(&headers.to_json()), Some(headers.clone()));
        assert_eq!(format!("{headers:?}"), r#"{"authorization", "x-key"}"#);
        let many: Value = (0..11)
            .map(|number| (format!("x-{number}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        for bad in [
            json!([]),
            json!("x"),
            json!({"Content-Type": "text/plain"}),
            json!({"Webhook-Id": "x"}),
            json!({"X-ISAO-Event": "x"}),
            json!({"a b": "x"}),
            json!({"": "x"}),
            json!({"x": ""}),
            json!({"x": 1}),
            json!({"x": "a\r\nb: c"}),
            json!({"x": "é"}),
            json!({"x": "v".repeat(1025)}),
            json!({"X-A": "1", "x-a": "2"}),
            many,
        ] {
            assert!(CustomHeaders::parse(&bad).is_err(), "{bad}");
        }
    }
}
