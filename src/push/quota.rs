use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::{Mutex, MutexGuard};

use crate::push::limits::Account;

/// Identifies a topic: a hash of everything that its messages depend on.
pub type TopicKey = [u8; 32];

/// How many distinct topics there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicLimits {
    /// In all.
    pub(super) all: usize,
    /// That one address is subscribed to.
    pub(super) per_address: usize,
    /// Subscriptions of one connection.
    pub(super) per_connection: usize,
}

/// The limit that a subscription exceeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TooManyTopics {
    /// Of the server.
    #[error(
        "the server has {0} distinct subscriptions, which is the limit (max_distinct_subscriptions); try again later"
    )]
    All(usize),
    /// Of one address.
    #[error(
        "this address has {0} distinct subscriptions, which is the limit (a tenth of max_distinct_subscriptions); end one, or try again \
         later"
    )]
    Address(usize),
    /// Of one connection.
    #[error("this connection has {0} subscriptions, which is the limit (max_subscriptions); end one, or open another")]
    Connection(usize),
}

/// Which topics each address is subscribed to, and how often.
#[derive(Debug, Clone)]
pub(super) struct TopicQuota {
    pub(super) limits: TopicLimits,
    by_address: Arc<Mutex<ByAddress>>,
}

type ByAddress = HashMap<IpAddr, HashMap<TopicKey, usize>>;

/// A subscription that counts against the limits of its account until it is dropped.
#[derive(Debug)]
pub(super) struct QuotaPermit {
    key: TopicKey,
    account: Account,
    by_address: Arc<Mutex<ByAddress>>,
}

impl TopicQuota {
    pub(super) fn new(limits: TopicLimits) -> Self {
        Self { limits, by_address: Arc::default() }
    }

    /// Counts a subscription. Accounts without limits, which most are, need no permit.
    pub(super) fn acquire(&self, key: TopicKey, account: Account) -> Result<Option<Box<QuotaPermit>>, TooManyTopics> {
        let limits = self.limits;
        if account.address.is_none() && account.subscriptions.is_none() {
            return Ok(None);
        }
        let mut by_address = lock(&self.by_address);
        let subscriptions = account.subscriptions.as_ref().map_or(0, |count| count.load(Ordering::Relaxed));
        if subscriptions >= limits.per_connection {
            return Err(TooManyTopics::Connection(limits.per_connection));
        }
        if let Some(address) = account.address {
            let topics = by_address.get(&address);
            if topics.is_some_and(|topics| topics.len() >= limits.per_address && !topics.contains_key(&key)) {
                return Err(TooManyTopics::Address(limits.per_address));
            }
            *by_address.entry(address).or_default().entry(key).or_default() += 1;
        }
        if let Some(count) = &account.subscriptions {
            count.fetch_add(1, Ordering::Relaxed);
        }
        drop(by_address);
        Ok(Some(Box::new(QuotaPermit { key, account, by_address: Arc::clone(&self.by_address) })))
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        if let Some(count) = &self.account.subscriptions {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(address) = self.account.address else { return };
        let mut by_address = lock(&self.by_address);
        let Some(topics) = by_address.get_mut(&address) else { return };
        if let Entry::Occupied(mut count) = topics.entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if topics.is_empty() {
            by_address.remove(&address);
        }
    }
}

fn lock(by_address: &Mutex<ByAddress>) -> MutexGuard<'_, ByAddress> {
    by_address.lock()
}
