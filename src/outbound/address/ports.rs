//! The ports at which something else than HTTP is spoken.
//!
//! A request to one of them can do harm (a mail server, for example, takes lines of it for commands), and
//! what comes back tells a subscriber which services there are. Source: the "bad ports" of the Fetch
//! standard, which browsers refuse (<https://fetch.spec.whatwg.org/#port-blocking>), and the default ports
//! of file sharing, remote desktops and databases beside it. Ports at which services speak HTTP, such as
//! 9200, are not among them: addresses are what protects those.

/// The Fetch standard's list, without 0, which is no port of a target.
const FETCH: [u16; 82] = [
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
];

/// SMB, Microsoft SQL Server, Oracle, MySQL, remote desktop, PostgreSQL, Redis, Cassandra, memcached
/// and MongoDB.
const OTHERS: [u16; 10] = [445, 1433, 1521, 3306, 3389, 5432, 6379, 9042, 11211, 27017];

/// Whether a port is one of these.
pub(super) fn is_of_another_protocol(port: u16) -> bool {
    FETCH.binary_search(&port).is_ok() || OTHERS.binary_search(&port).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_spare_http() {
        assert!(FETCH.is_sorted() && OTHERS.is_sorted());
        for port in [22, 25, 445, 5432, 6667, 10080, 27017] {
            assert!(is_of_another_protocol(port), "{port}");
        }
        for port in [80, 443, 591, 3000, 5678, 8000, 8080, 8443, 8888, 9000, 9200, 10000] {
            assert!(!is_of_another_protocol(port), "{port}");
        }
    }
}
