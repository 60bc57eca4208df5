//! The keys of pipelines and sources.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The key of a pipeline: `[a-z0-9][a-z0-9._-]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PipelineKey(Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pipeline key has 1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit")]
pub struct InvalidPipelineKey;

/// The key of a source: 1 to 255 characters, trimmed, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey(Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a source has 1 to 255 characters after trimming, none of them a control character")]
pub struct InvalidSourceKey;

impl PipelineKey {
    /// The pipeline that always exists. It is used where none is named.
    pub const DEFAULT: &'static str = "default";

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl SourceKey {
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
    type Err = InvalidPipelineKey;

    fn from_str(text: &str) -> Result<Self, InvalidPipelineKey> {
        let is_first = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid = text.len() <= 64
            && text.bytes().next().is_some_and(is_first)
            && text.bytes().all(|byte| is_first(byte) || matches!(byte, b'.' | b'_' | b'-'));
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidPipelineKey) }
    }
}

impl FromStr for SourceKey {
    type Err = InvalidSourceKey;

    fn from_str(text: &str) -> Result<Self, InvalidSourceKey> {
        let text = text.trim();
        let is_valid = !text.is_empty() && text.chars().count() <= 255 && !text.contains(char::is_control);
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidSourceKey) }
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

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for PipelineKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl Serialize for SourceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipeline_keys_are_lower_case_names() {
        let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
        for (text, is_valid) in [
            ("default", true),
            ("a", true),
            ("9-lives._", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("-a", false),
            (".a", false),
            ("Default", false),
            ("a b", false),
            ("é", false),
            ("a/b", false),
        ] {
            assert_eq!(text.parse::<PipelineKey>().is_ok(), is_valid, "{text:?}");
        }
    }

    #[test]
    fn source_keys_are_trimmed() {
        let (longest, too_long) = ("ä".repeat(255), "ä".repeat(256));
        for (text, expect) in [
            (" punch ", Some("punch")),
            ("The Guardian (NG)", Some("The Guardian (NG)")),
            (longest.as_str(), Some(longest.as_str())),
            (too_long.as_str(), None),
            ("   ", None),
            ("a\0b", None),
            ("a\nb", None),
        ] {
            assert_eq!(text.parse::<SourceKey>().ok().as_ref().map(SourceKey::as_str), expect, "{text:?}");
        }
    }
}
