use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use crate::push::broker::{Key, TooManyGroups};
use crate::push::limits::Account;

/// How many different groups there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// In all.
    pub(super) all: usize,
    /// That one address is a member of.
    pub(super) per_address: usize,
    /// Memberships of one connection.
    pub(super) per_connection: usize,
}

/// Which groups each address is a member of, and how often.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_address: HashMap<IpAddr, HashMap<Key, usize>>,
}

impl Slots {
    /// Whether a membership is within the limits of its account.
    pub(super) fn check(&self, key: &Key, account: &Account, limits: Limits) -> Result<(), TooManyGroups> {
        let memberships = account.connection.as_ref().map_or(0, |count| count.load(Ordering::Relaxed));
        if memberships >= limits.per_connection {
            return Err(TooManyGroups::Connection(limits.per_connection));
        }
        let groups = account.address.and_then(|address| self.by_address.get(&address));
        if groups.is_some_and(|groups| groups.len() >= limits.per_address && !groups.contains_key(key)) {
            return Err(TooManyGroups::Address(limits.per_address));
        }
        Ok(())
    }

    pub(super) fn take(&mut self, key: Key, account: &Account) {
        if let Some(count) = &account.connection {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(address) = account.address {
            *self.by_address.entry(address).or_default().entry(key).or_default() += 1;
        }
    }

    pub(super) fn give_back(&mut self, key: Key, account: &Account) {
        if let Some(count) = &account.connection {
            count.fetch_sub(1, Ordering::Relaxed);
        }
        let Some(address) = account.address else { return };
        let Some(groups) = self.by_address.get_mut(&address) else { return };
        if let Entry::Occupied(mut count) = groups.entry(key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
        if groups.is_empty() {
            self.by_address.remove(&address);
        }
    }
}
