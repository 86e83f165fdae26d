//! The address ranges that are not the public internet.
//!
//! Source: IANA's IPv4 and IPv6 special-purpose address registries (RFC 6890),
//! and the addresses at which cloud providers serve instance metadata.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Why an address is not delivered to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// `0.0.0.0/8`, `::`: "this host", which connects to oneself.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// An address that this machine has, whatever it is: services that are for itself alone may answer there.
    Own,
    /// RFC 1918 and the IPv6 unique local addresses (RFC 4193).
    Private,
    /// Carrier-grade NAT (RFC 6598).
    SharedNat,
    /// Valid on one link only.
    LinkLocal,
    /// IPv6's former private range (RFC 3879).
    SiteLocal,
    /// A cloud provider's metadata, which hands out credentials.
    Metadata,
    /// A group of receivers.
    Multicast,
    /// Everyone on the link.
    Broadcast,
    /// For examples only.
    Documentation,
    /// For load tests of networks.
    Benchmarking,
    /// IPv6 that carries an IPv4 address in a way no longer in use (6to4, Teredo,
    /// ISATAP and others): refused whatever is inside.
    Transition,
    /// Thrown away by routers (RFC 6666).
    Discard,
    /// For protocols or for the future.
    Reserved,
}

impl Rule {
    /// As programs are told.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Own => "own",
            Self::Private => "private",
            Self::SharedNat => "shared_nat",
            Self::LinkLocal => "link_local",
            Self::SiteLocal => "site_local",
            Self::Metadata => "metadata",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Transition => "transition",
            Self::Discard => "discard",
            Self::Reserved => "reserved",
        }
    }
}

/// As people are told.
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unspecified => "an unspecified address",
            Self::Loopback => "a loopback address",
            Self::Own => "an address of this machine",
            Self::Private => "a private address",
            Self::SharedNat => "a carrier-grade NAT address",
            Self::LinkLocal => "a link-local address",
            Self::SiteLocal => "a site-local address",
            Self::Metadata => "a cloud metadata address",
            Self::Multicast => "a multicast address",
            Self::Broadcast => "a broadcast address",
            Self::Documentation => "a documentation address",
            Self::Benchmarking => "a benchmarking address",
            Self::Transition => "a transition address that embeds an IPv4 address",
            Self::Discard => "a discard address",
            Self::Reserved => "a reserved address",
        })
    }
}

/// The first range that holds an address gives the rule: narrow before wide.
const RANGES: &[(IpNet, Rule)] = &[
    (v4([169, 254, 169, 254], 32), Rule::Metadata), // AWS, Azure, Google and most others
    (v4([169, 254, 170, 2], 32), Rule::Metadata),   // AWS containers
    (v4([169, 254, 170, 23], 32), Rule::Metadata),  // AWS pods
    (v4([169, 254, 0, 23], 32), Rule::Metadata),    // Tencent
    (v4([169, 254, 42, 42], 32), Rule::Metadata),   // Scaleway
    (v4([100, 100, 100, 200], 32), Rule::Metadata), // Alibaba
    (v4([192, 0, 0, 192], 32), Rule::Metadata),     // Oracle
    (v4([168, 63, 129, 16], 32), Rule::Metadata),   // Azure's host, on a public address
    (v4([0, 0, 0, 0], 8), Rule::Unspecified),
    (v4([127, 0, 0, 0], 8), Rule::Loopback),
    (v4([10, 0, 0, 0], 8), Rule::Private),
    (v4([172, 16, 0, 0], 12), Rule::Private),
    (v4([192, 168, 0, 0], 16), Rule::Private),
    (v4([100, 64, 0, 0], 10), Rule::SharedNat),
    (v4([169, 254, 0, 0], 16), Rule::LinkLocal),
    (v4([192, 0, 0, 0], 24), Rule::Reserved),
    (v4([192, 0, 2, 0], 24), Rule::Documentation),
    (v4([198, 51, 100, 0], 24), Rule::Documentation),
    (v4([203, 0, 113, 0], 24), Rule::Documentation),
    (v4([192, 88, 99, 0], 24), Rule::Transition), // 6to4 relays (RFC 7526)
    (v4([198, 18, 0, 0], 15), Rule::Benchmarking),
    (v4([224, 0, 0, 0], 4), Rule::Multicast),
    (v4([255, 255, 255, 255], 32), Rule::Broadcast),
    (v4([240, 0, 0, 0], 4), Rule::Reserved),
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128), Rule::Metadata), // AWS
    (v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], 128), Rule::Metadata),  // AWS pods
    (v6([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128), Rule::Metadata),  // Google
    (v6([0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42], 128), Rule::Metadata),   // Scaleway
    (v6([0xfe80, 0, 0, 0, 0, 0, 0xa9fe, 0xa9fe], 128), Rule::Metadata), // OpenStack
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), Rule::Unspecified),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), Rule::Loopback),
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 96), Rule::Transition), // IPv4-compatible
    (v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96), Rule::Transition), // IPv4-translated (RFC 2765)
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), Rule::Transition), // local NAT64 (RFC 8215)
    (v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64), Rule::Discard),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), Rule::Transition), // Teredo
    (v6([0x2001, 2, 0, 0, 0, 0, 0, 0], 48), Rule::Benchmarking),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), Rule::Reserved),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), Rule::Documentation),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), Rule::Transition), // 6to4
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), Rule::Documentation),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), Rule::Private),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), Rule::LinkLocal),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), Rule::SiteLocal),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), Rule::Multicast),
    // Only 2000::/3 is given out; these three are the rest.
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 3), Rule::Reserved),
    (v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2), Rule::Reserved),
    (v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1), Rule::Reserved),
];

const fn v4(octets: [u8; 4], prefix: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet::new_assert(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), prefix)
}

const fn v6(segments: [u16; 8], prefix: u8) -> IpNet {
    let [a, b, c, d, e, f, g, h] = segments;
    IpNet::new_assert(IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)), prefix)
}

/// The rule that refuses `ip` and the range it names; `None` for a public address.
pub(super) fn refused(ip: IpAddr) -> Option<(Rule, IpNet)> {
    let range = RANGES.iter().find(|(range, _)| range.contains(&ip));
    range
        .map(|(range, rule)| (*rule, *range))
        .or_else(|| is_isatap(ip).then(|| (Rule::Transition, ip.into())))
}

/// ISATAP hides an IPv4 address behind any prefix, so it has no range (RFC 5214 §6.1).
fn is_isatap(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if matches!(ip.segments(), [.., 0 | 0x200, 0x5efe, _, _]))
}

/// The IPv4 address within a NAT64 address, which is how an IPv6-only network
/// reaches every IPv4 host (RFC 6052): a packet to the one ends up at the other.
pub(super) fn nat64(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = ip.segments() else { return None };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}
