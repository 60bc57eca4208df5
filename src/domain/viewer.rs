use std::fmt;
use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use crate::domain::key::PipelineKey;

/// The user on whose behalf a request runs. Decides what may be shown.
///
/// Every route and resolver takes one. At present everyone may see everything; access rules belong here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Viewer {
    actor: Actor,
}

/// The token and address of a request, for the audit log. Access does not depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Actor {
    /// `None` if the server has no tokens.
    pub token: Option<Fingerprint>,
    pub address: Option<IpAddr>,
}

/// Identifies a token in logs: the first 32 bits of its SHA-256 digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 4]);

impl Fingerprint {
    pub fn of(token: &str) -> Self {
        Self::of_digest(&Sha256::digest(token.as_bytes()).into())
    }

    /// From the SHA-256 digest of a token.
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
    pub fn new(actor: Actor) -> Self {
        Self { actor }
    }

    #[must_use]
    pub fn at(self, address: IpAddr) -> Self {
        Self { actor: Actor { address: Some(address), ..self.actor } }
    }

    pub fn actor(&self) -> Actor {
        self.actor
    }

    /// Whether this viewer may see the pipeline. A hidden pipeline is reported as not found.
    #[allow(clippy::unused_self, reason = "the answer will depend on the viewer")]
    pub fn may_see(&self, _pipeline: &PipelineKey) -> bool {
        true
    }

    /// Distinguishes viewers with different access: part of every key under which results are shared.
    #[allow(clippy::unused_self, reason = "the answer will depend on the viewer")]
    pub fn scope(&self) -> &'static [u8] {
        b"everything"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprint_is_the_start_of_the_digest() {
        // `printf token | sha256sum`
        assert_eq!(Fingerprint::of("token").to_string(), "3c469e9d");
        let leading_zeros = Fingerprint([0, 0, 0, 1]);
        assert_eq!(leading_zeros.to_string(), "00000001");
    }
}
