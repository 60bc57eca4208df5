//! What streams and sockets share: admission, groups, and being looked after.

use std::io;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::push::broker::{Groups, Key};
use crate::push::connection::Peer;
use crate::push::disconnect::Dropped;
use crate::push::io::socket::Wire;
use crate::push::keep_alive::Registry;
use crate::push::limits::{Admission, Permit};
use crate::push::profile::Manner;
use crate::push::timeouts::Patience;

/// What streams and sockets share.
#[derive(Debug, Clone)]
pub struct Streams {
    /// Who may connect.
    pub admission: Admission,
    /// All who asked the same.
    pub groups: Groups,
    /// All who are connected.
    pub registry: Registry,
    /// How patient the server is with them.
    pub patience: Arc<Patience>,
    /// Counts connections until they have ended.
    pub tasks: TaskTracker,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
}

impl Streams {
    /// Leave to be connected.
    pub(super) fn admit(&self, caller: &Caller, manner: &'static Manner) -> Result<Permit, Problem> {
        self.check_running()?;
        let permit = self.admission.admit(caller.address, manner.transport);
        let permit = permit.map_err(|full| Problem::overloaded(full.to_string()))?;
        Ok(permit.of_connection(caller.memberships.clone()))
    }

    /// Refuses what begins when the server stops.
    pub(super) fn check_running(&self) -> Result<(), Problem> {
        if self.stop.is_cancelled() { Err(crate::error::Error::ShuttingDown.into()) } else { Ok(()) }
    }

    /// A peer on this wire, looked after from now on; the head of its response goes out first.
    pub(super) fn connect(
        &self,
        wire: Box<dyn Wire>,
        manner: &'static Manner,
        permit: Option<Permit>,
        first: &[u8],
    ) -> Arc<Peer> {
        let peer = Peer::new(wire, manner, Arc::clone(&self.patience), permit);
        self.registry.add(&peer);
        peer.send(first);
        if self.stop.is_cancelled() {
            peer.say_goodbye();
        }
        peer
    }
}

/// What a client may send where nothing is expected, in bytes.
const MAX_IGNORED: usize = 1024 * 1024;
/// Bytes that are ignored before other connections have their turn.
const TURN: usize = 64 * 1024;

/// Waits for the end of a peer that has nothing to say. What it sends all the same is ignored, up to a limit.
pub(super) async fn until_end(peer: &Peer) {
    let mut ignored = 0;
    loop {
        peer.readable().await;
        match ignore(peer) {
            Ok(count) => ignored += count,
            Err(_) => return,
        }
        if ignored > MAX_IGNORED {
            Dropped::Flood.count();
            return peer.abort();
        }
        tokio::task::yield_now().await;
    }
}

/// Reads what has arrived, as much as one turn has. The buffer is on the stack: a quiet connection holds none.
fn ignore(peer: &Peer) -> io::Result<usize> {
    let mut buffer = [0; 4_096];
    let mut ignored = 0;
    while ignored < TURN {
        match peer.try_read(&mut buffer)? {
            Some(count) => ignored += count,
            None => break,
        }
    }
    Ok(ignored)
}

/// A hash of parts that cannot run into each other: each comes behind its length.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Key {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
