use std::fmt;

use serde::Deserialize;

/// A setting that must not be shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub(super) String);

impl Secret {
    /// Those in a list that is separated by commas, as environment variables have it; `None` of an empty one, which many
    /// tools set for one that is not there.
    pub fn list(text: &str) -> Option<Vec<Self>> {
        let text = text.trim();
        (!text.is_empty()).then(|| text.split(',').map(|one| Self(one.trim().to_owned())).collect())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
