//! Fields of bodies that nobody knows: ignored, but not silently.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use utoipa::openapi::OpenApi;

/// Unknown fields that are named; the rest are counted.
const MAX_NAMED: usize = 20;
/// Bytes of an answer to a write, at most; all are made in memory.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// Characters of a name.
const NAME_CHARS: usize = 50;

/// The fields of the body of every route and method, as the OpenAPI document has them.
pub struct KnownFields {
    /// By the whole path.
    fields: HashMap<String, HashMap<Method, Arc<[String]>>>,
}

impl KnownFields {
    /// Reads them from the document, whose paths are below `base`.
    pub fn new(base: &str, document: &OpenApi) -> Self {
        let document = serde_json::to_value(document).unwrap_or_default();
        let mut fields: HashMap<_, HashMap<_, _>> = HashMap::new();
        for (path, item) in document["paths"].as_object().into_iter().flatten() {
            for (method, operation) in item.as_object().into_iter().flatten() {
                let body = &operation["requestBody"]["content"]["application/json"]["schema"];
                // Where the body may be left out, it is one of two: the other is null.
                let reference = body["$ref"]
                    .as_str()
                    .or_else(|| body["oneOf"].as_array()?.iter().find_map(|choice| choice["$ref"].as_str()));
                let schema = reference.and_then(|at| document.pointer(at.trim_start_matches('#')));
                let properties = schema.and_then(|schema| schema["properties"].as_object());
                if let (Some(properties), Ok(method)) = (properties, method.to_uppercase().parse()) {
                    let of_path = fields.entry(format!("{base}{path}")).or_default();
                    of_path.insert(method, properties.keys().cloned().collect());
                }
            }
        }
        Self { fields }
    }
}

/// Where the reader of a body leaves the fields that it does not know.
#[derive(Clone)]
pub(super) struct Unknown {
    known: Arc<[String]>,
    found: Arc<Mutex<Vec<String>>>,
}

impl Unknown {
    /// Looks for unknown fields in a body that is a JSON object.
    pub(super) fn look(&self, json: &str) {
        let Ok(fields) = serde_json::Deserializer::from_str(json).deserialize_map(Names) else { return };
        let unknown = fields.into_iter().filter(|field| !self.known.contains(field));
        self.found.lock().unwrap_or_else(PoisonError::into_inner).extend(unknown);
    }

    /// One sentence for each.
    fn sentences(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let named = found.iter().take(MAX_NAMED).map(|field| {
            let name: String = field.chars().take(NAME_CHARS).collect();
            format!("The field `{name}` is not known and was ignored; known are: {}", self.known.join(", "))
        });
        let rest = found.len().checked_sub(MAX_NAMED).filter(|rest| *rest > 0);
        named.chain(rest.map(|rest| format!("{rest} more fields are not known and were ignored"))).collect()
    }
}

/// Reads the names of an object's fields.
struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<String>, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            names.push(name);
        }
        Ok(names)
    }
}

/// The layer around every route: names unknown fields in the answer, as `warnings`.
pub async fn warn(
    State(known): State<Arc<KnownFields>>,
    path: MatchedPath,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(fields) = known.fields.get(path.as_str()).and_then(|of_path| of_path.get(request.method()))
    else {
        return next.run(request).await;
    };
    let unknown = Unknown { known: fields.clone(), found: Arc::default() };
    request.extensions_mut().insert(unknown.clone());
    let response = next.run(request).await;
    let sentences = unknown.sentences();
    if sentences.is_empty() { response } else { with_warnings(response, sentences).await }
}

async fn with_warnings(response: Response, sentences: Vec<String>) -> Response {
    let (mut parts, body) = response.into_parts();
    let Ok(bytes) = to_bytes(body, MAX_ANSWER).await else {
        return Response::from_parts(parts, Body::empty());
    };
    let object = bytes.strip_suffix(b"}").filter(|object| object.len() > 1);
    let Some(object) = object else { return Response::from_parts(parts, Body::from(bytes)) };
    let mut text = object.to_vec();
    text.extend_from_slice(br#","warnings":"#);
    text.extend_from_slice(Value::from(sentences).to_string().as_bytes());
    text.push(b'}');
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(text.len()));
    Response::from_parts(parts, Body::from(text))
}
