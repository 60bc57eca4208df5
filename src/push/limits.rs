use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who may open a stream or a socket: so many in all, and so many from one address.
#[derive(Debug, Clone)]
pub struct Admission {
    all: Arc<Semaphore>,
    addresses: Addresses,
}

/// Leave to be connected. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    _one: OwnedSemaphorePermit,
    _address: AddressPermit,
    account: Account,
    transport: &'static str,
}

/// On whose account the groups count that a connection is a member of.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// The client's address, as [`counted_as`] gives it.
    pub address: Option<IpAddr>,
    /// The memberships of the connection, where several streams share one.
    pub connection: Option<Arc<AtomicUsize>>,
}

/// How many connections each address has, up to a limit.
///
/// An IPv6 address counts by its /64 network, since one client has all of it. Loopback addresses are not limited: a proxy
/// on the same machine has every client behind it.
#[derive(Debug, Clone)]
pub struct Addresses {
    most: usize,
    counts: Arc<Counts>,
}

type Counts = Mutex<HashMap<IpAddr, usize>>;

/// One connection of an address. Dropping it ends the counting.
#[derive(Debug)]
pub struct AddressPermit {
    counted: Option<(IpAddr, Arc<Counts>)>,
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// So many are connected in all.
    #[error("the connection limit of the server (max_connections) is reached; try again later")]
    Connections,
    /// So many are connected from one address.
    #[error(
        "the connection limit of this address (max_connections_per_address) is reached; close one, or try again later"
    )]
    Address,
}

impl Full {
    /// Counts a refusal.
    fn refuse(self) -> Self {
        let limit = if self == Self::Address { "address" } else { "connections" };
        counter!("pipewatch_connections_refused_total", "limit" => limit).increment(1);
        self
    }
}

/// As which address a connection counts; `None` for loopback, which is not limited.
pub fn counted_as(address: IpAddr) -> Option<IpAddr> {
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

impl Addresses {
    /// At most this many connections of each address.
    pub fn new(most: usize) -> Self {
        Self { most, counts: Arc::default() }
    }

    /// Counts a connection.
    ///
    /// # Errors
    /// When its address has reached the limit.
    pub fn admit(&self, address: IpAddr) -> Result<AddressPermit, Full> {
        let Some(address) = counted_as(address) else { return Ok(AddressPermit { counted: None }) };
        let mut counts = lock(&self.counts);
        let count = counts.entry(address).or_default();
        if *count >= self.most {
            return Err(Full::Address.refuse());
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

impl Admission {
    /// So many in all, and so many from one address.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        let all = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { all, addresses: Addresses::new(most_per_address) }
    }

    /// Leave for one connection.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn admit(&self, address: IpAddr, transport: &'static str) -> Result<Permit, Full> {
        let one = Arc::clone(&self.all).try_acquire_owned().map_err(|_| Full::Connections.refuse())?;
        let account = Account { address: counted_as(address), connection: None };
        let address = self.addresses.admit(address)?;
        gauge!("pipewatch_connections", "transport" => transport).increment(1);
        counter!("pipewatch_connections_opened_total", "transport" => transport).increment(1);
        Ok(Permit { _one: one, _address: address, account, transport })
    }
}

impl Permit {
    /// For one of the streams of a connection, whose memberships are counted together.
    #[must_use]
    pub fn of_connection(mut self, memberships: Option<Arc<AtomicUsize>>) -> Self {
        self.account.connection = memberships;
        self
    }

    /// On whose account the groups count.
    pub fn account(&self) -> &Account {
        &self.account
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        gauge!("pipewatch_connections", "transport" => self.transport).decrement(1);
    }
}

fn lock(counts: &Counts) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_permits_come_back() {
        let admission = Admission::new(3, 2);
        let address = |last: u8| IpAddr::from([192, 0, 2, last]);
        let first = admission.admit(address(1), "sse").expect("the first");
        let _second = admission.admit(address(1), "sse").expect("the second");
        assert_eq!(admission.admit(address(1), "sse").map(drop), Err(Full::Address));
        let _third = admission.admit(address(2), "sse").expect("from elsewhere");
        assert_eq!(admission.admit(address(3), "sse").map(drop), Err(Full::Connections));
        drop(first);
        assert!(admission.admit(address(1), "sse").is_ok());
        assert_eq!(lock(&admission.addresses.counts).len(), 2, "nothing is kept of who is gone");
    }

    #[test]
    fn addresses_of_one_client_count_together() {
        let addresses = Addresses::new(1);
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
