use std::sync::Arc;

use crate::push::subscription::Subscription;

/// What a connection has still to send.
#[derive(Debug, Default)]
pub(super) struct SendBuffer {
    /// What the socket did not accept: the rest of a message, and control messages behind it.
    pub(super) pending: Vec<u8>,
    /// Whether a task waits for the socket. Until then only it writes.
    pub(super) is_blocked: bool,
    /// Whether the close was sent, or the socket has failed.
    pub(super) is_closed: bool,
    /// Whether writing ends once nothing is pending.
    pub(super) close_after_flush: bool,
    pub(super) subscriptions: Vec<Arc<Subscription>>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The socket accepted it, or a part of it; the rest is pending.
    Sent,
    /// It was sent before, or the socket blocks: this or a newer message follows later.
    Skipped,
}
