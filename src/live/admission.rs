use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{counter, gauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Who may open a stream or a socket: so many in all, and so many from one address.
#[derive(Debug, Clone)]
pub struct Admission {
    all: Arc<Semaphore>,
    most_per_address: usize,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// Leave to be connected. Dropping it gives it back.
#[derive(Debug)]
pub struct Permit {
    _one: OwnedSemaphorePermit,
    address: IpAddr,
    by_address: Arc<Mutex<HashMap<IpAddr, usize>>>,
    transport: &'static str,
}

/// The limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    /// So many are connected in all.
    #[error("the server has as many connections as it takes")]
    Connections,
    /// So many are connected from one address.
    #[error("there are as many connections from this address as the server takes")]
    Address,
}

impl Admission {
    /// So many in all, and so many from one address.
    pub fn new(most: usize, most_per_address: usize) -> Self {
        let all = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { all, most_per_address, by_address: Arc::default() }
    }

    /// Leave for one connection.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn admit(&self, address: IpAddr, transport: &'static str) -> Result<Permit, Full> {
        let refuse = |full: Full| {
            let limit = if full == Full::Address { "address" } else { "connections" };
            counter!("pipewatch_connections_refused_total", "limit" => limit).increment(1);
            full
        };
        let one = Arc::clone(&self.all).try_acquire_owned().map_err(|_| refuse(Full::Connections))?;
        let mut by_address = lock(&self.by_address);
        let count = by_address.entry(address).or_default();
        if *count >= self.most_per_address {
            return Err(refuse(Full::Address));
        }
        *count += 1;
        drop(by_address);
        gauge!("pipewatch_connections", "transport" => transport).increment(1);
        counter!("pipewatch_connections_opened_total", "transport" => transport).increment(1);
        Ok(Permit { _one: one, address, by_address: Arc::clone(&self.by_address), transport })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut by_address = lock(&self.by_address);
        if let Some(count) = by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                by_address.remove(&self.address);
            }
        }
        drop(by_address);
        gauge!("pipewatch_connections", "transport" => self.transport).decrement(1);
    }
}

fn lock(by_address: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    by_address.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_permits_come_back() {
        let admission = Admission::new(3, 2);
        let address = |last: u8| IpAddr::from([127, 0, 0, last]);
        let first = admission.admit(address(1), "sse").expect("the first");
        let _second = admission.admit(address(1), "sse").expect("the second");
        assert_eq!(admission.admit(address(1), "sse").map(drop), Err(Full::Address));
        let _third = admission.admit(address(2), "sse").expect("from elsewhere");
        assert_eq!(admission.admit(address(3), "sse").map(drop), Err(Full::Connections));
        drop(first);
        assert!(admission.admit(address(1), "sse").is_ok());
        assert_eq!(lock(&admission.by_address).len(), 2, "nothing is kept of who is gone");
    }
}
