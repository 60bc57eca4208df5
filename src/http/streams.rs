//! What streams and sockets share: admission, groups, and being looked after.

use std::net::IpAddr;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::problem::Problem;
use crate::live::admission::{Admission, Permit};
use crate::live::group::{Groups, Key};
use crate::live::manner::Manner;
use crate::live::patience::Patience;
use crate::live::peer::Peer;
use crate::live::registry::Registry;
use crate::live::wire::Wire;

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
    pub(super) fn admit(&self, address: IpAddr, manner: &'static Manner) -> Result<Permit, Problem> {
        if self.stop.is_cancelled() {
            return Err(crate::error::Error::ShuttingDown.into());
        }
        self.admission.admit(address, manner.transport).map_err(|full| Problem::overloaded(full.to_string()))
    }

    /// A peer on this wire, looked after from now on; the head of its response goes out first.
    pub(super) fn connect(
        &self,
        wire: Box<dyn Wire>,
        manner: &'static Manner,
        permit: Permit,
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

/// Waits for the end of a peer that has nothing to say; what it says all the same is ignored.
pub(super) async fn until_end(peer: &Peer) {
    loop {
        peer.readable().await;
        let mut buffer = [0; 512];
        loop {
            match peer.try_read(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
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
