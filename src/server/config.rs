//! Settings: read once, from flags and the environment, into types.
//!
//! `.env.example` lists every one of them, which a test checks.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use url::Url;

use crate::database::DatabaseConfig;
use crate::delivery::health::AlertTarget;
use crate::delivery::{Tuning, health, limits};
use crate::model::api_key::ApiKey;
use crate::model::duration::{format_duration, parse_duration};
use crate::outbound::address::AllowList;
use crate::outbound::client::TrustedCas;
use crate::outbound::retry::RetryDelays;
use crate::outbound::signature::Secret;
use crate::server::Role;

/// The longest attempt that may be asked for: the events behind it wait.
const DELIVERY_TIMEOUT_MAX: Duration = Duration::from_secs(10 * 60);

/// Attempts in flight that may be asked for: each takes a socket.
const IN_FLIGHT_RANGE: std::ops::RangeInclusive<usize> = 1..=65_536;

/// Leases that may be asked for: shorter ones would be lost to a busy database.
const LEASE_RANGE: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(600);
/// The shortest retention that may be asked for: longer than the retries of an event take.
const RETENTION_MIN: Duration = Duration::from_secs(60 * 60);
/// The longest one: ten years, so that no date overflows.
const RETENTION_MAX: Duration = Duration::from_secs(3_650 * 24 * 60 * 60);

/// Everything that `isao serve` can be told.
#[derive(Args, Clone)]
pub struct Config {
    /// Address and port to listen on; port 0 takes any free one
    ///
    /// While this is a loopback address, webhooks of the demo company in the embedded database may be
    /// sent to this machine's own services. Use 0.0.0.0:8080 to be reached from elsewhere, behind a proxy that speaks TLS.
    #[arg(
        long, env = "ISAO_BIND", value_name = "ADDRESS", default_value = "127.0.0.1:8080",
        value_parser = parse_bind
    )]
    pub bind: SocketAddr,

    /// How long to wait before the second, third and fourth attempt of a delivery
    #[arg(long, env = "ISAO_RETRY_DELAYS", value_name = "DELAYS", default_value = "2s,15s,60s")]
    pub retry_delays: RetryDelays,

    /// How long one attempt of a delivery may take, answer included (up to 10m)
    #[arg(
        long, env = "ISAO_DELIVERY_TIMEOUT", value_name = "DURATION", default_value = "30s",
        value_parser = parse_delivery_timeout
    )]
    pub delivery_timeout: Duration,

    /// The most delivery attempts in flight at a time, in all
    #[arg(
        long, env = "ISAO_IN_FLIGHT", value_name = "NUMBER", default_value_t = limits::IN_FLIGHT,
        value_parser = parse_in_flight
    )]
    pub in_flight: usize,

    /// The most delivery attempts in flight at a time to one host and port
    #[arg(
        long, env = "ISAO_IN_FLIGHT_PER_HOST", value_name = "NUMBER",
        default_value_t = limits::IN_FLIGHT_PER_HOST, value_parser = parse_in_flight
    )]
    pub in_flight_per_host: usize,

    /// Undelivered events in a row after which a subscription is deactivated
    ///
    /// Its events wait until it is resumed.
    #[arg(
        long, env = "ISAO_DEACTIVATE_AFTER", value_name = "NUMBER",
        default_value_t = health::DEACTIVATE_AFTER, value_parser = clap::value_parser!(i32).range(1..)
    )]
    pub deactivate_after: i32,

    /// How long a subscription pauses after an undelivered event, before the next one's first
    /// attempt; twice as long after each further one, up to 64 times
    #[arg(
        long, env = "ISAO_DEGRADED_PAUSE", value_name = "DURATION", default_value = "30s",
        value_parser = parse_duration
    )]
    pub degraded_pause: Duration,

    /// A URL to POST an alert to (JSON) when a subscription fails and when it is deactivated
    #[arg(
        long, env = "ISAO_ALERT_URL", value_name = "URL", hide_env_values = true,
        value_parser = parse_http_url
    )]
    pub alert_url: Option<Url>,

    /// The secret with which alerts are signed: `whsec_` and the base64 of 24 to 64 bytes
    ///
    /// They carry the headers of Standard Webhooks then, like the webhooks themselves.
    #[arg(long, env = "ISAO_ALERT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub alert_secret: Option<Secret>,

    /// The URL at which this server is reached, for links in alerts; by default http:// and the
    /// address to listen on
    #[arg(long, env = "ISAO_PUBLIC_URL", value_name = "URL", value_parser = parse_http_url)]
    pub public_url: Option<Url>,

    /// The part of the work that this process does, where several share a database
    #[arg(long, env = "ISAO_ROLE", value_name = "ROLE", value_enum, default_value_t)]
    pub role: Role,

    /// How long a process that delivers may hang before others take over (2s to 10m)
    ///
    /// A process that stops or crashes is noticed at once; this is for one that hangs.
    #[arg(
        long, env = "ISAO_LEASE", value_name = "DURATION", default_value = "10s", value_parser = parse_lease
    )]
    pub lease: Duration,

    /// Hosts and addresses that webhooks may be sent to although they are not public
    ///
    /// Separated by commas, for example: hooks.internal,*.lan,10.0.0.0/8
    #[arg(long, env = "ISAO_ALLOW_TARGETS", value_name = "TARGETS", default_value = "")]
    pub allow_targets: AllowList,

    /// A PEM file with certificates of authorities that receivers may have, beside those that this
    /// system trusts
    #[arg(long, env = "ISAO_DELIVERY_CA", value_name = "FILE", value_parser = parse_ca)]
    pub delivery_ca: Option<TrustedCas>,

    /// The shortest time that events and attempts are kept (1h to 3650d)
    ///
    /// They are dropped many at once. An event that a subscription still waits for goes too;
    /// `GET /webhooks` shows how many were.
    #[arg(
        long, env = "ISAO_RETENTION", value_name = "DURATION", default_value = "30d",
        value_parser = parse_retention
    )]
    pub retention: Duration,

    /// An API key to create for the demo company, if it does not exist
    ///
    /// It has all permissions. Without this setting, the embedded database gets a demo key that
    /// is kept in the data directory, and a database of your own gets none.
    #[arg(
        long, env = "ISAO_DEMO_KEY", value_name = "KEY", hide_env_values = true,
        value_parser = parse_key
    )]
    pub demo_key: Option<ApiKey>,

    /// Which database.
    #[command(flatten)]
    pub database: DatabaseConfig,
}

impl Config {
    /// How deliveries are made.
    pub fn tuning(&self) -> Tuning {
        Tuning {
            retry_delays: self.retry_delays,
            timeout: self.delivery_timeout,
            lease: self.lease,
            in_flight: self.in_flight,
            in_flight_per_host: self.in_flight_per_host,
            deactivate_after: self.deactivate_after,
            degraded_pause: self.degraded_pause,
            alerts: self.alert_url.clone().map(|url| AlertTarget {
                url,
                secret: self.alert_secret.clone(),
                public_url: match &self.public_url {
                    Some(url) => url.to_string(),
                    None => format!("http://{}", self.bind),
                },
            }),
        }
    }
}

fn parse_bind(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse()
        .map_err(|_| "write an IP address and a port, such as 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080")
}

fn parse_http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("write an absolute URL, such as https://example.com/ ({error})"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        _ => Err("must begin with http:// or https://".to_owned()),
    }
}

fn parse_delivery_timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text).map_err(|error| error.to_string())?;
    if timeout.is_zero() || timeout > DELIVERY_TIMEOUT_MAX {
        return Err(format!("must be greater than 0s and at most {}", format_duration(DELIVERY_TIMEOUT_MAX)));
    }
    Ok(timeout)
}

fn parse_in_flight(text: &str) -> Result<usize, String> {
    let number: usize = text.parse().map_err(|_| "write a whole number")?;
    match IN_FLIGHT_RANGE.contains(&number) {
        true => Ok(number),
        false => Err(format!("must be from {} to {}", IN_FLIGHT_RANGE.start(), IN_FLIGHT_RANGE.end())),
    }
}

fn parse_lease(text: &str) -> Result<Duration, String> {
    let lease = parse_duration(text).map_err(|error| error.to_string())?;
    match LEASE_RANGE.contains(&lease) {
        true => Ok(lease),
        false => Err("must be from 2s to 10m".to_owned()),
    }
}

fn parse_retention(text: &str) -> Result<Duration, String> {
    let retention = parse_duration(text).map_err(|error| error.to_string())?;
    if !(RETENTION_MIN..=RETENTION_MAX).contains(&retention) {
        let (min, max) = (format_duration(RETENTION_MIN), format_duration(RETENTION_MAX));
        return Err(format!("must be from {min} to {max}"));
    }
    Ok(retention)
}

fn parse_ca(text: &str) -> Result<TrustedCas, String> {
    TrustedCas::read(Path::new(text))
}

fn parse_key(text: &str) -> Result<ApiKey, &'static str> {
    ApiKey::parse(text).ok_or("a key is ck, zap, make, whk or cst, then _ and 64 digits of 0-9 and a-f, as `openssl rand -hex 32` makes them")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_of_http() {
        for url in ["http://10.0.0.1:9000/alerts?key=1", "https://crm.example"] {
            assert!(parse_http_url(url).is_ok(), "{url}");
        }
        for bad in
            ["ftp://example.com/", "mailto:a@example.com", "localhost:9000", "file:///tmp/x", "https://", "x"]
        {
            assert!(parse_http_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_delivery_may_take_some_time_but_not_for_ever() {
        assert_eq!(parse_delivery_timeout("10m"), Ok(DELIVERY_TIMEOUT_MAX));
        for bad in ["0s", "601s", "30", ""] {
            assert!(parse_delivery_timeout(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_happened_is_kept_for_a_while() {
        assert_eq!(parse_retention("1h"), Ok(RETENTION_MIN));
        assert_eq!(parse_retention("3650d"), Ok(RETENTION_MAX));
        for bad in ["59m", "3651d", "0d", "30", ""] {
            assert!(parse_retention(bad).is_err(), "{bad}");
        }
    }
}
