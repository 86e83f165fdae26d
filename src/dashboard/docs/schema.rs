//! The schemas of the OpenAPI document, as lists of fields and as examples.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::prose::Prose;

/// How deep fields within fields are followed: a schema may lead to itself.
const MAX_DEPTH: usize = 6;
/// Bounds of values, by the names that JSON Schema has for them.
const BOUNDS: [&str; 8] =
    ["minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "default"];

/// A field of a body, or a parameter.
pub(in crate::dashboard) struct Field {
    /// What it is in: `data.`, or nothing.
    pub(in crate::dashboard) within: String,
    pub(in crate::dashboard) name: String,
    /// `query`, `header` or `path` of a parameter.
    pub(in crate::dashboard) place: String,
    pub(in crate::dashboard) kind: String,
    pub(in crate::dashboard) required: bool,
    pub(in crate::dashboard) about: Prose,
    pub(in crate::dashboard) bounds: Vec<String>,
    /// The only values that there are.
    pub(in crate::dashboard) words: Vec<String>,
    /// The events that it may be, and where they are described.
    pub(in crate::dashboard) events: Vec<(String, String)>,
    pub(in crate::dashboard) example: Option<String>,
}

/// The schemas of a document.
pub(super) struct Schemas<'a> {
    document: &'a Value,
    /// By the reference of an event's schema: where the event is described.
    events: BTreeMap<&'a str, &'a str>,
}

/// A schema with its references followed.
struct Flat {
    map: Map<String, Value>,
    nullable: bool,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(document: &'a Value) -> Self {
        let webhooks = document["webhooks"].as_object().into_iter().flat_map(Map::values);
        let events = webhooks.filter_map(|item| {
            let operation = &item["post"];
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            Some((schema["$ref"].as_str()?, operation["operationId"].as_str()?))
        });
        Self { document, events: events.collect() }
    }

    /// Follows references, and puts the parts of a schema together.
    fn flat(&self, schema: &Value) -> Flat {
        let mut map = schema.as_object().cloned().unwrap_or_default();
        let mut nullable = false;
        for _ in 0..MAX_DEPTH {
            if let Some(Value::String(reference)) = map.shift_remove("$ref") {
                let found = self.document.pointer(reference.trim_start_matches('#'));
                merge(&mut map, found.unwrap_or(&Value::Null));
            } else if let Some(Value::Array(parts)) = map.shift_remove("allOf") {
                for part in parts {
                    merge(&mut map, &Value::Object(self.flat(&part).map));
                }
            } else if let Some(Value::Array(choices)) = map.get("oneOf") {
                let is_null = |choice: &&Value| choice["type"] == "null";
                nullable |= choices.iter().any(|choice| is_null(&choice));
                let mut others = choices.iter().filter(|choice| !is_null(choice));
                let (Some(only), None) = (others.next().cloned(), others.next()) else { break };
                map.shift_remove("oneOf");
                merge(&mut map, &only);
            } else {
                break;
            }
        }
        if let Some(Value::Array(types)) = map.get_mut("type") {
            nullable |= types.iter().any(|one| one == "null");
            types.retain(|one| one != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                map.insert("type".into(), only);
            }
        }
        Flat { map, nullable }
    }

    /// The fields of a body.
    pub(super) fn fields(&self, schema: &Value) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(&self.flat(schema).map, "", MAX_DEPTH, &mut fields);
        fields
    }

    fn collect(&self, map: &Map<String, Value>, within: &str, depth: usize, fields: &mut Vec<Field>) {
        let Some(depth) = depth.checked_sub(1) else { return };
        if let Some(items) = map.get("items") {
            let within = format!("{}[].", within.trim_end_matches('.'));
            return self.collect(&self.flat(items).map, &within, depth, fields);
        }
        let required = map.get("required").and_then(Value::as_array);
        for (name, schema) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let required = required.is_some_and(|required| required.iter().any(|one| one == name));
            let mut field = self.field(name, schema, required);
            within.clone_into(&mut field.within);
            fields.push(field);
            self.collect(&self.flat(schema).map, &format!("{within}{name}."), depth, fields);
        }
    }

    /// One field, without those in it.
    pub(super) fn field(&self, name: &str, schema: &Value, required: bool) -> Field {
        let flat = self.flat(schema);
        // What a list may hold is said of the list.
        let items = flat.map.get("items").map(|items| self.flat(items).map).unwrap_or_default();
        let get = |key: &str| flat.map.get(key).or_else(|| items.get(key));
        let list = |key: &str| get(key).and_then(Value::as_array).into_iter().flatten();
        let bounds = BOUNDS.iter().filter_map(|key| Some(format!("{key}: {}", plain(flat.map.get(*key)?))));
        let events = list("oneOf").filter_map(|choice| {
            let anchor = self.events.get(choice["$ref"].as_str()?)?;
            let event = &self.flat(choice).map["properties"]["event"]["enum"][0];
            Some((plain(event), (*anchor).to_owned()))
        });
        let about = flat.map.get("description").and_then(Value::as_str).unwrap_or_default();
        Field {
            within: String::new(),
            name: name.to_owned(),
            place: String::new(),
            kind: self.kind(&flat),
            required,
            about: Prose::read(about),
            bounds: bounds.collect(),
            words: list("enum").map(plain).collect(),
            events: events.collect(),
            example: flat.map.get("example").filter(|value| !value.is_object()).map(plain),
        }
    }

    fn kind(&self, flat: &Flat) -> String {
        let mut kind = match flat.map.get("type") {
            Some(Value::String(kind)) if kind == "array" => {
                let items = flat.map.get("items").map(|items| self.kind(&self.flat(items)));
                format!("{}[]", items.unwrap_or_default())
            }
            Some(Value::String(kind)) => kind.clone(),
            Some(Value::Array(kinds)) => kinds.iter().map(plain).collect::<Vec<_>>().join(" | "),
            _ => "object".to_owned(),
        };
        if let Some(Value::String(format)) = flat.map.get("format") {
            kind = format!("{kind} ({format})");
        }
        if flat.nullable { format!("{kind} | null") } else { kind }
    }

    /// A value that the schema allows.
    pub(super) fn example(&self, schema: &Value) -> Value {
        self.invented(schema, MAX_DEPTH)
    }

    fn invented(&self, schema: &Value, depth: usize) -> Value {
        let map = self.flat(schema).map;
        if let Some(example) = map.get("example").or_else(|| map.get("examples")?.get(0)) {
            return example.clone();
        }
        let Some(depth) = depth.checked_sub(1) else { return Value::Null };
        if let Some(first) = map.get("enum").or_else(|| map.get("const")) {
            return first.get(0).unwrap_or(first).clone();
        }
        if let Some(first) = map.get("oneOf").and_then(|choices| choices.get(0)) {
            return self.sent(first).unwrap_or_else(|| self.invented(first, depth));
        }
        if let Some(items) = map.get("items") {
            return json!([self.invented(items, depth)]);
        }
        if let Some(fields) = map.get("properties").and_then(Value::as_object) {
            let fields = fields.iter().map(|(name, schema)| (name.clone(), self.invented(schema, depth)));
            return Value::Object(fields.collect());
        }
        match (map.get("type").and_then(Value::as_str), map.get("format").and_then(Value::as_str)) {
            (Some("string"), Some("date-time")) => json!("2024-11-08T10:30:00.000Z"),
            (Some("string"), Some("date")) => json!("2024-12-31"),
            (Some("string"), _) => json!("…"),
            (Some("integer" | "number"), _) => map.get("minimum").cloned().unwrap_or_else(|| json!(1)),
            (Some("boolean"), _) => json!(true),
            _ => json!({}),
        }
    }

    /// The example of an event.
    fn sent(&self, choice: &Value) -> Option<Value> {
        let anchor = self.events.get(choice["$ref"].as_str()?)?;
        let mut webhooks = self.document["webhooks"].as_object()?.values();
        let webhook = webhooks.find(|item| item["post"]["operationId"] == **anchor)?;
        webhook["post"]["requestBody"]["content"]["application/json"].get("example").cloned()
    }
}

/// Adds what a schema does not say itself; fields and their being required come together.
fn merge(map: &mut Map<String, Value>, other: &Value) {
    for (key, value) in other.as_object().into_iter().flatten() {
        match (map.get_mut(key), value) {
            (Some(Value::Object(fields)), Value::Object(more)) if key == "properties" => {
                fields.extend(more.clone());
            }
            (Some(Value::Array(required)), Value::Array(more)) if key == "required" => {
                required.extend(more.clone());
            }
            (Some(_), _) => {}
            (None, value) => {
                map.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Text without quotes, other values as JSON.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
