//! What every page needs for protection: where a request comes from, which headers its answer has, and
//! how often somebody may try to sign in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Nothing but what this server sends: no script or style within a page, no other host, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// Attempts to sign in that may fail, of one address for one account, and of one address.
const FAILURES: [usize; 2] = [5, 50];
/// Within this time.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// The number of addresses and accounts from which old ones are forgotten.
const SWEEP_AT: usize = 10_000;

/// Sees to it that pages of other sites change nothing, and that the answer says how a browser may use it.
pub(super) async fn protect(request: Request, next: Next) -> Response {
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    protected(if safe || is_from_here(request.headers()) {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "This form was sent by another site; nothing was changed.\n").into_response()
    })
}

/// A page with the headers that say how a browser may use it.
pub(super) fn protected(mut response: Response) -> Response {
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Is the request a browser's that wants a page? Programs name no kind, or JSON.
pub(super) fn prefers_html(headers: &HeaderMap) -> bool {
    let weight = |kind: &str| {
        let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let mut kinds = accepted.flat_map(|value| value.split(',')).filter_map(|one| {
            let mut parts = one.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(kind))?;
            let weight = parts.find_map(|part| part.strip_prefix("q=")).unwrap_or("1");
            Some(weight.parse::<f32>().unwrap_or(0.0))
        });
        kinds.next().unwrap_or(0.0)
    };
    let html = weight("text/html");
    html > 0.0 && html >= weight("application/json")
}

/// Was the request made by a page of ours? Browsers say so: `Sec-Fetch-Site`, and older ones `Origin`.
fn is_from_here(headers: &HeaderMap) -> bool {
    match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => {
            let origin = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
            let origin = origin.and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
            let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
            origin.is_some() && origin == host
        }
    }
}

/// Did the browser speak TLS, as far as a proxy says so?
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}

/// Counts attempts to sign in that failed. An account is not locked: whoever tries from elsewhere is
/// counted elsewhere.
#[derive(Default)]
pub(super) struct Throttle(Mutex<HashMap<String, Vec<Duration>>>);

impl Throttle {
    /// May this address try this account now? Then it counts as failed, until it has not. By
    /// [`Clock::monotonic`](crate::clock::Clock::monotonic).
    pub(super) fn begin(&self, address: &str, account: &str, now: Duration) -> bool {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.len() >= SWEEP_AT {
            failed.retain(|_, times| times.iter().any(|time| now.saturating_sub(*time) < WINDOW));
        }
        let allowed = keys(address, account).into_iter().zip(FAILURES).all(|(key, most)| {
            let recent = |times: &Vec<Duration>| {
                times.iter().filter(|time| now.saturating_sub(**time) < WINDOW).count()
            };
            failed.get(&key).map_or(0, recent) < most
        });
        if allowed {
            for (key, most) in keys(address, account).into_iter().zip(FAILURES) {
                let times = failed.entry(key).or_default();
                times.push(now);
                let old = times.len().saturating_sub(most);
                times.drain(..old);
            }
        }
        allowed
    }

    /// The attempt did not fail.
    pub(super) fn succeeded(&self, address: &str, account: &str, now: Duration) {
        let mut failed = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys(address, account) {
            if let Some(times) = failed.get_mut(&key)
                && let Some(at) = times.iter().rposition(|time| *time == now)
            {
                times.remove(at);
            }
        }
    }
}

fn keys(address: &str, account: &str) -> [String; 2] {
    [format!("{address} {}", account.chars().take(255).collect::<String>()), address.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn only_our_own_pages_change_anything() {
        for (told, ours) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://x"), ("host", "x")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://a:8080"), ("host", "a:8080")], true),
            (&[("origin", "http://b"), ("host", "a")], false),
            (&[("origin", "null"), ("host", "a")], false),
            (&[("host", "a")], false),
        ] {
            assert_eq!(is_from_here(&headers(told)), ours, "{told:?}");
        }
    }

    #[test]
    fn a_page_is_for_whoever_asks_for_html_rather_than_json() {
        for (accepts, html) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true),
            ("application/json;q=0.9, TEXT/HTML", true),
            ("application/json, text/html;q=0.5", false),
            ("text/html;q=0", false),
            ("text/html;q=x", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(prefers_html(&headers(&[("accept", accepts)])), html, "{accepts}");
        }
        assert!(!prefers_html(&headers(&[])));
    }

    #[test]
    fn whoever_fails_too_often_waits_and_the_owner_elsewhere_does_not() {
        let throttle = Throttle::default();
        let at = |minutes: u64| Duration::from_secs(60 * minutes);
        for _ in 0..5 {
            assert!(throttle.begin("10.0.0.1", "anna@x", at(0)));
        }
        assert!(!throttle.begin("10.0.0.1", "anna@x", at(14)));
        assert!(throttle.begin("10.0.0.2", "anna@x", at(1)) && throttle.begin("10.0.0.1", "ben@x", at(1)));
        assert!(throttle.begin("10.0.0.1", "anna@x", at(15)));
        for number in 0..50 {
            throttle.begin("10.0.0.3", &number.to_string(), at(20));
        }
        assert!(!throttle.begin("10.0.0.3", "ben@x", at(21)));
        for number in 0..100 {
            let now = Duration::from_secs(number);
            assert!(throttle.begin("10.0.0.4", "anna@x", now), "{number}");
            throttle.succeeded("10.0.0.4", "anna@x", now);
        }
    }
}
