//! The operator's exceptions: what `ISAO_ALLOW_TARGETS` names.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use url::Host;

/// Hosts and addresses that webhooks may target although a rule refuses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    names: Vec<String>,
    /// From `*.example.com`, kept as `.example.com`.
    suffixes: Vec<String>,
    nets: Vec<IpNet>,
}

/// An item of the list is none of what it may be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a host name (example.com, *.example.com), an IP address or a range of addresses (10.0.0.0/8)"
)]
pub struct AllowListError(String);

impl AllowList {
    /// Whether the list names this host, whatever addresses it has.
    pub(super) fn names(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.names.contains(&host) || self.suffixes.iter().any(|suffix| host.ends_with(suffix))
    }

    /// Whether the list holds this address.
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&ip))
    }
}

impl FromStr for AllowList {
    type Err = AllowListError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let error = || AllowListError(item.to_owned());
            if let Ok(net) = item.parse::<IpNet>() {
                list.nets.push(net);
                continue;
            }
            if let Ok(ip) = item.parse::<IpAddr>() {
                list.nets.push(ip.to_canonical().into());
                continue;
            }
            let (wildcard, name) = match item.strip_prefix("*.") {
                Some(rest) => (true, rest),
                None => (false, item),
            };
            match Host::parse(name).map_err(|_| error())? {
                Host::Domain(name) => {
                    let name = name.strip_suffix('.').unwrap_or(&name);
                    if name.is_empty() || name.contains('*') {
                        return Err(error());
                    }
                    if wildcard {
                        list.suffixes.push(format!(".{name}"));
                    } else {
                        list.names.push(name.to_owned());
                    }
                }
                _ if wildcard => return Err(error()),
                Host::Ipv4(ip) => list.nets.push(IpAddr::V4(ip).into()),
                Host::Ipv6(ip) => list.nets.push(IpAddr::V6(ip).to_canonical().into()),
            }
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_without_case_and_wildcards_match_what_is_under_them() {
        let list: AllowList =
            "Hooks.Example.com, *.Internal.example., bücher.example,localhost,".parse().unwrap();
        for (host, named) in [
            ("hooks.example.com", true),
            ("HOOKS.example.COM.", true),
            ("a.hooks.example.com", false),
            ("example.com", false),
            ("a.internal.example", true),
            ("a.b.internal.example", true),
            ("internal.example", false),
            ("notinternal.example", false),
            ("xn--bcher-kva.example", true),
            ("localhost", true),
            ("a.localhost", false),
        ] {
            assert_eq!(list.names(host), named, "{host}");
        }
    }

    #[test]
    fn addresses_and_ranges_match_addresses() {
        let list: AllowList = "127.0.0.1, 10.1.2.3/8,[fd00::1],fd12::/16,::ffff:192.168.0.1".parse().unwrap();
        for (ip, held) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.200.0.1", true),
            ("11.0.0.1", false),
            ("fd00::1", true),
            ("fd00::2", false),
            ("fd12:ffff::9", true),
            ("192.168.0.1", true),
        ] {
            assert_eq!(list.contains(ip.parse().unwrap()), held, "{ip}");
        }
    }

    #[test]
    fn a_bad_item_is_named() {
        for bad in [
            "http://example.com",
            "example.com:8080",
            "10.0.0.0/33",
            "10.0.0/8",
            "*",
            "*.",
            ".",
            "*.*.example.com",
            "a.*.example.com",
            "*.10.0.0.1",
            "10.0.0.256",
            "fe80::1%eth0",
            "two words",
            "user@example.com",
        ] {
            let error = format!("ok.example,{bad}").parse::<AllowList>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bad:?} is not a host name")), "{error}");
        }
        assert_eq!(" , ".parse(), Ok(AllowList::default()));
    }
}
