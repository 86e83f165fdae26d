//! The committed OpenAPI document as the tests read it: operations, their fields, and values
//! that the schema of a field allows or forbids.

use std::collections::HashMap;

use reqwest::Method;
use serde_json::{Map, Value, json};

/// The OpenAPI document.
pub struct Document(Value);

/// An operation of the document.
pub struct Operation {
    pub method: Method,
    pub path: String,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
}

/// A parameter of an operation.
pub struct Parameter {
    /// `query`, `path` or `header`.
    pub place: String,
    pub field: Field,
}

/// The body that an operation reads.
pub struct Body {
    pub fields: Vec<Field>,
    /// The document's example of it.
    pub example: Map<String, Value>,
}

/// A named value with its schema.
#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    /// Without references and without `null` among its types.
    pub schema: Value,
    pub nullable: bool,
    /// The fields of an object; the item of an array.
    pub parts: Vec<Self>,
}

impl Field {
    /// The JSON type: `string`, `integer`, …
    pub fn kind(&self) -> &str {
        self.schema["type"].as_str().unwrap_or_else(|| panic!("{} has no type: {}", self.name, self.schema))
    }

    pub fn format(&self) -> Option<&str> {
        self.schema["format"].as_str()
    }

    /// The only values that there are, if the schema lists them.
    pub fn words(&self) -> Option<Vec<&str>> {
        Some(self.schema["enum"].as_array()?.iter().map(|word| word.as_str().unwrap()).collect())
    }
}

impl Document {
    /// The committed one, which another test holds to the served one.
    pub fn committed() -> Self {
        Self(serde_json::from_str(include_str!("../../../openapi.json")).unwrap())
    }

    pub fn operations(&self) -> Vec<Operation> {
        let mut operations = Vec::new();
        for (path, item) in self.0["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let parameters = operation["parameters"].as_array().into_iter().flatten();
                let parameters = parameters.map(|parameter| Parameter {
                    place: parameter["in"].as_str().unwrap().to_owned(),
                    field: self.field(parameter["name"].as_str().unwrap(), &parameter["schema"]),
                });
                let content = operation.get("requestBody").map(|body| &body["content"]["application/json"]);
                let what = format!("{method} {path}");
                operations.push(Operation {
                    method: method.to_uppercase().parse().unwrap(),
                    path: path.clone(),
                    parameters: parameters.collect(),
                    body: content.map(|content| self.body(&what, &content["schema"])),
                });
            }
        }
        operations
    }

    /// The operation of this method and path.
    pub fn operation(&self, method: &Method, path: &str) -> Operation {
        let mut operations = self.operations().into_iter();
        let found = operations.find(|operation| operation.method == method && operation.path == path);
        found.unwrap_or_else(|| panic!("the document has no {method} {path}"))
    }

    /// The fields of a component's schema.
    pub fn component(&self, name: &str) -> Vec<Field> {
        self.field(name, &self.0["components"]["schemas"][name]).parts
    }

    fn body(&self, what: &str, schema: &Value) -> Body {
        let Field { schema, parts: fields, .. } = self.field(what, schema);
        assert!(!fields.is_empty(), "the body of {what} has no fields");
        let example = schema["example"].as_object();
        let example = example.unwrap_or_else(|| panic!("the body of {what} has no example")).clone();
        Body { fields, example }
    }

    fn field(&self, name: &str, schema: &Value) -> Field {
        let name = name.to_owned();
        if let Some(reference) = schema["$ref"].as_str() {
            let found = self.0.pointer(reference.trim_start_matches('#'));
            return self.field(&name, found.unwrap_or_else(|| panic!("{name}: nothing at {reference}")));
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let mut others = choices.iter().filter(|choice| choice["type"] != "null");
            let only = others.next().filter(|_| others.next().is_none());
            let only =
                only.unwrap_or_else(|| panic!("{name} is one of several types; none is tested: {schema}"));
            let field = self.field(&name, only);
            return Field { nullable: field.nullable || choices.len() > 1, ..field };
        }
        let mut schema = schema.clone();
        let mut nullable = false;
        if let Some(types) = schema["type"].as_array() {
            let others: Vec<_> = types.iter().filter(|name| *name != "null").cloned().collect();
            nullable = others.len() < types.len();
            assert_eq!(others.len(), 1, "{name} has several types; none is tested: {schema}");
            schema["type"] = others[0].clone();
        }
        let mut parts: Vec<_> = schema["properties"].as_object().into_iter().flatten().collect();
        parts.extend(schema.get("items").map(|item| (&name, item)));
        let parts = parts.into_iter().map(|(part, schema)| self.field(part, schema)).collect();
        Field { name, schema, nullable, parts }
    }
}

/// Makes values that the schemas of fields allow, each different from all before.
#[derive(Default)]
pub struct Values {
    /// Ids of records that exist, by the format that they have in the document.
    pub ids: HashMap<&'static str, Vec<String>>,
    made: u16,
    turn: usize,
}

/// Events to choose from.
const EVENTS: [&str; 5] = ["contact.created", "contact.updated", "deal.created", "deal.won", "deal.lost"];

/// Currencies to choose from.
const CURRENCIES: [&str; 3] = ["USD", "CHF", "JPY"];

impl Values {
    /// A value for each of these fields. What has few values takes others than in the turn before.
    pub fn of(&mut self, fields: &[Field]) -> Map<String, Value> {
        let made: Map<_, _> = fields.iter().map(|field| (field.name.clone(), self.value(field))).collect();
        self.turn += 1;
        let many = |field: &&Field| field.words().is_none() && field.kind() != "boolean";
        let mut texts: Vec<_> =
            fields.iter().filter(many).map(|field| made[&field.name].to_string()).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), fields.iter().filter(many).count(), "values repeat: {made:?}");
        made
    }

    fn value(&mut self, field: &Field) -> Value {
        self.made += 1;
        let (number, turn) = (self.made, self.turn % 2);
        if let Some(words) = field.words() {
            return json!(words[words.len().saturating_sub(1 + turn)]);
        }
        let schema = &field.schema;
        match (field.kind(), field.format()) {
            ("string", None) if schema["pattern"].is_null() => json!(self.text(field)),
            ("string", Some("email")) => json!(format!("jane.{number}@example.com")),
            ("string", Some("phone")) => json!(format!("+33 1 00 00 {number:04}")),
            ("string", Some("uri")) => json!(format!("https://example.com/{number}")),
            ("string", Some("date-time")) => {
                json!(format!("2023-{:02}-{:02}T08:30:00.{number:03}Z", number % 12 + 1, number % 28 + 1))
            }
            ("string", Some("event-types")) => json!(EVENTS[usize::from(number) % EVENTS.len()]),
            ("string", Some("currency")) => json!(CURRENCIES[self.turn % CURRENCIES.len()]),
            ("string", Some("secret")) => json!(format!("whsec_{number:032}")),
            ("string", Some("duration-text")) => json!(format!("{number}s")),
            ("string", Some(format)) if self.ids.contains_key(format) => {
                let known = &self.ids[format];
                json!(known[self.turn % known.len()])
            }
            ("number", Some("double")) => json!(f64::from(number) + 0.25),
            ("integer", Some("int32" | "int64")) => {
                let bound = |name: &str| schema[name].as_i64();
                let least = bound("minimum").unwrap_or(0);
                let range = bound("maximum").map_or(1000, |most| most - least + 1);
                json!(least + i64::from(number) % range)
            }
            ("boolean", None) => json!(turn == 0),
            // Words in the order in which they are shown, all or the last of them.
            ("array", None) if field.parts[0].words().is_some() => {
                let words = field.parts[0].words().unwrap_or_default();
                json!(words[turn..])
            }
            ("array", None) => json!([self.value(&field.parts[0]), self.value(&field.parts[0])]),
            ("object", None) if !field.parts.is_empty() => {
                field.parts.iter().map(|part| (part.name.clone(), self.value(part))).collect()
            }
            _ => panic!("no value is known for the field {}, whose schema is {schema}", field.name),
        }
    }

    /// Text of the greatest length that is allowed, of characters that are two bytes each.
    fn text(&self, field: &Field) -> String {
        let begin = format!("{} {}", field.name, self.made);
        let longest =
            field.schema["maxLength"].as_u64().map_or(0, |longest| usize::try_from(longest).unwrap());
        let rest = "é".repeat(longest.saturating_sub(begin.chars().count()));
        format!("{begin}{rest}")
    }
}
