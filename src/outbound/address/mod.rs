//! Where webhooks may go.
//!
//! A target URL is chosen by whoever holds an API key, and the request to it is
//! made from inside the operator's network. Without a policy a subscription could
//! reach what only this machine can reach: a database's admin page, a router, a
//! cloud's metadata (server-side request forgery). So only the public internet is
//! delivered to, unless the operator says otherwise.
//!
//! Three parts play together: a [`TargetUrl`] is read once from the subscriber's
//! text; the [`AddressPolicy`] judges it when it is subscribed and before each
//! attempt ([`AddressPolicy::check_url`]); and as a name may lead anywhere, and
//! elsewhere a moment later, the addresses it resolves to are judged at the moment
//! of connecting ([`AddressPolicy::check_ip`]).

mod allow_list;
mod ports;
mod ranges;
mod target_url;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::LazyLock;

use ipnet::IpNet;
use url::Host;

use crate::model::ids::CompanyId;

pub use allow_list::{AllowList, AllowListError};
pub use ranges::Rule;
pub use target_url::{TARGET_URL_MAX_BYTES, TargetUrl, TargetUrlError};

/// The setting that holds the [`AllowList`].
pub const ALLOW_TARGETS: &str = "ISAO_ALLOW_TARGETS";

/// Which addresses and ports may be delivered to.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// The operator's exceptions.
    pub allow: AllowList,
    /// The company that may reach this machine's own services, so that local development works
    /// without any setting: that of the demo, while the server listens on loopback only and has a
    /// database of its own. Others may be somewhere else: behind a proxy, everybody seems to be here.
    pub loopback: Option<CompanyId>,
}

impl AddressPolicy {
    /// May a subscription of `company` reach loopback, if its maker was `here`? One that came through a
    /// proxy was not.
    pub fn lifts_loopback(&self, company: CompanyId, here: bool) -> bool {
        here && self.loopback == Some(company)
    }

    /// Judges as much of a target as its text reveals: addresses, `localhost`, the
    /// names of metadata services, which resolve only where there is one, and ports at which
    /// something else than HTTP is spoken.
    /// Other names pass; see [`AddressPolicy::check_ip`] for what they resolve to.
    ///
    /// `loopback` says whether this subscription may use the loopback exception
    /// ([`AddressPolicy::lifts_loopback`]).
    pub fn check_url(&self, target: &TargetUrl, loopback: bool) -> Result<(), Refusal> {
        self.check_host(target, loopback)?;
        self.check_port(target, loopback)
    }

    /// Judges the port. The exceptions are those of hosts: who is allowed to be delivered to may
    /// listen where it likes.
    fn check_port(&self, target: &TargetUrl, loopback: bool) -> Result<(), Refusal> {
        let Some(port) = target.url().port().filter(|port| ports::is_of_another_protocol(*port)) else {
            return Ok(());
        };
        let local = self.loopback.is_some() && loopback;
        let allows =
            |ip: IpAddr| self.allow.contains(ip.to_canonical()) || local && ip.to_canonical().is_loopback();
        let lifted = match target.host() {
            Host::Ipv4(ip) => allows((*ip).into()),
            Host::Ipv6(ip) => allows((*ip).into()),
            Host::Domain(name) => self.allow.names(name) || local && is_localhost(name),
        };
        let host = target.host().to_string();
        if lifted { Ok(()) } else { Err(Refusal::Port { host, port }) }
    }

    fn check_host(&self, target: &TargetUrl, loopback: bool) -> Result<(), AddressRefusal> {
        let check = |host: &str, ip: IpAddr| self.check_ip(host, ip, loopback);
        match target.host() {
            Host::Ipv4(ip) => check(&ip.to_string(), (*ip).into()),
            Host::Ipv6(ip) => check(&ip.to_string(), (*ip).into()),
            Host::Domain(name) if is_localhost(name) => check(name, Ipv4Addr::LOCALHOST.into())
                .or_else(|refusal| check(name, Ipv6Addr::LOCALHOST.into()).map_err(|_| refusal)),
            Host::Domain(name) if is_metadata(name) => check(name, METADATA.into()),
            Host::Domain(_) => Ok(()),
        }
    }

    /// Judges one address of `host` (a name, or the address itself); `loopback`
    /// as in [`AddressPolicy::check_url`].
    pub fn check_ip(&self, host: &str, ip: IpAddr, loopback: bool) -> Result<(), AddressRefusal> {
        let canonical = ip.to_canonical();
        let judged = ranges::nat64(canonical).map_or(canonical, IpAddr::V4);
        let own = || is_own(canonical).then(|| (Rule::Own, IpNet::from(canonical)));
        let Some((rule, range)) = ranges::refused(judged).or_else(own) else { return Ok(()) };
        let excepted = self.allow.contains(canonical) || self.allow.contains(judged);
        let lifted = match rule {
            // Whoever runs the DNS of an allowed name has not been given credentials.
            Rule::Metadata => excepted,
            // Loopback of this machine, not of a NAT64 gateway.
            Rule::Loopback if self.loopback.is_some() && loopback && canonical.is_loopback() => true,
            _ => excepted || self.allow.names(host),
        };
        if lifted { Ok(()) } else { Err(AddressRefusal { host: host.to_owned(), ip, rule, range }) }
    }
}

/// Where most clouds serve instance metadata.
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// The names by which they do: Google's (also in short), Azure's, AWS's, Tencent's.
const METADATA_NAMES: [&str; 8] = [
    "metadata",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure.internal",
    "metadata.azure.com",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
];

fn is_metadata(name: &str) -> bool {
    METADATA_NAMES.contains(&name.strip_suffix('.').unwrap_or(name))
}

/// `localhost` and all names under it mean loopback, whatever a resolver says (RFC 6761 §6.3).
fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// A target that is not delivered to; its message says why and what would change it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// For its address.
    #[error(transparent)]
    Address(#[from] AddressRefusal),
    /// For its port.
    #[error(
        "port {port} is one at which another protocol than HTTP is spoken, so webhooks may not reach it; to allow it, add \
         {} to {ALLOW_TARGETS}",
        host.trim_matches(['[', ']'])
    )]
    Port {
        /// The host of the URL.
        host: String,
        /// The port.
        port: u16,
    },
}

impl Refusal {
    /// The rule about addresses that refused the target, if one did.
    pub fn rule(&self) -> Option<Rule> {
        match self {
            Self::Address(refusal) => Some(refusal.rule),
            Self::Port { .. } => None,
        }
    }
}

/// Does this machine have the address? Then one can listen there.
fn is_own(ip: IpAddr) -> bool {
    /// Some machines let anybody listen anywhere (`net.ipv4.ip_nonlocal_bind`); then the system is
    /// asked from where it would send to the address. Nothing is sent.
    static ANYWHERE: LazyLock<bool> = LazyLock::new(|| UdpSocket::bind((NOBODYS, 0)).is_ok());
    if !*ANYWHERE {
        return UdpSocket::bind((ip, 0)).is_ok();
    }
    let any: IpAddr = if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let from = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((ip, DISCARD_PORT))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == ip)
}

/// An address that no machine has (RFC 5737).
const NOBODYS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// Any port does (RFC 863).
const DISCARD_PORT: u16 = 9;

/// An address that is not delivered to; its message says why and what would change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressRefusal {
    /// The name in the URL, or its address.
    pub host: String,
    /// The address that was refused.
    pub ip: IpAddr,
    /// The rule that refused it.
    pub rule: Rule,
    /// The range of that rule that the address, or the IPv4 address within it, is in.
    pub range: IpNet,
}

impl fmt::Display for AddressRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, ip, rule, range } = self;
        let literal = host.parse::<IpAddr>().is_ok();
        if literal {
            write!(f, "{ip} is {rule} ({range})")?;
        } else {
            write!(f, "{host} resolves to {ip}, {rule} ({range})")?;
        }
        write!(f, ", which webhooks may not reach; to allow it, add ")?;
        if !literal && *rule != Rule::Metadata {
            write!(f, "{host} or ")?;
        }
        write!(f, "{ip} to {ALLOW_TARGETS}")
    }
}

impl std::error::Error for AddressRefusal {}
