//! The page: read from the document once, rendered once for each language and host.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use askama::Template;
use axum::http::HeaderValue;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::operation::Operation;
use super::prose::Prose;
use super::schema::{Field, Schemas};
use crate::dashboard::language::Reader;
use crate::dashboard::page::Page;
use crate::dashboard::{Failure, assets};

/// The most rendered pages that are kept: whoever asks chooses the host.
const MAX_KEPT: usize = 16;

/// The reference.
pub(in crate::dashboard) struct Reference {
    document: String,
    contents: OnceLock<Contents>,
    kept: Mutex<HashMap<(Reader, String), Arc<Rendered>>>,
}

/// A page as it is sent.
pub(super) struct Rendered {
    pub(super) html: Bytes,
    pub(super) compressed: Bytes,
    pub(super) tag: HeaderValue,
}

/// What the document says.
struct Contents {
    title: String,
    about: Prose,
    /// Where the API is, on this server.
    base: String,
    groups: Vec<Group>,
    webhooks: Vec<Operation>,
    error: Vec<Field>,
}

/// The operations of a tag.
struct Group {
    name: String,
    about: Prose,
    operations: Vec<Operation>,
}

impl Group {
    fn anchor(&self) -> String {
        format!("tag-{}", self.name.replace(' ', "-"))
    }
}

#[derive(Template)]
#[template(path = "docs/page.html")]
struct Shown<'a> {
    page: Page,
    contents: &'a Contents,
    /// The URL of the API.
    api: String,
    style: String,
    script: String,
}

impl Reference {
    /// What the text of an OpenAPI document says.
    pub(in crate::dashboard) fn new(document: String) -> Self {
        Self { document, contents: OnceLock::new(), kept: Mutex::default() }
    }

    /// The page as somebody reads it, for the server at the URL `site`.
    pub(super) fn page(&self, reader: Reader, site: &str) -> Result<Arc<Rendered>, Failure> {
        let key = (reader, site.to_owned());
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(page) = kept {
            return Ok(page);
        }
        let page = Arc::new(self.render(reader, site)?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= MAX_KEPT {
            kept.clear();
        }
        kept.insert(key, page.clone());
        Ok(page)
    }

    fn render(&self, reader: Reader, site: &str) -> Result<Rendered, Failure> {
        let contents = match self.contents.get() {
            Some(contents) => contents,
            None => {
                let contents = Contents::read(&serde_json::from_str(&self.document)?);
                self.contents.get_or_init(|| contents)
            }
        };
        let html = Shown {
            page: Page::new(reader, None, "docs", reader.texts().reference.to_owned()),
            api: format!("{site}{}", contents.base),
            contents,
            style: assets::address("docs.css"),
            script: assets::address("docs.js"),
        }
        .render()?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(html.as_bytes())?;
        let hash = Sha256::digest(&html);
        let tag: String = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Rendered {
            compressed: encoder.finish()?.into(),
            // Weak: it is the same for the compressed page.
            tag: HeaderValue::from_str(&format!("W/\"{tag}\"")).map_err(axum::http::Error::from)?,
            html: html.into(),
        })
    }
}

impl Contents {
    fn read(document: &Value) -> Self {
        let schemas = Schemas::new(document);
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let mut groups: Vec<Group> = Vec::new();
        for tag in document["tags"].as_array().into_iter().flatten() {
            let text = |key: &str| tag[key].as_str().unwrap_or_default();
            groups.push(Group {
                name: text("name").to_owned(),
                about: Prose::read(text("description")),
                operations: Vec::new(),
            });
        }
        for (path, method, operation) in operations(&document["paths"]) {
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            let read = Operation::read(&schemas, path, method, operation);
            match groups.iter_mut().find(|group| group.name == tag) {
                Some(group) => group.operations.push(read),
                // A tag that the document does not list.
                None => groups.push(Group {
                    name: tag.to_owned(),
                    about: Prose::read(""),
                    operations: vec![read],
                }),
            }
        }
        let webhooks = operations(&document["webhooks"]).map(|(event, method, operation)| {
            let mut read = Operation::read(&schemas, event, method, operation);
            // All are headers, and their heading says so.
            read.parameters.iter_mut().for_each(|header| header.place.clear());
            read
        });
        Self {
            title: text("/info/title").to_owned(),
            about: Prose::read(text("/info/description")),
            base: text("/servers/0/url").to_owned(),
            groups,
            webhooks: webhooks.collect(),
            error: schemas.fields(&document["components"]["schemas"]["Error"]),
        }
    }
}

/// Path or event type, method, and operation.
fn operations(items: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let items = items.as_object().into_iter().flatten();
    items.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        let operations = methods.filter(|(_, operation)| operation.get("operationId").is_some());
        operations.map(move |(method, operation)| (&**path, &**method, operation))
    })
}
