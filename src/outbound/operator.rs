//! The HTTP client of the operator: for URLs that whoever runs isao has chosen.
//!
//! Unlike a subscriber's target, such a URL may be anywhere, is reached through the proxy of the
//! environment (`HTTPS_PROXY` and its like), and may redirect.

use std::time::Duration;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("isao/", env!("CARGO_PKG_VERSION"));

/// A client whose requests take at most `timeout`, from connecting to the end of the answer.
///
/// # Errors
/// When there is no TLS, for example because the system's certificates cannot be read.
pub fn client(timeout: Duration) -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .user_agent(USER_AGENT)
        .build()
}
