//! Fields of bodies that nobody knows: ignored, but not silently.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

/// Unknown fields that are named; the rest are counted.
const MAX_NAMED: usize = 20;
/// Bytes of an answer to a write, at most; all are made in memory. The largest is to a batch that
/// changes 500 contacts with tags of the greatest length.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// Characters of a name.
const NAME_CHARS: usize = 50;

/// The fields of a body.
#[derive(Clone)]
struct Known {
    body: Arc<[String]>,
    /// Of a batch: the fields of its records.
    record: Option<Arc<[String]>>,
}

/// The field of a batch that has its records.
const RECORDS: &str = "records";

/// The fields of the body of every route and method, as the OpenAPI document has them.
pub struct KnownFields {
    /// By the whole path.
    fields: HashMap<String, HashMap<Method, Known>>,
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
                let properties = reference.and_then(|at| properties_of(&document, at));
                if let (Some(body), Ok(method)) = (properties, method.to_uppercase().parse()) {
                    let record = body.get(RECORDS).and_then(|records| records["items"]["$ref"].as_str());
                    let record = record.and_then(|at| properties_of(&document, at));
                    let names = |fields: &Map<String, Value>| fields.keys().cloned().collect();
                    let known = Known { body: names(body), record: record.map(names) };
                    fields.entry(format!("{base}{path}")).or_default().insert(method, known);
                }
            }
        }
        Self { fields }
    }
}

/// The fields of the schema that a reference leads to.
fn properties_of<'d>(document: &'d Value, reference: &str) -> Option<&'d Map<String, Value>> {
    document.pointer(reference.trim_start_matches('#'))?["properties"].as_object()
}

/// Where the reader of a body leaves the fields that it does not know.
#[derive(Clone)]
pub(super) struct Unknown {
    known: Known,
    found: Arc<Mutex<Found>>,
}

/// The fields that nobody knows.
#[derive(Default)]
struct Found {
    of_body: Vec<String>,
    of_records: BTreeSet<String>,
}

/// The records of a batch, as they were sent.
#[derive(Deserialize)]
struct Records<'a> {
    #[serde(borrow)]
    records: Vec<&'a RawValue>,
}

impl Unknown {
    /// Looks for unknown fields in a body that is a JSON object.
    pub(super) fn look(&self, json: &str) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.of_body.extend(unknown(json, &self.known.body));
        let Some(known) = &self.known.record else { return };
        let Ok(Records { records }) = serde_json::from_str(json) else { return };
        found.of_records.extend(records.into_iter().flat_map(|record| unknown(record.get(), known)));
    }

    /// One sentence for each.
    fn sentences(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let of_body = found.of_body.iter().map(|field| (field, "", &self.known.body));
        let record = self.known.record.as_ref().unwrap_or(&self.known.body);
        let of_records = found.of_records.iter().map(|field| (field, " of records", record));
        let named = of_body.chain(of_records).take(MAX_NAMED).map(|(field, of, known)| {
            let name: String = field.chars().take(NAME_CHARS).collect();
            format!("The field `{name}`{of} is not known and was ignored; known are: {}", known.join(", "))
        });
        let all = found.of_body.len() + found.of_records.len();
        let rest = all.checked_sub(MAX_NAMED).filter(|rest| *rest > 0);
        named.chain(rest.map(|rest| format!("{rest} more fields are not known and were ignored"))).collect()
    }
}

/// The fields of a JSON object that are not known.
fn unknown(json: &str, known: &[String]) -> impl Iterator<Item = String> {
    let fields = serde_json::Deserializer::from_str(json).deserialize_map(Names).unwrap_or_default();
    fields.into_iter().filter(|field| !known.contains(field))
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
