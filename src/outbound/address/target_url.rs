//! The URL a subscriber asks us to deliver to.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

/// The longest target URL in bytes; longer ones break proxies and indexes.
pub const TARGET_URL_MAX_BYTES: usize = 2048;

/// Characters between two dots of a host name (RFC 1035 §2.3.4).
const LABEL_MAX: usize = 63;
/// Characters of a host name, as it is written, without a dot at the end.
const NAME_MAX: usize = 253;

/// An absolute http or https URL, without credentials.
///
/// Shows the text as the subscriber wrote it; what is connected to is the parsed
/// URL. `Debug` shows only the origin, because whoever knows the whole URL of a
/// hook may usually call it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    text: String,
    url: Url,
    host: Host,
}

/// Why a text is not a [`TargetUrl`]; each message completes "the URL …".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum TargetUrlError {
    #[error("is longer than {TARGET_URL_MAX_BYTES} bytes")]
    TooLong,
    #[error("contains a control character")]
    ControlCharacter,
    #[error("is not an absolute URL such as https://example.com/hook ({0})")]
    Malformed(#[from] url::ParseError),
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("must not contain a user name or password")]
    Credentials,
    #[error("must name a host, in letters, digits, hyphens and dots")]
    HostName,
    #[error(
        "must name a host whose labels, between the dots, have 1 to {LABEL_MAX} characters and {NAME_MAX} in all"
    )]
    HostLength,
    #[error("must not name port 0")]
    Port,
}

impl TargetUrl {
    /// Reads a URL that was accepted once, perhaps when there were fewer rules about names. One that no name
    /// server knows fails like any other name that does not resolve.
    pub fn stored(text: &str) -> Result<Self, TargetUrlError> {
        Self::read(text)
    }

    /// The text as the subscriber wrote it, without surrounding spaces.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL to connect to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        &self.url[url::Position::BeforeHost..url::Position::BeforePath]
    }

    /// The host to connect to: an address in whatever spelling it was written, or a name.
    pub fn host(&self) -> &Host {
        &self.host
    }
}

impl FromStr for TargetUrl {
    type Err = TargetUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let target = Self::read(text)?;
        match &target.host {
            Host::Domain(name) if !has_name_lengths(name) => Err(TargetUrlError::HostLength),
            _ => Ok(target),
        }
    }
}

/// Whether a name has the lengths of a name. One dot at the end stands for the root.
fn has_name_lengths(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.len() <= NAME_MAX && name.split('.').all(|label| (1..=LABEL_MAX).contains(&label.len()))
}

impl TargetUrl {
    fn read(text: &str) -> Result<Self, TargetUrlError> {
        let text = text.trim();
        if text.len() > TARGET_URL_MAX_BYTES {
            return Err(TargetUrlError::TooLong);
        }
        // The parser drops tabs and line ends silently: the text shown would not
        // be the URL connected to.
        if text.contains(char::is_control) {
            return Err(TargetUrlError::ControlCharacter);
        }
        let url = Url::parse(text)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(TargetUrlError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetUrlError::Credentials);
        }
        if url.port() == Some(0) {
            return Err(TargetUrlError::Port);
        }
        let host = url.host().ok_or(TargetUrlError::HostName)?.to_owned();
        // The URL standard lets pass what HTTP does not, such as `{host}`; by now
        // letters of other scripts are ASCII (punycode).
        if let Host::Domain(name) = &host
            && !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        {
            return Err(TargetUrlError::HostName);
        }
        Ok(Self { text: text.to_owned(), url, host })
    }
}

impl fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TargetUrl({}/…)", self.url.origin().ascii_serialization())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_and_the_url_is_normal() {
        for (text, url) in [
            ("https://hooks.example.com/a/b?c=d", "https://hooks.example.com/a/b?c=d"),
            ("  HTTPS://Hooks.Example.COM:443 ", "https://hooks.example.com/"),
            ("http://example.com:8080/", "http://example.com:8080/"),
            ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
            ("http://0x7f.1/", "http://127.0.0.1/"),
            ("http://[::1]:9/", "http://[::1]:9/"),
        ] {
            let target: TargetUrl = text.parse().unwrap();
            assert_eq!(target.to_string(), text.trim());
            assert_eq!(target.url().as_str(), url);
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        use TargetUrlError::*;
        let longest = format!("https://example.com/{}", "a".repeat(TARGET_URL_MAX_BYTES - 20));
        assert!(longest.parse::<TargetUrl>().is_ok());
        let too_long = format!("{longest}a");
        for (text, error) in [
            ("", Malformed(url::ParseError::RelativeUrlWithoutBase)),
            ("example.com/hook", Malformed(url::ParseError::RelativeUrlWithoutBase)),
            ("{{bundle.targetUrl}}", Malformed(url::ParseError::RelativeUrlWithoutBase)),
            ("https://", Malformed(url::ParseError::EmptyHost)),
            ("http://example.com:99999/", Malformed(url::ParseError::InvalidPort)),
            ("http://256.0.0.1/", Malformed(url::ParseError::InvalidIpv4Address)),
            ("http://[fe80::1%25eth0]/", Malformed(url::ParseError::InvalidIpv6Address)),
            ("http://a b/", Malformed(url::ParseError::IdnaError)),
            ("ftp://example.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("mailto:a@example.com", Scheme),
            ("localhost:8080/hook", Scheme),
            ("https://{{host}}/hook", HostName),
            ("http://a`b.example/", HostName),
            ("http://user@example.com/", Credentials),
            ("http://user:password@example.com/", Credentials),
            ("http://:password@example.com/", Credentials),
            ("http://example.com:0/", Port),
            ("http://example.com/\0", ControlCharacter),
            ("http://exam\nple.com/", ControlCharacter),
            ("http://example.com/\u{7f}", ControlCharacter),
            (&too_long, TooLong),
            ("http://localhost..", HostLength),
            ("http://.", HostLength),
            ("http://..", HostLength),
            ("http://.example.com/", HostLength),
            ("http://a..example.com/", HostLength),
            (&format!("http://{}.example/", "a".repeat(64)), HostLength),
            (&format!("http://{}", "a.".repeat(128)), HostLength),
            (&format!("http://{}.example/", "ü".repeat(60)), HostLength),
        ] {
            assert_eq!(text.parse::<TargetUrl>(), Err(error), "{text:?}");
        }
    }

    #[test]
    fn names_may_be_as_long_as_names_are() {
        for text in [
            format!("http://{}.example/", "a".repeat(63)),
            format!("http://{}a", "a.".repeat(126)),
            format!("http://{}a.", "a.".repeat(126)),
            "http://example.com./".to_owned(),
            "http://a/".to_owned(),
        ] {
            assert!(text.parse::<TargetUrl>().is_ok(), "{text}");
        }
        // What was subscribed earlier still parses.
        assert!(TargetUrl::stored("http://localhost..").is_ok());
        assert!(TargetUrl::stored("ftp://example.com/").is_err());
    }

    #[test]
    fn debug_shows_no_more_than_the_origin() {
        let target: TargetUrl = "https://hooks.example.com/s3cret?key=s3cret".parse().unwrap();
        assert_eq!(format!("{target:?}"), "TargetUrl(https://hooks.example.com/…)");
    }
}
