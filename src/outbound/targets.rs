//! Where targets lead: the address policy, with names looked up.
//!
//! The client connects by this, and whoever subscribes or asks beforehand is judged by
//! the very same. Only the client's judgement counts in the end: a name may lead
//! elsewhere by then.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use url::Host;

use crate::model::ids::CompanyId;
use crate::outbound::address::{AddressPolicy, AddressRefusal, Refusal, TargetUrl};
use crate::outbound::dns::{LookupError, Resolver};
use crate::shares::Shares;

/// How long a name may take to resolve when it is delivered to, or asked about.
const LOOKUP: Duration = Duration::from_secs(5);
/// How long subscribing waits for a name: long enough for a name server that is well,
/// and nothing is lost without its answer.
const GLANCE: Duration = Duration::from_secs(2);
/// Lookups at once for those who subscribe or ask: each may take a few sockets, and the
/// caller chooses how long. Deliveries are bounded by what may be in flight.
const LOOKUPS_AT_ONCE: usize = 64;
/// Lookups of one company among them.
const LOOKUPS_OF_COMPANY: usize = 16;

/// Judges targets; cheap to clone.
#[derive(Clone, Debug)]
pub struct Targets {
    policy: Arc<AddressPolicy>,
    resolver: Resolver,
    asking: Shares,
}

/// Who asks about a target.
#[derive(Clone, Copy, Debug)]
pub struct Whose {
    /// The company.
    pub company: CompanyId,
    /// Are they on this machine, as far as can be told?
    pub here: bool,
}

/// One address of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressVerdict {
    /// The address.
    pub ip: IpAddr,
    /// Why nothing connects to it, if nothing does.
    pub refusal: Option<AddressRefusal>,
}

/// What is to be said about a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Why the target is refused, if it is: its port, or that no address of it is allowed.
    pub refusal: Option<Refusal>,
    /// Its addresses, or why there are none now.
    pub addresses: Result<Vec<AddressVerdict>, LookupError>,
}

impl Targets {
    /// What `policy` says of what `resolver` finds.
    pub fn new(policy: AddressPolicy, resolver: Resolver) -> Self {
        Self { policy: policy.into(), resolver, asking: Shares::new(LOOKUPS_AT_ONCE, LOOKUPS_OF_COMPANY) }
    }

    /// [`AddressPolicy::lifts_loopback`].
    pub fn lift_loopback(&self, company: CompanyId, here: bool) -> bool {
        self.policy.lifts_loopback(company, here)
    }

    /// [`AddressPolicy::check_url`].
    pub fn check_url(&self, target: &TargetUrl, loopback: bool) -> Result<(), Refusal> {
        self.policy.check_url(target, loopback)
    }

    /// The addresses of a name that may be connected to now; at least one. The port is 0.
    ///
    /// # Errors
    /// An [`AddressRefusal`] if all are refused, a [`LookupError`] if there are none.
    pub async fn connectable(
        &self,
        host: &str,
        loopback: bool,
    ) -> Result<Vec<SocketAddr>, Box<dyn std::error::Error + Send + Sync>> {
        let ips = self.resolver.lookup(host, LOOKUP).await?;
        let judged = self.judge(host, ips, loopback);
        if let Some(refusal) = refused(&judged) {
            return Err(refusal.into());
        }
        let allowed = judged.into_iter().filter(|judged| judged.refusal.is_none());
        Ok(allowed.map(|judged| SocketAddr::new(judged.ip, 0)).collect())
    }

    /// Why a subscription to `target` is refused, if it is. A name that cannot be
    /// resolved in short time is not: it may be tomorrow, and is judged then.
    pub async fn refusal(&self, target: &TargetUrl, whose: Whose) -> Option<Refusal> {
        self.verdict_within(GLANCE, target, whose).await.refusal
    }

    /// All there is to say about `target`. Nothing is connected to.
    pub async fn verdict(&self, target: &TargetUrl, whose: Whose) -> Verdict {
        self.verdict_within(LOOKUP, target, whose).await
    }

    async fn verdict_within(&self, time: Duration, target: &TargetUrl, whose: Whose) -> Verdict {
        let loopback = self.policy.lifts_loopback(whose.company, whose.here);
        let (host, found) = match target.host() {
            Host::Ipv4(ip) => (ip.to_string(), Ok(vec![(*ip).into()])),
            Host::Ipv6(ip) => (ip.to_string(), Ok(vec![(*ip).into()])),
            Host::Domain(name) => {
                let lookup = async {
                    let _place = self.asking.take(whose.company).await;
                    self.resolver.lookup(name, time).await
                };
                (name.clone(), timeout(time, lookup).await.unwrap_or(Err(LookupError::Timeout)))
            }
        };
        let addresses = found.map(|ips| self.judge(&host, ips, loopback));
        let by_text = self.check_url(target, loopback).err();
        let refusal =
            by_text.or_else(|| addresses.as_ref().ok().and_then(|judged| refused(judged)).map(Refusal::from));
        Verdict { refusal, addresses }
    }

    fn judge(&self, host: &str, ips: Vec<IpAddr>, loopback: bool) -> Vec<AddressVerdict> {
        let judge = |ip| AddressVerdict { ip, refusal: self.policy.check_ip(host, ip, loopback).err() };
        ips.into_iter().map(judge).collect()
    }
}

/// Why the first address is refused, if all of them are.
fn refused(judged: &[AddressVerdict]) -> Option<AddressRefusal> {
    let all = judged.iter().all(|judged| judged.refusal.is_some());
    judged.first().filter(|_| all)?.refusal.clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_addresses_the_allowed_ones_count() {
        let targets = Targets::new(AddressPolicy::default(), Resolver::asking(&[]));
        let judge = |ips: &[&str]| {
            targets.judge("crm.example", ips.iter().map(|ip| ip.parse().unwrap()).collect(), true)
        };
        let judged = judge(&["10.0.0.1", "8.8.8.8", "::1", "1.1.1.1"]);
        let allowed: Vec<_> = judged.iter().map(|judged| judged.refusal.is_none()).collect();
        assert_eq!(allowed, [false, true, false, true]);
        assert_eq!(refused(&judged), None);
        let first = refused(&judge(&["10.0.0.1", "::1"])).unwrap();
        assert_eq!(first.ip.to_string(), "10.0.0.1");
        assert_eq!(refused(&[]), None);
    }
}
