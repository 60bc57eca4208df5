use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use slab::Slab;

/// What a registry holds, by index.
pub(super) type Entries<T> = Mutex<Slab<Weak<T>>>;

/// An entry in a registry. Dropping it removes it.
#[derive(Debug)]
pub(super) struct RegistryEntry<T> {
    index: usize,
    entries: Weak<Entries<T>>,
}

impl<T> RegistryEntry<T> {
    pub(super) fn new(index: usize, entries: &Arc<Entries<T>>) -> Self {
        Self { index, entries: Arc::downgrade(entries) }
    }
}

impl<T> Drop for RegistryEntry<T> {
    fn drop(&mut self) {
        if let Some(entries) = self.entries.upgrade() {
            entries.lock().try_remove(self.index);
        }
    }
}
