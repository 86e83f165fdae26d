//! Host names to addresses.
//!
//! Not through the system's `getaddrinfo`: while a name server is silent it keeps a
//! thread for up to half a minute, and cannot be called off. Subscribers choose the names,
//! and thereby the name servers; a few hundred slow ones would take every thread, and
//! with a bound on the threads they would take the bound. Here a lookup is a task that is
//! dropped when its time is up, and holds up nobody.
//!
//! It asks whom the system would ask, with the same search domains (`/etc/resolv.conf`),
//! after looking into `/etc/hosts`; both are read anew every minute. What else a system
//! may be told to ask (`/etc/nsswitch.conf`: mDNS, LDAP) is not asked. Answers are
//! remembered as long as they say, so whoever relies on what an address *is* has to judge
//! it each time.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

/// How often the system's configuration is read. It changes when a machine moves to
/// another network; glibc looks as often as it is asked.
const REREAD: Duration = Duration::from_secs(60);
/// How long one question may take, so that there is time to repeat one that was lost.
const QUESTION: Duration = Duration::from_secs(2);
/// Repetitions of a question.
const REPETITIONS: usize = 1;

/// Looks up names; cheap to clone, all clones share what they remember.
#[derive(Clone, Debug)]
pub struct Resolver {
    /// Whom to ask instead of the system's name servers.
    servers: Option<Arc<[SocketAddr]>>,
    current: Arc<Mutex<Option<(Instant, TokioResolver)>>>,
}

/// Why a name has no address now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// DNS says so.
    #[error("there is no such name")]
    NoSuchName,
    /// The name exists, for other purposes.
    #[error("the name has no address")]
    NoAddress,
    /// Somebody is silent: our name server, or that of the name.
    #[error("DNS did not answer in time")]
    Timeout,
    /// Anything else, such as an answer that is an error.
    #[error("DNS failed: {0}")]
    Failed(String),
}

impl Resolver {
    /// Asks whom the system would ask.
    pub fn system() -> Self {
        Self { servers: None, current: Arc::default() }
    }

    /// Asks these name servers, over UDP, and no others; with none, only `/etc/hosts`
    /// and `localhost` are known.
    pub fn asking(servers: &[SocketAddr]) -> Self {
        Self { servers: Some(servers.into()), current: Arc::default() }
    }

    /// The addresses of a name, IPv4 first; at least one.
    ///
    /// # Errors
    /// When there is none, or none was found `within` the time.
    pub async fn lookup(&self, host: &str, within: Duration) -> Result<Vec<IpAddr>, LookupError> {
        let resolver = self.current()?;
        let found = tokio::time::timeout(within, resolver.lookup_ip(host)).await;
        let ips: Vec<_> = found.map_err(|_| LookupError::Timeout)??.iter().collect();
        if ips.is_empty() { Err(LookupError::NoAddress) } else { Ok(ips) }
    }

    fn current(&self) -> Result<TokioResolver, LookupError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((read, resolver)) = &*current
            && read.elapsed() < REREAD
        {
            return Ok(resolver.clone());
        }
        let resolver = self.read()?;
        *current = Some((Instant::now(), resolver.clone()));
        Ok(resolver)
    }

    fn read(&self) -> Result<TokioResolver, NetError> {
        let asking = |servers: &[SocketAddr]| {
            let servers = servers.iter().map(|address| {
                let mut connection = ConnectionConfig::udp();
                connection.port = address.port();
                NameServerConfig::new(address.ip(), true, vec![connection])
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        let mut builder = match &self.servers {
            Some(servers) => asking(servers),
            None => TokioResolver::builder_tokio().unwrap_or_else(|error| {
                tracing::warn!(%error, "no name server is configured; host names are only looked up in /etc/hosts");
                asking(&[])
            }),
        };
        let options: &mut ResolverOpts = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.timeout = options.timeout.min(QUESTION);
        options.attempts = REPETITIONS;
        builder.build()
    }
}

impl From<NetError> for LookupError {
    fn from(error: NetError) -> Self {
        match error {
            error if error.is_nx_domain() => Self::NoSuchName,
            error if error.is_no_records_found() => Self::NoAddress,
            NetError::Timeout => Self::Timeout,
            error => Self::Failed(error.to_string()),
        }
    }
}
