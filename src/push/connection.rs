//! The fast path: one connection's outgoing side, written to directly by whoever has something for it.
//!
//! A payload goes to the socket in one system call from the task that has it, without waking anybody. Only a socket that
//! would block gets a task of its own, until it has caught up with the newest; what it missed in between is never sent.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::time::timeout;

use crate::push::disconnect::Dropped;
use crate::push::io::socket::{Wire, is_would_block};
use crate::push::keep_alive::Registered;
use crate::push::limits::{Account, Permit};
use crate::push::message::{Ending, Payload};
use crate::push::profile::Manner;
use crate::push::subscription::Subscription;
use crate::push::timeouts::Patience;

/// Control messages that may wait for a peer that does not read, in bytes; a peer with more is dropped.
const MAX_WAITING: usize = 64 * 1024;
/// Up to this size it is cheaper to copy a payload behind its lead than to have the kernel gather two slices.
const MAX_COPIED: usize = 16 * 1024;

/// One connection's outgoing side.
#[derive(Debug)]
pub struct Peer {
    wire: Box<dyn Wire>,
    manner: &'static Manner,
    patience: Arc<Patience>,
    out: Mutex<Outbox>,
    /// Seconds since it was heard of or, if it never speaks, written to. Counted up by the registry.
    pub(super) quiet: AtomicU16,
    /// Seconds left until a connection that says its farewell is cut; none while it says none.
    pub(super) closing: AtomicU16,
    pub(super) registered: OnceLock<Registered>,
    /// Set once the client is known.
    permit: OnceLock<Permit>,
}

/// `Peer::closing` of one that says no farewell.
pub(super) const OPEN: u16 = u16::MAX;
/// How long the other side may take to answer a farewell, in seconds.
const FAREWELL: u16 = 3;

#[derive(Debug, Default)]
struct Outbox {
    /// What the socket did not take: the rest of a message, and control messages behind it.
    rest: Vec<u8>,
    /// Whether a task waits for the socket to take more; until then nobody else writes.
    is_blocked: bool,
    /// Whether the last word was said, or nothing can be said any more.
    is_closed: bool,
    /// Whether writing ends with what is being sent.
    finishes: bool,
    subscriptions: Vec<Arc<Subscription>>,
}

/// What became of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivered {
    /// The socket took all of it, or as much as it could; the rest follows.
    Sent,
    /// It is not owed, or the socket blocks: it comes later, or a newer one in its place.
    Not,
}

impl Peer {
    /// On this wire, with leave to be connected unless its client is still to be known.
    pub fn new(
        wire: Box<dyn Wire>,
        manner: &'static Manner,
        patience: Arc<Patience>,
        permit: Option<Permit>,
    ) -> Arc<Self> {
        Arc::new(Self {
            wire,
            manner,
            patience,
            out: Mutex::default(),
            quiet: AtomicU16::new(0),
            closing: AtomicU16::new(OPEN),
            registered: OnceLock::new(),
            permit: permit.map(OnceLock::from).unwrap_or_default(),
        })
    }

    /// The client is known, and has leave to be connected.
    pub fn hold(&self, permit: Permit) {
        // A client becomes known once.
        drop(self.permit.set(permit));
    }

    /// On whose account its groups count.
    pub(super) fn account(&self) -> Account {
        self.permit.get().map(|permit| permit.account().clone()).unwrap_or_default()
    }

    /// How it is kept alive and ended.
    pub fn manner(&self) -> &'static Manner {
        self.manner
    }

    /// After how many quiet seconds a beat is due.
    pub(super) fn beat_after(&self) -> u16 {
        if self.manner.answers { self.patience.ping_after } else { self.patience.heartbeat_after }
    }

    /// Sends a message of its own, behind what is being sent.
    pub fn send(self: &Arc<Self>, message: &[u8]) {
        let mut out = self.out();
        self.write_or_keep(&mut out, message);
    }

    /// Says the last word: nothing comes after it. The other side may answer it, and is cut when it does not.
    pub fn close(self: &Arc<Self>, last: &[u8]) {
        let mut out = self.out();
        self.say_last(&mut out, last, !self.manner.answers_last);
    }

    /// Says the last word, and ends writing behind it.
    pub fn finish(self: &Arc<Self>, last: &[u8]) {
        let mut out = self.out();
        self.say_last(&mut out, last, true);
    }

    /// Says what this kind of connection is owed when the server stops.
    pub fn say_goodbye(self: &Arc<Self>) {
        let mut last = Vec::new();
        (self.manner.goodbye)(&mut last);
        self.close(&last);
    }

    /// Whether the last word was said.
    pub fn is_closed(&self) -> bool {
        self.out().is_closed
    }

    /// Cuts the connection.
    pub fn abort(&self) {
        self.out().is_closed = true;
        self.wire.abort();
    }

    /// Waits until there is something to read, or the end.
    pub async fn readable(&self) {
        // An error shows again at the read.
        drop(std::future::poll_fn(|context| self.wire.poll_readable(context)).await);
    }

    /// Reads what is there: so many bytes, `None` when there is nothing for now.
    ///
    /// # Errors
    /// The end of the connection, in good order or not.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match self.wire.try_read(buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                if self.manner.answers {
                    self.quiet.store(0, Ordering::Relaxed);
                }
                Ok(Some(read))
            }
            Err(error) if is_would_block(&error) => Ok(None),
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    // The system has given it up: it acknowledged nothing, or had no room for what waits.
                    if self.out().is_blocked { Dropped::Slow } else { Dropped::Gone }.count();
                }
                Err(error)
            }
        }
    }

    pub(super) fn subscribe(&self, subscription: &Arc<Subscription>) {
        self.out().subscriptions.push(Arc::clone(subscription));
    }

    /// After this nothing more is sent for it.
    pub(super) fn unsubscribe(&self, subscription: &Arc<Subscription>) {
        let mut out = self.out();
        subscription.end();
        out.subscriptions.retain(|one| !Arc::ptr_eq(one, subscription));
    }

    /// Sends a payload to a subscription that has not seen it, unless the socket blocks.
    pub(super) fn deliver(
        self: &Arc<Self>,
        subscription: &Subscription,
        version: u64,
        payload: &Payload,
        scratch: &mut Vec<u8>,
    ) -> Delivered {
        let mut out = self.out();
        if out.is_blocked || out.is_closed || subscription.has_seen(version) {
            return Delivered::Not;
        }
        self.write_payload(&mut out, subscription, version, payload, scratch)
    }

    /// Sends what must not be skipped: it waits for its turn with a peer that does not read, and drops one that leaves too
    /// much waiting.
    pub(super) fn tell(self: &Arc<Self>, subscription: &Subscription, payload: &Payload, scratch: &mut Vec<u8>) {
        let body = payload.dressed(subscription.dress);
        scratch.clear();
        (subscription.dress.lead)(&subscription.id, body.len(), scratch);
        scratch.extend_from_slice(body);
        let mut out = self.out();
        if !subscription.has_ended() {
            self.write_or_keep(&mut out, scratch);
        }
    }

    /// Tells a subscription that there will be no more.
    pub(super) fn end(self: &Arc<Self>, subscription: &Arc<Subscription>, ending: &Ending) {
        let mut last = Vec::new();
        (subscription.dress.ending)(&subscription.id, ending, &mut last);
        let mut out = self.out();
        if !subscription.end() {
            return;
        }
        out.subscriptions.retain(|one| !Arc::ptr_eq(one, subscription));
        if subscription.dress.ends_connection {
            self.say_last(&mut out, &last, !self.manner.answers_last);
        } else {
            self.write_or_keep(&mut out, &last);
        }
    }

    fn write_payload(
        self: &Arc<Self>,
        out: &mut Outbox,
        subscription: &Subscription,
        version: u64,
        payload: &Payload,
        scratch: &mut Vec<u8>,
    ) -> Delivered {
        let body = payload.dressed(subscription.dress);
        scratch.clear();
        let told = subscription.tell(payload, scratch);
        (subscription.dress.lead)(&subscription.id, body.len(), scratch);
        let lead = scratch.len();
        let written = if lead == 0 {
            self.wire.try_write(&[IoSlice::new(body)])
        } else if body.len() <= MAX_COPIED {
            scratch.extend_from_slice(body);
            self.wire.try_write(&[IoSlice::new(scratch)])
        } else {
            self.wire.try_write(&[IoSlice::new(scratch), IoSlice::new(body)])
        };
        match written {
            Ok(written) => {
                let skipped = subscription.saw(version, told);
                if skipped > 0 {
                    self.patience.skipped.increment(skipped);
                }
                if !self.manner.answers {
                    self.quiet.store(0, Ordering::Relaxed);
                }
                if written < lead + body.len() {
                    out.rest.extend_from_slice(scratch[..lead].get(written..).unwrap_or_default());
                    out.rest.extend_from_slice(&body[written.saturating_sub(lead)..]);
                    self.block(out);
                }
                Delivered::Sent
            }
            Err(error) if is_would_block(&error) => {
                self.block(out);
                Delivered::Not
            }
            Err(error) => {
                self.fail(out, &error);
                Delivered::Not
            }
        }
    }

    fn say_last(self: &Arc<Self>, out: &mut Outbox, last: &[u8], finishes: bool) {
        self.write_or_keep(out, last);
        if !std::mem::replace(&mut out.is_closed, true) {
            self.closing.store(FAREWELL, Ordering::Relaxed);
        }
        out.finishes |= finishes;
        if out.finishes && !out.is_blocked {
            self.wire.finish();
        }
    }

    fn write_or_keep(self: &Arc<Self>, out: &mut Outbox, message: &[u8]) {
        if out.is_closed {
            return;
        }
        let mut written = 0;
        if !out.is_blocked {
            match self.wire.try_write(&[IoSlice::new(message)]) {
                Ok(count) => written = count,
                Err(error) if is_would_block(&error) => {}
                Err(error) => return self.fail(out, &error),
            }
        }
        if written < message.len() {
            out.rest.extend_from_slice(&message[written..]);
            if out.rest.len() > MAX_WAITING + message.len() {
                Dropped::Slow.count();
                return self.give_up(out);
            }
            self.block(out);
        }
    }

    /// A write has failed.
    fn fail(&self, out: &mut Outbox, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            Dropped::Slow.count();
        }
        self.give_up(out);
    }

    fn give_up(&self, out: &mut Outbox) {
        out.is_closed = true;
        out.rest = Vec::new();
        self.wire.abort();
    }

    /// From here on a task of its own waits for the socket.
    fn block(self: &Arc<Self>, out: &mut Outbox) {
        if !std::mem::replace(&mut out.is_blocked, true) {
            tokio::spawn(Arc::clone(self).catch_up());
        }
    }

    async fn catch_up(self: Arc<Self>) {
        loop {
            let writable = std::future::poll_fn(|context| self.wire.poll_writable(context));
            match timeout(self.patience.write, writable).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return self.fail(&mut self.out(), &error),
                Err(_) => {
                    Dropped::Slow.count();
                    return self.give_up(&mut self.out());
                }
            }
            if self.write_what_waits() {
                return;
            }
        }
    }

    /// Writes the rest, and then to each subscription that is behind the newest. Whether all of it went out.
    fn write_what_waits(self: &Arc<Self>) -> bool {
        let mut out = self.out();
        while !out.rest.is_empty() {
            match self.wire.try_write(&[IoSlice::new(&out.rest)]) {
                Ok(0) => return false,
                Ok(written) => drop(out.rest.drain(..written)),
                Err(error) if is_would_block(&error) => return false,
                Err(error) => {
                    self.fail(&mut out, &error);
                    return true;
                }
            }
        }
        out.rest = Vec::new();
        let mut scratch = Vec::new();
        for subscription in out.subscriptions.clone() {
            let (version, newest) = subscription.group.newest();
            if let Some(payload) = newest
                && !subscription.has_seen(version)
                && !out.is_closed
            {
                let delivered = self.write_payload(&mut out, &subscription, version, &payload, &mut scratch);
                if delivered == Delivered::Not && !out.is_closed || !out.rest.is_empty() {
                    return false;
                }
            }
        }
        out.is_blocked = false;
        if out.finishes {
            self.wire.finish();
        }
        true
    }

    // A std mutex: nobody waits while holding it, and nearly always there is but one who wants it.
    fn out(&self) -> MutexGuard<'_, Outbox> {
        self.out.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
