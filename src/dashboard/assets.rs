//! Styles and scripts: in the binary, under names that change with their content, so that browsers
//! may keep them.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use sha2::{Digest as _, Sha256};

use super::BASE;

/// Name, kind and content.
const ASSETS: [(&str, &str, &str); 7] = [
    ("look.css", STYLE, include_str!("assets/look.css")),
    ("page.js", SCRIPT, include_str!("assets/page.js")),
    ("board.js", SCRIPT, include_str!("assets/board.js")),
    ("htmx.js", SCRIPT, include_str!("assets/vendored/htmx-4.0.1.min.js")),
    ("hx-sse.js", SCRIPT, include_str!("assets/vendored/hx-sse-4.0.1.min.js")),
    ("docs.css", STYLE, include_str!("assets/docs.css")),
    ("docs.js", SCRIPT, include_str!("assets/docs.js")),
];
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
/// Digits of the content's hash in a name.
const DIGITS: usize = 12;

/// Where an asset is.
pub(super) fn address(name: &str) -> String {
    let content = ASSETS.iter().find(|asset| asset.0 == name).map_or("", |asset| asset.2);
    format!("{BASE}/assets/{}-{name}", digits(content))
}

fn digits(content: &str) -> String {
    let hash = Sha256::digest(content);
    hash.iter().take(DIGITS / 2).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) async fn serve(Path(name): Path<String>) -> Response {
    let asset = name.split_once('-').and_then(|(hash, name)| {
        ASSETS.iter().find(|(known, _, content)| *known == name && digits(content) == hash)
    });
    let Some((_, kind, content)) = asset else { return StatusCode::NOT_FOUND.into_response() };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    (headers, *content).into_response()
}
