use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::message::{EventId, Latest, Message};

/// What one connection is subscribed to, and what it was sent of it.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) latest: Arc<Latest>,
    pub(super) encoding: Encoding,
    /// The id that prefixes messages, as JSON text.
    pub(super) id: Box<str>,
    /// The version that was sent last; [`ENDED`] when no more is sent. Written under the send buffer's lock only.
    last_version: AtomicU64,
    /// The alert event that was sent last; [`NO_EVENT`] before the first message, which the past does not precede.
    /// Written under the send buffer's lock only.
    last_event_id: AtomicI64,
}

/// Bytes of control messages that may wait for a client that does not read. One with more is dropped.
const MAX_CONTROL_BACKLOG: u32 = 64 * 1024;
/// No more is sent.
const ENDED: u64 = u64::MAX;
const NO_EVENT: EventId = EventId::MIN;

impl Subscription {
    /// A subscription that was sent the events up to `last_event_id`, or that gets only events to come.
    pub(super) fn new(latest: Arc<Latest>, encoding: Encoding, id: &str, last_event_id: Option<EventId>) -> Self {
        let last_event_id = AtomicI64::new(last_event_id.unwrap_or(NO_EVENT));
        Self { latest, encoding, id: id.into(), last_version: AtomicU64::new(0), last_event_id }
    }

    /// Appends the alert events that were not sent yet. Returns the last event of the message.
    pub(super) fn write_events(&self, message: &Message, framing: Framing, out: &mut Vec<u8>) -> Option<EventId> {
        if !self.encoding.has_events() {
            return None;
        }
        let (last, _) = message.events.last()?;
        let sent = self.last_event_id.load(Ordering::Relaxed);
        if sent != NO_EVENT {
            for (_, json) in message.events.iter().filter(|(id, _)| *id > sent) {
                self.encoding.write_event(json, framing, out);
            }
        }
        Some(*last)
    }

    /// Whether this version or a newer one was sent, or the subscription has ended.
    pub(super) fn is_current(&self, version: u64) -> bool {
        self.last_version.load(Ordering::Relaxed) >= version
    }

    /// Records what was sent: a version, and the event that [`Subscription::write_events`] returned. Returns how many
    /// versions were skipped.
    pub(super) fn mark_sent(&self, version: u64, last_event_id: Option<EventId>) -> u64 {
        let previous = self.last_version.swap(version, Ordering::Release);
        // After the first message every event is new, even if there was none before.
        self.last_event_id.fetch_max(last_event_id.unwrap_or(0), Ordering::Relaxed);
        if previous > 0 { version.saturating_sub(previous + 1) } else { 0 }
    }

    /// Ends the subscription. Returns false if it had ended before.
    pub(super) fn end(&self) -> bool {
        self.last_version.swap(ENDED, Ordering::AcqRel) != ENDED
    }

    /// Whether no more is sent, because the topic ended or the subscriber left.
    pub(super) fn has_ended(&self) -> bool {
        self.last_version.load(Ordering::Acquire) == ENDED
    }
}

/// What a connection has still to send.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    /// What the socket did not accept: the rest of a message, and control messages behind it.
    pub(super) pending: Vec<u8>,
    /// How much of it is control messages, until all of it is written.
    control: u32,
    /// Whether a task waits for the socket. Until then only it writes.
    pub(super) is_blocked: bool,
    /// Whether the close was sent, or the socket has failed.
    pub(super) is_closed: bool,
    /// Whether writing ends once nothing is pending.
    pub(super) close_after_flush: bool,
    pub(super) subscriptions: Vec<Arc<Subscription>>,
}

impl SendBuffer {
    /// Keeps the rest of a control message or an event. Returns false if too much of them waits. The rest of a large
    /// status does not count: a client that reads it slowly is not one that does not read.
    pub(super) fn keep_control(&mut self, rest: &[u8]) -> bool {
        let before = self.control;
        self.control = before.saturating_add(u32::try_from(rest.len()).unwrap_or(u32::MAX));
        self.pending.extend_from_slice(rest);
        before <= MAX_CONTROL_BACKLOG
    }

    /// Frees the buffer.
    pub(super) fn pending_is_written(&mut self) {
        self.pending = Vec::new();
        self.control = 0;
    }
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The socket accepted it, or a part of it; the rest is pending.
    Sent,
    /// It was sent before, or the socket blocks: this or a newer message follows later.
    Skipped,
}
