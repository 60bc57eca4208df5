use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::push::broker::Group;
use crate::push::message::{Dress, Payload};

/// What one connection is subscribed to: a group, in the dress of its transport.
#[derive(Debug)]
pub struct Subscription {
    pub(super) group: Arc<Group>,
    pub(super) dress: &'static Dress,
    pub(super) id: Box<str>,
    /// The version that it was last sent; [`ENDED`] when no more is owed. Written under the outbox's lock only.
    seen: AtomicU64,
    /// The number of the last step of an alert that it was told of; [`NEW`] for one that is told of what comes. Written under
    /// the outbox's lock only.
    told: AtomicI64,
}

/// Of a subscription to which the steps so far are past.
pub const NEW: i64 = -1;

/// No more is owed.
const ENDED: u64 = u64::MAX;

impl Subscription {
    pub(super) fn new(group: Arc<Group>, dress: &'static Dress, id: &str, told: i64) -> Self {
        Self { group, dress, id: id.into(), seen: AtomicU64::new(0), told: AtomicI64::new(told) }
    }

    /// Writes the steps of alerts that it has not been told of; gives the number of the last.
    pub(super) fn tell(&self, payload: &Payload, out: &mut Vec<u8>) -> Option<i64> {
        let (alert, (last, _)) = (self.dress.alert?, payload.alerts.last()?);
        let told = self.told.load(Ordering::Relaxed);
        if told != NEW {
            for (_, json) in payload.alerts.iter().filter(|(number, _)| *number > told) {
                alert(json, out);
            }
        }
        Some(*last)
    }

    /// Whether it was sent this version, or a newer one, or none is owed.
    pub(super) fn has_seen(&self, version: u64) -> bool {
        self.seen.load(Ordering::Relaxed) >= version
    }

    /// It was sent this version, and what [`Subscription::tell`] gave: how many versions it has skipped.
    pub(super) fn saw(&self, version: u64, told: Option<i64>) -> u64 {
        let seen = self.seen.swap(version, Ordering::Release);
        // With its first payload begins what is news to a subscription, though there was none yet.
        self.told.fetch_max(told.unwrap_or(0), Ordering::Relaxed);
        if seen > 0 { version.saturating_sub(seen + 1) } else { 0 }
    }

    /// From here on no more is owed. Whether more was.
    pub(super) fn end(&self) -> bool {
        self.seen.swap(ENDED, Ordering::AcqRel) != ENDED
    }

    /// Whether no more is owed, because it ended or was given up.
    pub fn has_ended(&self) -> bool {
        self.seen.load(Ordering::Acquire) == ENDED
    }
}
