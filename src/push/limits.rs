use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use metrics::{counter, gauge};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many streams and sockets there may be: in all, and from one address.
#[derive(Debug, Clone)]
pub struct ConnectionLimiter {
    all: Arc<Semaphore>,
    addresses: AddressLimiter,
}

/// One admitted connection. It counts against the limits until it is dropped.
#[derive(Debug)]
pub struct ConnectionPermit {
    _one: OwnedSemaphorePermit,
    _address: AddressPermit,
    account: Account,
    transport: &'static str,
}

/// What a connection's subscriptions count against.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The client's address, as [`limited_address`] returns it.
    pub address: Option<IpAddr>,
    /// The subscriptions of the connection, where several streams share one.
    pub subscriptions: Option<Arc<AtomicUsize>>,
}

/// Limits the connections of each address.
///
/// An IPv6 address counts by its /64 network, since one client has all of it. Loopback addresses are not limited: a proxy
/// on the same machine has every client behind it.
#[derive(Debug, Clone)]
pub struct AddressLimiter {
    max: usize,
    counts: Arc<Counts>,
}

type Counts = Mutex<HashMap<IpAddr, usize>>;

/// One connection of an address. It counts until it is dropped.
#[derive(Debug)]
pub struct AddressPermit {
    counted: Option<(IpAddr, Arc<Counts>)>,
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LimitReached {
    /// Of the server.
    #[error("the connection limit of the server (max_connections) is reached; try again later")]
    Connections,
    /// Of one address.
    #[error(
        "the connection limit of this address (max_connections_per_address) is reached; close one, or try again later"
    )]
    Address,
}

impl LimitReached {
    /// Counts a refusal.
    fn count(self) -> Self {
        let limit = if self == Self::Address { "address" } else { "connections" };
        counter!("pipewatch_connections_refused_total", "limit" => limit).increment(1);
        self
    }
}

/// The address that a connection counts for; `None` for loopback, which is not limited.
pub fn limited_address(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [high, low, subnet, site, ..] = address.segments();
            Ipv6Addr::new(high, low, subnet, site, 0, 0, 0, 0).into()
        }
    })
}

impl AddressLimiter {
    /// At most `max` connections of each address.
    pub fn new(max: usize) -> Self {
        Self { max, counts: Arc::default() }
    }

    /// Counts a connection.
    ///
    /// # Errors
    /// When its address has reached the limit.
    pub fn admit(&self, address: IpAddr) -> Result<AddressPermit, LimitReached> {
        let Some(address) = limited_address(address) else { return Ok(AddressPermit { counted: None }) };
        let mut counts = lock(&self.counts);
        let count = counts.entry(address).or_default();
        if *count >= self.max {
            return Err(LimitReached::Address.count());
        }
        *count += 1;
        Ok(AddressPermit { counted: Some((address, Arc::clone(&self.counts))) })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let Some((address, counts)) = &self.counted else { return };
        let mut counts = lock(counts);
        if let Some(count) = counts.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(address);
            }
        }
    }
}

impl ConnectionLimiter {
    /// At most `max` connections in all, and `max_per_address` from one address.
    pub fn new(max: usize, max_per_address: usize) -> Self {
        let all = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Self { all, addresses: AddressLimiter::new(max_per_address) }
    }

    /// Admits one connection.
    ///
    /// # Errors
    /// When a limit is reached.
    pub fn admit(&self, address: IpAddr, transport: &'static str) -> Result<ConnectionPermit, LimitReached> {
        let one = Arc::clone(&self.all).try_acquire_owned().map_err(|_| LimitReached::Connections.count())?;
        let account = Account { address: limited_address(address), subscriptions: None };
        let address = self.addresses.admit(address)?;
        gauge!("pipewatch_connections", "transport" => transport).increment(1);
        counter!("pipewatch_connections_opened_total", "transport" => transport).increment(1);
        Ok(ConnectionPermit { _one: one, _address: address, account, transport })
    }
}

impl ConnectionPermit {
    /// For one stream of a connection, which counts the subscriptions of all its streams together.
    #[must_use]
    pub fn with_subscription_count(mut self, subscriptions: Option<Arc<AtomicUsize>>) -> Self {
        self.account.subscriptions = subscriptions;
        self
    }

    /// What its subscriptions count against.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        gauge!("pipewatch_connections", "transport" => self.transport).decrement(1);
    }
}

fn lock(counts: &Counts) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    counts.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_permit_frees_its_place() {
        let limiter = ConnectionLimiter::new(3, 2);
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let first = limiter.admit(address(1), "sse").expect("the first");
        let _second = limiter.admit(address(1), "sse").expect("the second");
        assert_eq!(limiter.admit(address(1), "sse").map(drop), Err(LimitReached::Address));
        let _third = limiter.admit(address(2), "sse").expect("another address has room");
        assert_eq!(limiter.admit(address(3), "sse").map(drop), Err(LimitReached::Connections));
        drop(first);
        assert!(limiter.admit(address(1), "sse").is_ok());
        assert_eq!(lock(&limiter.addresses.counts).len(), 2, "addresses without connections are forgotten");
    }

    #[test]
    fn ipv6_addresses_count_by_network() {
        let addresses = AddressLimiter::new(1);
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let _held = ["192.0.2.1", "2001:db8::1"].map(|text| addresses.admit(address(text)).expect("the first"));
        for (text, is_admitted) in [
            ("192.0.2.1", false),
            ("::ffff:192.0.2.1", false),
            ("192.0.2.2", true),
            ("2001:db8::ffff:0:0:2", false),
            ("2001:db8:0:1::1", true),
            ("127.0.0.1", true),
            ("127.9.9.9", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
        ] {
            assert_eq!(addresses.admit(address(text)).is_ok(), is_admitted, "{text}");
        }
        let loopback: Vec<_> = (0..9).map(|_| addresses.admit(address("127.0.0.1"))).collect();
        assert!(loopback.iter().all(Result::is_ok), "loopback is not limited");
    }
}
