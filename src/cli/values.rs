//! Values of arguments, by the rules that the API has for the same things.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tracing_subscriber::filter::{LevelFilter, Targets};

use crate::http::field::{Email, FromJson, Text};
use crate::model::permission::Permission;
use crate::model::time::{NOT_A_TIME, parse_time};
use crate::model::words::Words;

/// The longest name, in characters.
const NAME_MAX: usize = 200;

/// A name or a description.
pub fn name(text: &str) -> Result<String, String> {
    from_text(text).map(|Text::<NAME_MAX>(name)| name)
}

/// An email address.
pub fn email(text: &str) -> Result<String, String> {
    from_text(text).map(|Email(email)| email)
}

/// A point in time.
pub fn time(text: &str) -> Result<DateTime<Utc>, &'static str> {
    parse_time(text).ok_or(NOT_A_TIME)
}

/// The libraries that speak to receivers and to name servers. A receiver could make them write lines at
/// will, such as an error for each handshake with a bad certificate; what matters of it is recorded with
/// the attempt.
const SPEAK_TO_OTHERS: [&str; 9] = [
    "h2",
    "hickory_net",
    "hickory_proto",
    "hickory_resolver",
    "hyper",
    "hyper_util",
    "reqwest",
    "rustls",
    "rustls_platform_verifier",
];

/// A filter of log lines. Those of [`SPEAK_TO_OTHERS`] are left out, unless the text names the library or
/// wants lines of level debug of everything.
pub fn log_filter(text: &str) -> Result<Targets, String> {
    let asked: Targets = text.parse().map_err(|error| {
        format!("must be a level, or levels by module, such as info,isao::delivery=debug ({error})")
    })?;
    if asked.default_level().is_some_and(|level| level >= LevelFilter::DEBUG) {
        return Ok(asked);
    }
    let quiet = SPEAK_TO_OTHERS.into_iter().map(|library| (library, LevelFilter::OFF));
    // What is asked for comes later, and so replaces what is quiet by itself.
    let filter = Targets::new().with_targets(quiet).with_targets(&asked);
    Ok(match asked.default_level() {
        Some(level) => filter.with_default(level),
        None => filter,
    })
}

fn from_text<T: FromJson>(text: &str) -> Result<T, String> {
    T::from_json(&Value::from(text).to_string())
}

/// Permissions, as a list of names or `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permissions(pub Vec<Permission>);

impl FromStr for Permissions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "all" {
            return Ok(Self(Permission::ALL.into()));
        }
        let names = text.split(',').map(str::trim);
        let mut permissions = names
            .map(|name| {
                Permission::parse(name).ok_or_else(|| {
                    let known = Permission::WORDS.join(", ");
                    format!("{name:?} is not a permission; they are {known}, or all for all of them")
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        permissions.sort();
        permissions.dedup();
        Ok(Self(permissions))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_not_empty() {
        assert_eq!(name(" Acme \"GmbH\" "), Ok("Acme \"GmbH\"".to_owned()));
        assert!(name("").is_err());
        assert!(name(&"x".repeat(NAME_MAX + 1)).is_err());
        assert!(email("nobody").is_err());
    }

    #[test]
    fn receivers_write_no_lines_unless_somebody_wants_them() {
        use tracing::Level;
        for (filter, target, level, written) in [
            ("info,sqlx=warn", "rustls_platform_verifier::verification::others", Level::ERROR, false),
            ("info", "rustls_platform_verifier", Level::ERROR, false),
            ("trace,isao=info,rustls=off", "rustls", Level::ERROR, false),
            ("info", "h2::proto::streams::recv", Level::WARN, false),
            ("info", "hickory_net::udp", Level::WARN, false),
            ("info", "hyper_util::client", Level::WARN, false),
            ("isao=debug", "rustls", Level::ERROR, false),
            ("info", "isao::delivery", Level::INFO, true),
            ("info,h2=warn", "h2::proto", Level::WARN, true),
            ("info,rustls_platform_verifier=error", "rustls_platform_verifier", Level::ERROR, true),
            ("debug", "rustls", Level::DEBUG, true),
            ("trace", "hickory_net", Level::WARN, true),
            ("off", "isao", Level::ERROR, false),
        ] {
            assert_eq!(
                log_filter(filter).unwrap().would_enable(target, &level),
                written,
                "{filter} {target}"
            );
        }
    }

    #[test]
    fn permissions_are_named_once_each_or_all_at_once() {
        let read = |text: &str| text.parse::<Permissions>().map(|Permissions(list)| list);
        assert_eq!(read("all"), Ok(Permission::ALL.to_vec()));
        assert_eq!(
            read("deals:write, contacts:read,deals:write"),
            Ok(vec![Permission::ContactsRead, Permission::DealsWrite])
        );
        for bad in ["", "all,deals:read", "contacts", "contacts:read,"] {
            assert!(read(bad).is_err_and(|error| error.contains("webhooks:write")), "{bad}");
        }
    }
}
