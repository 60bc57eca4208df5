use std::fmt;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use crate::domain::pipeline::PipelineKey;

/// Who looks, and so what may be shown.
///
/// Every route and resolver takes one. At first everyone sees everything; access rules will find their place here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Viewer {
    actor: Actor,
}

/// Who acts, and from where: for the audit log. What may be seen does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actor {
    /// The token; none where the server has none.
    pub token: Option<Fingerprint>,
    /// The address of the client.
    pub address: Option<IpAddr>,
}

/// What a log may say of a token: the first 32 bits of its SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 4]);

impl Fingerprint {
    /// The fingerprint of a token.
    pub fn of(token: &str) -> Self {
        Self::of_digest(&Sha256::digest(token.as_bytes()).into())
    }

    /// The fingerprint of a token of which only the digest is known.
    pub fn of_digest(digest: &[u8; 32]) -> Self {
        let [a, b, c, d, ..] = *digest;
        Self([a, b, c, d])
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl Viewer {
    /// The viewer who acts so.
    pub fn new(actor: Actor) -> Self {
        Self { actor }
    }

    /// The same, at this address.
    #[must_use]
    pub fn at(self, address: IpAddr) -> Self {
        Self { actor: Actor { address: Some(address), ..self.actor } }
    }

    /// Who acts.
    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Whether this viewer may see the pipeline. What may not be seen does not exist for them.
    #[allow(clippy::unused_self, reason = "the answer will depend on the viewer")]
    pub fn may_see(&self, _pipeline: &PipelineKey) -> bool {
        true
    }

    /// What tells apart viewers who may see different things: part of every key under which answers are shared.
    #[allow(clippy::unused_self, reason = "the answer will depend on the viewer")]
    pub fn scope(&self) -> &'static [u8] {
        b"everything"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_the_beginning_of_the_digest() {
        // `printf token | sha256sum`
        assert_eq!(Fingerprint::of("token").to_string(), "3c469e9d");
        let leading_zeros = Fingerprint([0, 0, 0, 1]);
        assert_eq!(leading_zeros.to_string(), "00000001");
    }
}
