//! Where a request comes from.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// Where a connection comes from; the listener notes it with each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Where the request comes from: the connection's other end, or what the proxy there says.
pub fn address(headers: &HeaderMap, peer: Option<Peer>) -> String {
    let mut told = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let told = told.next_back().and_then(|list| list.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    let told = told.filter(|_| peer.is_some_and(|Peer(ip)| is_near(ip)));
    told.or(peer.map(|Peer(ip)| ip)).map_or_else(|| "unknown".to_owned(), |ip| ip.to_canonical().to_string())
}

/// May a proxy of ours have this address? Others could write what they like into the header.
fn is_near(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn the_nearest_proxy_says_where_a_request_comes_from() {
        let peer = Some(Peer("10.0.0.1".parse().unwrap()));
        assert_eq!(address(&headers(&[]), peer), "10.0.0.1");
        let told = headers(&[("x-forwarded-for", "6.6.6.6, 203.0.113.7")]);
        assert_eq!(address(&told, peer), "203.0.113.7");
        assert_eq!(address(&headers(&[("x-forwarded-for", "nonsense")]), peer), "10.0.0.1");
        let far = Some(Peer("198.51.100.1".parse().unwrap()));
        assert_eq!(address(&told, far), "198.51.100.1", "that is no proxy of ours");
    }
}
