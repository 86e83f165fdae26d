//! The server that a command speaks to: where it is, with which key, and what it answers.

use std::error::Error as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{ClientBuilder, Method, RequestBuilder, Response, redirect};
use serde::Deserialize;
use url::{Host, Url};

use super::error::Error;
use crate::admin::demo;
use crate::database::{DatabaseConfig, DatabaseSource};
use crate::model::api_key::ApiKey;
use crate::outbound::retry::retry_after;

/// For a connection to the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For the head of an answer; a test of a subscription takes 15 s at most.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of an answer that is no stream.
const ANSWER_MAX: usize = 8 * 1024 * 1024;
/// Below the server's address.
const API: &str = "/api/external";

/// Which server, and who asks.
#[derive(Args)]
pub struct ServerArgs {
    /// The address of the server
    #[arg(long, env = "ISAO_URL", value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = parse_url)]
    url: Url,
    /// An API key; what it must be allowed to do stands below
    ///
    /// Without it, if the server is on this machine, the demo key that `isao serve` keeps in its data
    /// directory is used.
    #[arg(long, env = "ISAO_API_KEY", value_name = "KEY", hide_env_values = true, value_parser = parse_key)]
    key: Option<ApiKey>,
    /// The data directory of this machine's `isao serve`, to find its demo key
    #[arg(long, env = "ISAO_DATA_DIR", value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,
}

impl ServerArgs {
    /// The server, with the key that was given or the demo key of this machine.
    pub async fn server(self) -> Result<Server, Error> {
        let is_local = is_loopback(&self.url);
        let key = match self.key {
            Some(key) => key,
            None if is_local => kept_key(self.data_dir).await?.ok_or(Error::NoKey)?,
            None => return Err(Error::NoKey),
        };
        // A proxy of the environment is not asked for this machine itself.
        let client = if is_local { client().no_proxy() } else { client() };
        let client = client.user_agent(concat!("isao-cli/", env!("CARGO_PKG_VERSION")));
        let client = client.build().map_err(|error| Error::Client(cause(&error)))?;
        Ok(Server { url: self.url, key, client })
    }
}

/// The demo key of this machine's server, if this user has one.
async fn kept_key(data_dir: Option<PathBuf>) -> Result<Option<ApiKey>, Error> {
    match (DatabaseConfig { database_url: None, data_dir, pg_bin_dir: None }).source() {
        Ok(DatabaseSource::Embedded { data_dir }) => Ok(demo::kept(&data_dir).await?),
        // Nobody says where it would be.
        Ok(DatabaseSource::Url(_)) | Err(_) => Ok(None),
    }
}

/// A client that follows no redirects, and to which `localhost` is both of its addresses.
pub fn client() -> ClientBuilder {
    // The port is that of the URL.
    let localhost = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    reqwest::Client::builder()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .resolve_to_addrs("localhost", &localhost.map(|address| SocketAddr::new(address, 0)))
}

/// Reads the address of a server or of a receiver.
pub fn parse_url(text: &str) -> Result<Url, String> {
    let form =
        "write http:// or https://, a host, and a port if it is not 80 or 443, such as http://127.0.0.1:8080";
    let mut url = Url::parse(text).map_err(|error| format!("{form} ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(form.to_owned());
    }
    url.set_fragment(None);
    Ok(url)
}

fn parse_key(text: &str) -> Result<ApiKey, &'static str> {
    ApiKey::parse(text.trim())
        .ok_or("is not an API key: they are ck_ (or zap_, make_, whk_, cst_) and 64 hexadecimal digits")
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A server and a key.
pub struct Server {
    url: Url,
    /// With which requests are made.
    pub key: ApiKey,
    client: reqwest::Client,
}

/// Why a request was not answered as it should be.
pub enum Failure {
    /// It may go better later.
    Passing {
        why: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
        /// Was there no server at all?
        unreachable: bool,
    },
    /// It will not.
    Final(Error),
}

/// What errors have.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ErrorBody {
    message: String,
    code: String,
}

impl Server {
    /// The address as a person knows it, without what may be secret in it.
    pub fn shown(&self) -> String {
        let mut url = self.url.clone();
        let _ = url.set_password(None);
        let _ = url.set_username("");
        url.set_query(None);
        let text = url.as_str().trim_end_matches('/');
        text.strip_suffix(API).unwrap_or(text).to_owned()
    }

    /// A request to a route of the API, with these parameters.
    pub fn request(&self, method: Method, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        let url = format!("{}{API}{path}{query}", self.shown());
        self.client.request(method, url).bearer_auth(self.key.reveal())
    }

    /// Sends a request; an answer other than 2xx is a failure.
    pub async fn send(&self, request: RequestBuilder, now: DateTime<Utc>) -> Result<Response, Failure> {
        let passing = |why, unreachable| Failure::Passing { why, retry_after: None, unreachable };
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, request.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(passing(cause(&error), error.is_connect())),
            Err(_) => return Err(passing(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs()), false)),
        };
        if answer.status().is_success() {
            return Ok(answer);
        }
        let status = answer.status().as_u16();
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let retry_after = header("retry-after").and_then(|value| retry_after(value, now));
        let location = header("location").unwrap_or_default().to_owned();
        let body = body(answer).await.unwrap_or_default();
        let body: ErrorBody = serde_json::from_slice(&body).unwrap_or_default();
        let url = self.shown();
        let hint = self.key.hint();
        let message = body.message.trim_end_matches('.').to_owned();
        Err(Failure::Final(match status {
            408 | 429 | 500.. => {
                let why = if message.is_empty() { String::new() } else { format!(": {message}") };
                let why = format!("the server answered {status}{why}");
                return Err(Failure::Passing { why, retry_after, unreachable: false });
            }
            300..400 => Error::NotIsao { url, why: format!("it redirects to {location}") },
            // What is not in the shape of our errors is not ours.
            _ if body.code.is_empty() => Error::NotIsao { url, why: format!("it answered {status}") },
            400 => Error::BadStart { url, message },
            401 => Error::BadKey { url, hint, message },
            403 => Error::Forbidden { url, hint, message },
            410 => Error::Expired { url },
            _ => Error::Refused { url, status, message },
        }))
    }

    /// Posts JSON and reads the `data` of the answer.
    pub async fn post<T: for<'a> Deserialize<'a>>(
        &self,
        path: &str,
        body_sent: &serde_json::Value,
        now: DateTime<Utc>,
    ) -> Result<T, Error> {
        #[derive(Deserialize)]
        struct Answer<T> {
            data: T,
        }
        let request = self.request(Method::POST, path, &[]);
        let request = request.header("content-type", "application/json").body(body_sent.to_string());
        let answer = match self.send(request, now).await {
            Ok(answer) => answer,
            Err(failure) => return Err(self.given_up(failure)),
        };
        let not_isao = |why: String| Error::NotIsao { url: self.shown(), why };
        let bytes = body(answer).await.map_err(not_isao)?;
        let answer: Answer<T> = serde_json::from_slice(&bytes)
            .map_err(|error| not_isao(format!("its answer has another form: {error}")))?;
        Ok(answer.data)
    }

    /// The error for whoever does not wait until it passes.
    pub fn given_up(&self, failure: Failure) -> Error {
        match failure {
            Failure::Final(error) => error,
            Failure::Passing { why, .. } => Error::NoServer { url: self.shown(), cause: why },
        }
    }
}

/// The body of an answer, up to [`ANSWER_MAX`].
pub async fn body(mut answer: Response) -> Result<Vec<u8>, String> {
    let read = async {
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| cause(&error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER_MAX {
                return Err(format!("its answer has more than {} MiB", ANSWER_MAX / 1024 / 1024));
            }
        }
        Ok(bytes)
    };
    let late = format!("its answer was not complete within {} s", ANSWER_TIMEOUT.as_secs());
    tokio::time::timeout(ANSWER_TIMEOUT, read).await.map_err(|_| late)?
}

/// What went wrong at the root, without the URL.
pub fn cause(error: &reqwest::Error) -> String {
    let mut source = error.source();
    let mut text = None;
    while let Some(deeper) = source {
        text = Some(deeper.to_string());
        source = deeper.source();
    }
    text.unwrap_or_else(|| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_the_api_follows_from_that_of_the_server() {
        let key = ApiKey::parse(&format!("ck_{}", "0".repeat(64))).unwrap();
        for (given, asked) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/api/external/events?types=a%2Cb"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/api/external/events?types=a%2Cb"),
            ("https://crm.example/isao/", "https://crm.example/isao/api/external/events?types=a%2Cb"),
            ("https://a:b@crm.example/api/external#x", "https://crm.example/api/external/events?types=a%2Cb"),
        ] {
            let server = Server {
                url: parse_url(given).unwrap(),
                key: key.clone(),
                client: client().build().unwrap(),
            };
            let request = server.request(Method::GET, "/events", &[("types", "a,b")]).build().unwrap();
            assert_eq!(request.url().as_str(), asked, "{given}");
        }
        for bad in ["127.0.0.1:8080", "localhost:8080", "ftp://x", "http://", ""] {
            assert!(parse_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_this_machine_gets_its_demo_key() {
        for (url, local) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]:8080", true),
            ("http://localhost", true),
            ("http://localhost.example", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_url(url).unwrap()), local, "{url}");
        }
    }
}
