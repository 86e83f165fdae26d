//! The API reference, made from the OpenAPI document that the server serves. It is for everyone: there
//! is nothing in it that the document does not say, so nobody has to sign in, and no database is asked.

mod curl;
mod operation;
mod prose;
mod reference;
mod schema;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use super::guard::is_secure;
use super::{Dashboard, page, reader};

pub(super) use reference::Reference;

/// Where it is.
pub(super) const PATH: &str = "/docs";
/// Browsers ask whether their copy is good each time.
const KEPT: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What the page depends on beside the path and the host.
const VARY: HeaderValue = HeaderValue::from_static("accept-encoding, accept-language, cookie");

/// The page, in the reader's language and with this server's own URL.
pub(super) async fn show(State(dashboard): State<Dashboard>, request: Request) -> Response {
    let headers = request.headers();
    let reader = reader(headers, None);
    let site = site(headers, request.uri().authority().map(|authority| authority.as_str()));
    let page = match dashboard.reference.page(reader, &site) {
        Ok(page) => page,
        Err(error) => return page::failure(reader, None, &error),
    };
    let told = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (tag, html) = (page.tag.clone(), HeaderValue::from_static("text/html; charset=utf-8"));
    let common = [(header::ETAG, tag), (header::CACHE_CONTROL, KEPT), (header::VARY, VARY)];
    if headers.get(header::IF_NONE_MATCH) == Some(&page.tag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let common = (common, [(header::CONTENT_TYPE, html)]);
    if told(header::ACCEPT_ENCODING).is_some_and(takes_gzip) {
        let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
        return (common.0, common.1, encoding, page.compressed.clone()).into_response();
    }
    (common.0, common.1, page.html.clone()).into_response()
}

fn takes_gzip(encodings: &str) -> bool {
    encodings.split(',').any(|one| {
        let (name, weight) = one.split_once(';').unwrap_or((one, ""));
        name.trim().eq_ignore_ascii_case("gzip")
            && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

/// The URL by which the reader reached this server. It goes into lines for a shell, so whatever a host
/// cannot be is not taken over.
pub(super) fn site(headers: &HeaderMap, authority: Option<&str>) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(authority);
    let plain = |host: &&str| {
        (1..=255).contains(&host.len())
            && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    };
    let scheme = if is_secure(headers) { "https" } else { "http" };
    format!("{scheme}://{}", host.filter(plain).unwrap_or("localhost"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_host_becomes_a_part_of_a_line_for_a_shell() {
        let site = |host: &'static str| {
            site(&[(header::HOST, HeaderValue::from_static(host))].into_iter().collect(), None)
        };
        assert_eq!(site("crm.example:8443"), "http://crm.example:8443");
        assert_eq!(site("[::1]:80"), "http://[::1]:80");
        for host in ["", "a\"b", "a$(b)", "a`b`", "a b", "<b>"] {
            assert_eq!(site(host), "http://localhost", "{host}");
        }
    }

    #[test]
    fn a_browser_says_whether_it_takes_a_compressed_page() {
        assert!(takes_gzip("br, gzip;q=0.8") && takes_gzip("gzip"));
        assert!(!takes_gzip("br") && !takes_gzip("gzip;q=0, br") && !takes_gzip(""));
    }
}
