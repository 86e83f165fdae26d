//! Who is connected, from where, and who has nothing to do.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;

/// The part of all places that connections from one address may have: a proxy in front of the
/// server is one address, too.
const ADDRESS_PART: usize = 2;

/// Everybody who is connected.
pub(super) struct Guests {
    in_all: usize,
    per_address: usize,
    here: Arc<Mutex<Here>>,
}

#[derive(Default)]
struct Here {
    next: u64,
    by_number: HashMap<u64, Arc<State>>,
    by_address: HashMap<IpAddr, usize>,
}

/// One who is connected; gives the place back when dropped.
pub(super) struct Guest {
    number: u64,
    state: Arc<State>,
    here: Arc<Mutex<Here>>,
}

struct State {
    address: IpAddr,
    use_of: Mutex<Use>,
    leave: Notify,
}

struct Use {
    /// Requests that are being answered.
    requests: usize,
    /// Since when there are that many.
    since: Instant,
}

/// A request that is being answered, for as long as this lives.
pub(super) struct Busy(Arc<State>);

impl Guests {
    pub(super) fn new(in_all: usize) -> Self {
        let in_all = in_all.max(2);
        Self { in_all, per_address: in_all / ADDRESS_PART, here: Arc::default() }
    }

    /// Gives a place to a connection from `address`; if there is none left, that of one that is unused.
    pub(super) fn welcome(&self, address: IpAddr) -> Option<Guest> {
        let address = network(address);
        let mut here = lock(&self.here);
        if here.by_address.get(&address).is_some_and(|count| *count >= self.per_address) {
            here.dismiss(|state| state.address == address)?;
        }
        if here.by_number.len() >= self.in_all {
            here.dismiss(|_| true)?;
        }
        let number = here.next;
        here.next += 1;
        let use_of = Mutex::new(Use { requests: 0, since: Instant::now() });
        let state = Arc::new(State { address, use_of, leave: Notify::new() });
        here.by_number.insert(number, state.clone());
        *here.by_address.entry(address).or_default() += 1;
        Some(Guest { number, state, here: self.here.clone() })
    }

    /// Has one that is unused leave.
    pub(super) fn make_room(&self) {
        lock(&self.here).dismiss(|_| true);
    }
}

impl Here {
    /// Has the one of them leave that is unused for longest. Its place is free at once.
    fn dismiss(&mut self, is_one: impl Fn(&State) -> bool) -> Option<()> {
        let unused = self.by_number.iter().filter(|(_, state)| is_one(state));
        let unused = unused.filter_map(|(number, state)| Some((state.unused_since()?, *number)));
        let (_, number) = unused.min()?;
        self.remove(number)?.leave.notify_one();
        Some(())
    }

    fn remove(&mut self, number: u64) -> Option<Arc<State>> {
        let state = self.by_number.remove(&number)?;
        if let Some(count) = self.by_address.get_mut(&state.address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&state.address);
            }
        }
        Some(state)
    }
}

impl State {
    fn unused_since(&self) -> Option<Instant> {
        let use_of = lock(&self.use_of);
        (use_of.requests == 0).then_some(use_of.since)
    }

    fn count(&self, change: impl Fn(usize) -> usize) {
        let mut use_of = lock(&self.use_of);
        *use_of = Use { requests: change(use_of.requests), since: Instant::now() };
    }
}

impl Guest {
    /// A request begins.
    pub(super) fn busy(&self) -> Busy {
        self.state.count(|requests| requests + 1);
        Busy(self.state.clone())
    }

    pub(super) fn is_unused(&self) -> bool {
        self.state.unused_since().is_some()
    }

    /// Waits until somebody else needs the place.
    pub(super) async fn asked_to_leave(&self) {
        self.state.leave.notified().await;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        lock(&self.here).remove(self.number);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.count(|requests| requests.saturating_sub(1));
    }
}

impl Busy {
    /// Goes on until the body is sent, or nobody wants it any more.
    pub(super) fn until_sent(self, body: Body) -> Body {
        Body::new(Sending { body, _busy: self })
    }
}

struct Sending {
    body: Body,
    _busy: Busy,
}

impl hyper::body::Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        hyper::body::Body::is_end_stream(&self.body)
    }

    fn size_hint(&self) -> SizeHint {
        hyper::body::Body::size_hint(&self.body)
    }
}

/// Who has one address of IPv6 has a network of them (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[tokio::test]
    async fn whoever_is_unused_for_longest_makes_room() {
        let guests = Guests::new(4);
        let mut all = Vec::new();
        for address in ["10.0.0.1", "10.0.0.1", "10.0.0.2", "10.0.0.2"] {
            all.push(guests.welcome(from(address)).unwrap());
            // So that no two have the same time.
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        let busy = all[0].busy();
        let _third = guests.welcome(from("10.0.0.3")).unwrap();
        all[1].asked_to_leave().await;
        assert!(!all[0].is_unused());
        // A place that was taken away is not given back once more.
        drop(all.remove(1));
        assert_eq!(lock(&guests.here).by_number.len(), 4);
        let _busy = [all[1].busy(), all[2].busy(), _third.busy()];
        assert!(guests.welcome(from("10.0.0.4")).is_none(), "all of them are busy");
        drop(busy);
        assert!(guests.welcome(from("10.0.0.4")).is_some());
    }

    #[test]
    fn an_address_has_half_of_the_places() {
        let guests = Guests::new(4);
        let ours: Vec<_> = (1..3).map(|n| guests.welcome(from(&format!("2001:db8::{n}"))).unwrap()).collect();
        let busy: Vec<_> = ours.iter().map(Guest::busy).collect();
        assert!(guests.welcome(from("2001:db8::3")).is_none());
        let others = [guests.welcome(from("2001:db8:0:1::1")), guests.welcome(from("::ffff:10.0.0.1"))];
        assert!(others.iter().all(Option::is_some));
        drop(busy);
        assert!(guests.welcome(from("2001:db8::3")).is_some());
        drop((ours, others));
        let here = lock(&guests.here);
        assert!(here.by_number.is_empty() && here.by_address.is_empty());
    }
}
