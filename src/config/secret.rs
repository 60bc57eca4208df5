use std::fmt;

use serde::Deserialize;

/// A secret setting. `Debug` hides it.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Parses a comma-separated list.
    pub fn list(text: &str) -> Vec<Self> {
        text.split(',').map(|one| Self(one.trim().to_owned())).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
