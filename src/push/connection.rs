//! The fast path: messages are written to the socket by whichever task has them.
//!
//! A message goes out in one system call, without waking a task of the connection. Only a socket that would block gets
//! a task of its own, until it has caught up with the newest message; what it missed in between is never sent.

use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, LazyLock, OnceLock};

use metrics::{Counter, counter};
use parking_lot::{Mutex, MutexGuard};
use tokio::time::timeout;

use crate::push::completion::Completion;
use crate::push::disconnect::DisconnectReason;
use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::io::socket::{Socket, is_would_block};
use crate::push::limits::{Account, ConnectionPermit};
use crate::push::message::Message;
use crate::push::profile::TransportProfile;
use crate::push::registry_entry::RegistryEntry;
use crate::push::subscription::{Delivery, SendBuffer, Subscription};
use crate::push::timeouts::Timeouts;

/// Up to this many bytes a message is copied behind its prefix, which is cheaper than two slices for the kernel.
const MAX_COPIED: usize = 16 * 1024;

/// Messages that slow connections were not sent.
static SKIPPED: LazyLock<Counter> = LazyLock::new(|| counter!("pipewatch_messages_skipped_total"));

/// `Connection::close_deadline_secs` of a connection that is not closing.
pub(super) const NOT_CLOSING: u16 = u16::MAX;
/// How long a client may take to answer a close, in seconds.
const CLOSE_TIMEOUT_SECS: u16 = 3;

/// The outgoing side of one connection.
#[derive(Debug)]
pub struct Connection {
    socket: Box<dyn Socket>,
    profile: TransportProfile,
    framing: Framing,
    timeouts: Arc<Timeouts>,
    buffer: Mutex<SendBuffer>,
    /// Seconds since the client sent something or, if it never does, since something was written to it. Counted up by
    /// the registry.
    pub(super) idle_secs: AtomicU16,
    /// Seconds until a closing connection is dropped, or [`NOT_CLOSING`].
    pub(super) close_deadline_secs: AtomicU16,
    pub(super) registered: OnceLock<RegistryEntry<Self>>,
    /// Set once the client is authenticated.
    permit: OnceLock<ConnectionPermit>,
}

impl Connection {
    /// A connection on this socket. Without a permit the client is still to be authenticated.
    pub fn new(
        socket: Box<dyn Socket>,
        profile: TransportProfile,
        framing: Framing,
        timeouts: Arc<Timeouts>,
        permit: Option<ConnectionPermit>,
    ) -> Arc<Self> {
        Arc::new(Self {
            socket,
            profile,
            framing,
            timeouts,
            buffer: Mutex::default(),
            idle_secs: AtomicU16::new(0),
            close_deadline_secs: AtomicU16::new(NOT_CLOSING),
            registered: OnceLock::new(),
            permit: permit.map(OnceLock::from).unwrap_or_default(),
        })
    }

    /// The client is authenticated, and admitted.
    pub fn set_permit(&self, permit: ConnectionPermit) {
        // A client is authenticated once.
        drop(self.permit.set(permit));
    }

    /// The account that its subscriptions count against.
    pub(super) fn account(&self) -> Account {
        self.permit.get().map(|permit| permit.account().clone()).unwrap_or_default()
    }

    pub(super) fn profile(&self) -> TransportProfile {
        self.profile
    }

    /// After how many idle seconds a ping or a heartbeat is due.
    pub(super) fn keep_alive_interval(&self) -> u16 {
        if self.profile.expects_pong() { self.timeouts.ping_interval } else { self.timeouts.heartbeat_interval }
    }

    pub(super) fn send_keep_alive(self: &Arc<Self>) {
        self.send(self.profile.keep_alive(self.framing));
    }

    /// Sends bytes after the pending ones.
    pub fn send(self: &Arc<Self>, bytes: &[u8]) {
        let mut buffer = self.buffer();
        self.write_or_buffer(&mut buffer, bytes);
    }

    /// Sends a message that only the subscription of this id gets.
    pub fn send_message(self: &Arc<Self>, encoding: Encoding, id: &str, json: &[u8]) {
        let mut bytes = Vec::new();
        encoding.write_message(id, json, self.framing, &mut bytes);
        self.send(&bytes);
    }

    /// Sends the end of an operation that has no topic.
    pub fn complete(self: &Arc<Self>, encoding: Encoding, id: &str, completion: &Completion) {
        let mut bytes = Vec::new();
        encoding.write_completion(id, completion, self.framing, &mut bytes);
        if encoding.closes_connection() { self.close(&bytes) } else { self.send(&bytes) }
    }

    /// Sends the last bytes. The client may answer them, and is dropped if it does not.
    pub fn close(self: &Arc<Self>, last: &[u8]) {
        let mut buffer = self.buffer();
        self.send_final(&mut buffer, last, !self.profile.waits_for_close_ack());
    }

    /// Sends the last bytes and ends writing behind them.
    pub fn close_and_shutdown(self: &Arc<Self>, last: &[u8]) {
        let mut buffer = self.buffer();
        self.send_final(&mut buffer, last, true);
    }

    /// Closes the connection because the server stops.
    pub fn close_gracefully(self: &Arc<Self>) {
        let mut last = Vec::new();
        self.profile.write_shutdown(self.framing, &mut last);
        self.close(&last);
    }

    /// Whether the close was sent.
    pub fn is_closed(&self) -> bool {
        self.buffer().is_closed
    }

    /// Drops the connection.
    pub fn abort(&self) {
        self.buffer().is_closed = true;
        self.socket.abort();
    }

    /// Waits until there is something to read, or the end.
    pub async fn readable(&self) {
        // The next read returns the error as well.
        drop(std::future::poll_fn(|context| self.socket.poll_readable(context)).await);
    }

    /// Reads what has arrived; `None` if nothing has.
    ///
    /// # Errors
    /// When the connection has ended, properly or not.
    pub fn try_read(&self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        match self.socket.try_read(bytes) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                if self.profile.expects_pong() {
                    self.idle_secs.store(0, Ordering::Relaxed);
                }
                Ok(Some(read))
            }
            Err(error) if is_would_block(&error) => Ok(None),
            Err(error) => {
                if error.kind() == io::ErrorKind::TimedOut {
                    // The system dropped it: the client acknowledged nothing, or accepted nothing that was pending.
                    let is_slow = self.buffer().is_blocked;
                    if is_slow { DisconnectReason::Slow } else { DisconnectReason::Unresponsive }.count();
                }
                Err(error)
            }
        }
    }

    pub(super) fn subscribe(&self, subscription: &Arc<Subscription>) {
        self.buffer().subscriptions.push(Arc::clone(subscription));
    }

    /// Nothing more is sent for the subscription after this.
    pub(super) fn unsubscribe(&self, subscription: &Arc<Subscription>) {
        let mut buffer = self.buffer();
        subscription.end();
        buffer.subscriptions.retain(|one| !Arc::ptr_eq(one, subscription));
    }

    /// Sends a message to a subscription that was not sent it yet, unless the socket blocks.
    pub(super) fn push(
        self: &Arc<Self>,
        subscription: &Subscription,
        version: u64,
        message: &Message,
        scratch: &mut Vec<u8>,
    ) -> Delivery {
        let mut buffer = self.buffer();
        if buffer.is_blocked || buffer.is_closed || subscription.is_current(version) {
            return Delivery::Skipped;
        }
        self.write_message(&mut buffer, subscription, version, message, scratch)
    }

    /// Sends an event, which is never skipped: it waits for a client that does not read. One with too much pending is
    /// dropped.
    pub(super) fn send_event(self: &Arc<Self>, subscription: &Subscription, event: &Message, scratch: &mut Vec<u8>) {
        let shared = subscription.encoding.in_framing(event.encoded(subscription.encoding), self.framing);
        scratch.clear();
        subscription.encoding.write_prefix(&subscription.id, shared.len(), self.framing, scratch);
        scratch.extend_from_slice(shared);
        let mut buffer = self.buffer();
        if !subscription.has_ended() {
            self.write_or_buffer(&mut buffer, scratch);
        }
    }

    /// Ends a subscription.
    pub(super) fn end(self: &Arc<Self>, subscription: &Arc<Subscription>, completion: &Completion) {
        let mut last = Vec::new();
        subscription.encoding.write_completion(&subscription.id, completion, self.framing, &mut last);
        let mut buffer = self.buffer();
        if !subscription.end() {
            return;
        }
        buffer.subscriptions.retain(|one| !Arc::ptr_eq(one, subscription));
        if subscription.encoding.closes_connection() {
            self.send_final(&mut buffer, &last, !self.profile.waits_for_close_ack());
        } else {
            self.write_or_buffer(&mut buffer, &last);
        }
    }

    fn write_message(
        self: &Arc<Self>,
        buffer: &mut SendBuffer,
        subscription: &Subscription,
        version: u64,
        message: &Message,
        scratch: &mut Vec<u8>,
    ) -> Delivery {
        let shared = subscription.encoding.in_framing(message.encoded(subscription.encoding), self.framing);
        scratch.clear();
        let last_event_id = subscription.write_events(message, self.framing, scratch);
        subscription.encoding.write_prefix(&subscription.id, shared.len(), self.framing, scratch);
        let prefix = scratch.len();
        let written = if prefix == 0 {
            self.socket.try_write(&[IoSlice::new(shared)])
        } else if shared.len() <= MAX_COPIED {
            scratch.extend_from_slice(shared);
            self.socket.try_write(&[IoSlice::new(scratch)])
        } else {
            self.socket.try_write(&[IoSlice::new(scratch), IoSlice::new(shared)])
        };
        match written {
            Ok(written) => {
                let skipped = subscription.mark_sent(version, last_event_id);
                if skipped > 0 {
                    SKIPPED.increment(skipped);
                }
                if !self.profile.expects_pong() {
                    self.idle_secs.store(0, Ordering::Relaxed);
                }
                if written < prefix + shared.len() {
                    buffer.pending.extend_from_slice(scratch[..prefix].get(written..).unwrap_or_default());
                    buffer.pending.extend_from_slice(&shared[written.saturating_sub(prefix)..]);
                    self.spawn_flush_task(buffer);
                }
                Delivery::Sent
            }
            Err(error) if is_would_block(&error) => {
                self.spawn_flush_task(buffer);
                Delivery::Skipped
            }
            Err(error) => {
                self.fail(buffer, &error);
                Delivery::Skipped
            }
        }
    }

    fn send_final(self: &Arc<Self>, buffer: &mut SendBuffer, last: &[u8], close_after_flush: bool) {
        self.write_or_buffer(buffer, last);
        if !std::mem::replace(&mut buffer.is_closed, true) {
            self.close_deadline_secs.store(CLOSE_TIMEOUT_SECS, Ordering::Relaxed);
        }
        buffer.close_after_flush |= close_after_flush;
        if buffer.close_after_flush && !buffer.is_blocked {
            self.socket.shutdown_write();
        }
    }

    fn write_or_buffer(self: &Arc<Self>, buffer: &mut SendBuffer, bytes: &[u8]) {
        if buffer.is_closed {
            return;
        }
        let mut written = 0;
        if !buffer.is_blocked {
            match self.socket.try_write(&[IoSlice::new(bytes)]) {
                Ok(count) => written = count,
                Err(error) if is_would_block(&error) => {}
                Err(error) => return self.fail(buffer, &error),
            }
        }
        if written < bytes.len() {
            if !buffer.keep_control(&bytes[written..]) {
                return self.abort_with(buffer, DisconnectReason::Slow);
            }
            self.spawn_flush_task(buffer);
        }
    }

    /// Drops the connection after a write has failed.
    fn fail(&self, buffer: &mut SendBuffer, error: &io::Error) {
        if error.kind() == io::ErrorKind::TimedOut {
            DisconnectReason::Slow.count();
        }
        self.drop_buffered(buffer);
    }

    fn abort_with(&self, buffer: &mut SendBuffer, reason: DisconnectReason) {
        reason.count();
        self.drop_buffered(buffer);
    }

    fn drop_buffered(&self, buffer: &mut SendBuffer) {
        buffer.is_closed = true;
        buffer.pending = Vec::new();
        self.socket.abort();
    }

    /// From here on a task waits for the socket.
    fn spawn_flush_task(self: &Arc<Self>, buffer: &mut SendBuffer) {
        if !std::mem::replace(&mut buffer.is_blocked, true) {
            tokio::spawn(Arc::clone(self).flush_when_writable());
        }
    }

    async fn flush_when_writable(self: Arc<Self>) {
        loop {
            let writable = std::future::poll_fn(|context| self.socket.poll_writable(context));
            match timeout(self.timeouts.write, writable).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return self.fail(&mut self.buffer(), &error),
                Err(_) => return self.abort_with(&mut self.buffer(), DisconnectReason::Slow),
            }
            if self.flush() {
                return;
            }
        }
    }

    /// Writes the pending bytes, then the newest message to each subscription that is behind. Returns whether
    /// everything was written.
    fn flush(self: &Arc<Self>) -> bool {
        let mut buffer = self.buffer();
        while !buffer.pending.is_empty() {
            match self.socket.try_write(&[IoSlice::new(&buffer.pending)]) {
                Ok(0) => return false,
                Ok(written) => drop(buffer.pending.drain(..written)),
                Err(error) if is_would_block(&error) => return false,
                Err(error) => {
                    self.fail(&mut buffer, &error);
                    return true;
                }
            }
        }
        buffer.pending_is_written();
        let mut scratch = Vec::new();
        for subscription in buffer.subscriptions.clone() {
            let (version, newest) = subscription.latest.get();
            if let Some(message) = newest
                && !subscription.is_current(version)
                && !buffer.is_closed
            {
                let delivery = self.write_message(&mut buffer, &subscription, version, &message, &mut scratch);
                if delivery == Delivery::Skipped && !buffer.is_closed || !buffer.pending.is_empty() {
                    return false;
                }
            }
        }
        buffer.is_blocked = false;
        if buffer.close_after_flush {
            self.socket.shutdown_write();
        }
        true
    }

    // A synchronous mutex: no task awaits while holding it, and it is nearly always free.
    fn buffer(&self) -> MutexGuard<'_, SendBuffer> {
        self.buffer.lock()
    }
}
