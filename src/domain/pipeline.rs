use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The key of a pipeline: `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineKey(Arc<str>);

/// A text that is no pipeline key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pipeline key has 1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit")]
pub struct BadPipelineKey;

impl PipelineKey {
    /// The pipeline that always exists, and that is meant where none is named.
    pub const DEFAULT: &'static str = "default";

    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for PipelineKey {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl FromStr for PipelineKey {
    type Err = BadPipelineKey;

    fn from_str(text: &str) -> Result<Self, BadPipelineKey> {
        let first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = text.len() <= 64
            && text.bytes().next().is_some_and(first)
            && text.bytes().all(|byte| first(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if good { Ok(Self(text.into())) } else { Err(BadPipelineKey) }
    }
}

impl Borrow<str> for PipelineKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PipelineKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PipelineKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_lower_case_names() {
        let long = "x".repeat(64);
        let too_long = "x".repeat(65);
        for (text, good) in [
            ("default", true),
            ("a", true),
            ("9-lives._", true),
            (long.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("-a", false),
            (".a", false),
            ("Default", false),
            ("a b", false),
            ("é", false),
            ("a/b", false),
        ] {
            assert_eq!(text.parse::<PipelineKey>().is_ok(), good, "{text:?}");
        }
    }
}
