use std::fmt;

use serde::Deserialize;

/// A setting that must not be shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Those in a list that is separated by commas, as environment variables have it.
    pub fn list(text: &str) -> Vec<Self> {
        text.split(',').map(|one| Self(one.trim().to_owned())).collect()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
