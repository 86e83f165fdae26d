//! The operations of the OpenAPI document: what is asked for, what is sent and what comes back.

use serde_json::{Map, Value};

use super::curl::{Curl, json};
use super::prose::Prose;
use super::schema::{Field, Schemas};

/// What a client may ask of the server, or the server sends to a webhook.
pub(in crate::dashboard) struct Operation {
    /// Its name in the document, and its anchor on the page.
    pub(in crate::dashboard) id: String,
    pub(in crate::dashboard) method: String,
    /// The path, or of a webhook the event type.
    pub(in crate::dashboard) path: String,
    pub(in crate::dashboard) title: String,
    pub(in crate::dashboard) about: Prose,
    pub(in crate::dashboard) needs_key: bool,
    pub(in crate::dashboard) parameters: Vec<Field>,
    pub(in crate::dashboard) body: Option<Content>,
    pub(in crate::dashboard) answers: Vec<Answer>,
    pub(in crate::dashboard) errors: Vec<Answer>,
    pub(in crate::dashboard) curl: Curl,
}

/// A body.
pub(in crate::dashboard) struct Content {
    pub(in crate::dashboard) required: bool,
    pub(in crate::dashboard) fields: Vec<Field>,
    pub(in crate::dashboard) example: String,
}

/// What may come back.
pub(in crate::dashboard) struct Answer {
    pub(in crate::dashboard) status: String,
    pub(in crate::dashboard) about: Prose,
    pub(in crate::dashboard) content: Option<Content>,
}

impl Operation {
    /// Reads the operation `method` of `path`. Keys are needed unless the operation says otherwise.
    pub(super) fn read(schemas: &Schemas<'_>, path: &str, method: &str, operation: &Value) -> Self {
        let text = |key: &str| operation[key].as_str().unwrap_or_default();
        let list = |key: &str| operation[key].as_array().into_iter().flatten();
        let parameters: Vec<_> =
            list("parameters").map(|parameter| read_parameter(schemas, parameter)).collect();
        let needs_key = !list("security").any(|one| one.as_object().is_some_and(Map::is_empty));
        let body = content(schemas, &operation["requestBody"]);
        let responses = operation["responses"].as_object().into_iter().flatten();
        let (answers, errors): (Vec<_>, Vec<_>) = responses
            .map(|(status, response)| Answer {
                status: status.clone(),
                about: Prose::read(response["description"].as_str().unwrap_or_default()),
                // Errors have one shape, which is described once.
                content: content(schemas, response).filter(|_| is_success(status)),
            })
            .partition(|answer| is_success(&answer.status));
        let method = method.to_uppercase();
        let curl = Curl {
            method: method.clone(),
            path: path_for_shell(path, &parameters),
            needs_key,
            is_stream: operation.pointer("/responses/200/content/text~1event-stream").is_some(),
            body: media(&operation["requestBody"]).map(|media| example(schemas, media)),
        };
        Self {
            id: text("operationId").to_owned(),
            method,
            path: path.to_owned(),
            title: text("summary").to_owned(),
            about: Prose::read(text("description")),
            needs_key,
            parameters,
            body,
            answers,
            errors,
            curl,
        }
    }

    /// The colour of its method.
    pub(in crate::dashboard) fn tone(&self) -> &'static str {
        match &*self.method {
            "GET" => "rest",
            "POST" => "good",
            "DELETE" => "bad",
            _ => "warn",
        }
    }

    /// The statuses of its errors, for a heading.
    pub(in crate::dashboard) fn error_statuses(&self) -> String {
        self.errors.iter().map(|error| &*error.status).collect::<Vec<_>>().join(", ")
    }
}

fn is_success(status: &str) -> bool {
    status.starts_with('2')
}

fn read_parameter(schemas: &Schemas<'_>, parameter: &Value) -> Field {
    let text = |key: &str| parameter[key].as_str().unwrap_or_default();
    let required = parameter["required"] == true;
    let mut field = schemas.field(text("name"), &parameter["schema"], required);
    text("in").clone_into(&mut field.place);
    if let Some(about) = parameter["description"].as_str() {
        field.about = Prose::read(about);
    }
    field
}

/// What a body is, whichever kind: there is one kind in each place.
fn media(body: &Value) -> Option<&Value> {
    body["content"].as_object()?.values().next()
}

fn content(schemas: &Schemas<'_>, body: &Value) -> Option<Content> {
    let media = media(body)?;
    let shown = example(schemas, media);
    Some(Content {
        required: body["required"] == true,
        fields: schemas.fields(&media["schema"]),
        // A stream's example is its text.
        example: shown.as_str().map_or_else(|| json(&shown), |text| text.trim_end().to_owned()),
    })
}

fn example(schemas: &Schemas<'_>, media: &Value) -> Value {
    media.get("example").cloned().unwrap_or_else(|| schemas.example(&media["schema"]))
}

/// The path with the first of the words that there are for a parameter, or with a variable for it.
fn path_for_shell(path: &str, parameters: &[Field]) -> String {
    let in_path = parameters.iter().filter(|field| field.place == "path");
    in_path.fold(path.to_owned(), |path, field| {
        let variable = || format!("${}", field.name.to_uppercase());
        let value = field.words.first().cloned().unwrap_or_else(variable);
        path.replace(&format!("{{{}}}", field.name), &value)
    })
}
