//! The OpenAPI document as it is served: what the routes say of themselves, in the form of which
//! code generators make good types.

use serde_json::{Map, Value};
use utoipa::openapi::OpenApi;

/// Where schemas with a name are.
const SCHEMAS: &str = "#/components/schemas/";
/// Words of a schema that hold values, not further schemas.
const VALUES: [&str; 4] = ["default", "enum", "example", "examples"];

/// The document of the routes, with three changes:
///
/// - A schema that repeats one with a name refers to that one. The derived schemas of generic types
///   spell their parameters out; `Answered<Contact>` would have a nameless twin of `Contact`.
/// - An object of which no field is described may have any. Some generators take it for an empty one.
/// - A parameter may be absent, but is never null.
pub(super) fn finish(document: &OpenApi) -> Value {
    let mut document = serde_json::to_value(document).unwrap_or_default();
    let schemas = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut);
    let named = schemas.as_deref().cloned().unwrap_or_default();
    for schema in schemas.into_iter().flat_map(Map::values_mut) {
        finish_within(schema, &named);
    }
    for section in ["paths", "webhooks"] {
        finish_within(&mut document[section], &named);
    }
    document
}

fn finish_within(value: &mut Value, named: &Map<String, Value>) {
    match value {
        Value::Object(object) => {
            if is_of_any_fields(object) {
                object.insert("additionalProperties".to_owned(), true.into());
            }
            if object.contains_key("in") {
                forbid_null(object);
            }
            let words = object.iter_mut().filter(|(word, _)| !VALUES.contains(&word.as_str()));
            words.for_each(|(_, child)| refer(child, named));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| refer(item, named)),
        _ => {}
    }
}

/// Replaces a schema by a reference if it repeats one with a name; otherwise finishes what is in it.
fn refer(value: &mut Value, named: &Map<String, Value>) {
    let is_worth_a_name = ["enum", "oneOf", "properties"].iter().any(|word| value.get(word).is_some());
    match named.iter().find(|(_, schema)| is_worth_a_name && **schema == *value) {
        Some((name, _)) => *value = Value::from_iter([("$ref", format!("{SCHEMAS}{name}"))]),
        None => finish_within(value, named),
    }
}

fn is_of_any_fields(schema: &Map<String, Value>) -> bool {
    let is_object = match schema.get("type") {
        Some(Value::String(one)) => one == "object",
        Some(Value::Array(types)) => types.iter().any(|one| one == "object"),
        _ => false,
    };
    is_object && !schema.contains_key("properties") && !schema.contains_key("additionalProperties")
}

fn forbid_null(parameter: &mut Map<String, Value>) {
    let Some(kind) = parameter.get_mut("schema").and_then(|schema| schema.get_mut("type")) else { return };
    let Some(types) = kind.as_array_mut() else { return };
    types.retain(|one| one != "null");
    if let [only] = types.as_slice() {
        *kind = only.clone();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn finished(mut value: Value) -> Value {
        let contact = json!({"type": "object", "properties": {"id": {"type": "string"}}});
        finish_within(&mut value, &Map::from_iter([("Contact".to_owned(), contact)]));
        value
    }

    #[test]
    fn a_copy_of_a_named_schema_becomes_a_reference_to_it() {
        let contact = json!({"type": "object", "properties": {"id": {"type": "string"}}});
        let other = json!({"type": "object", "properties": {"id": {"type": "integer"}}});
        assert_eq!(
            finished(
                json!({"properties": {"one": contact, "all": {"items": contact}, "other": other}, "example": contact})
            ),
            json!({
                "properties": {
                    "one": {"$ref": "#/components/schemas/Contact"},
                    "all": {"items": {"$ref": "#/components/schemas/Contact"}},
                    "other": other,
                },
                "example": contact,
            })
        );
    }

    #[test]
    fn an_object_without_described_fields_may_have_any() {
        for kind in [json!("object"), json!(["object", "null"])] {
            assert_eq!(finished(json!({"type": kind})), json!({"type": kind, "additionalProperties": true}));
        }
        for described in [
            json!({"type": "object", "properties": {"a": {"type": "string"}}}),
            json!({"type": "object", "additionalProperties": {"type": "string"}}),
            json!({"type": "string", "example": {"type": "object"}}),
        ] {
            assert_eq!(finished(described.clone()), described);
        }
    }

    #[test]
    fn a_parameter_is_never_null() {
        let parameter = |kind| json!([{"name": "If-Match", "in": "header", "schema": {"type": kind}}]);
        assert_eq!(finished(parameter(json!(["string", "null"]))), parameter(json!("string")));
    }
}
