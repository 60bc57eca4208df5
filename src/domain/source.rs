use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::domain::alert::Labels;
use crate::domain::freshness::{Expectation, Grace};
use crate::domain::pipeline::PipelineKey;
use crate::domain::run::LastRun;

/// The key of a source: 1 to 255 characters, without blanks at either end and without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SourceKey(Arc<str>);

/// A text that is no source key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a source has 1 to 255 characters after trimming, none of them a control character")]
pub struct BadSourceKey;

impl SourceKey {
    /// The key itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceKey {
    type Err = BadSourceKey;

    fn from_str(text: &str) -> Result<Self, BadSourceKey> {
        let text = text.trim();
        let good = !text.is_empty() && text.chars().count() <= 255 && !text.contains(char::is_control);
        if good { Ok(Self(text.into())) } else { Err(BadSourceKey) }
    }
}

impl fmt::Display for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for SourceKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A feed of a pipeline, as it is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The pipeline it feeds.
    pub pipeline: PipelineKey,
    /// Its key.
    pub key: SourceKey,
    /// Whether it counts for the status.
    pub enabled: bool,
    /// Its newest finished run that was no backfill, if there was one.
    pub last_run: Option<LastRun>,
    /// How often it is expected to run, if that was said.
    pub expectation: Option<Expectation>,
    /// How late it may be, if that was said.
    pub grace: Option<Grace>,
    /// What it is marked with.
    pub labels: Labels,
}

/// What is to be changed of a source; what is `None` stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceChange {
    /// Whether it counts.
    pub enabled: Option<bool>,
    /// How often it is expected to run; `Some(None)` has it learned.
    pub expectation: Option<Option<Expectation>>,
    /// How late it may be; `Some(None)` for the default.
    pub grace: Option<Option<Grace>>,
    /// What it is marked with.
    pub labels: Option<Labels>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_trimmed_names() {
        let long = "ä".repeat(255);
        let too_long = "ä".repeat(256);
        for (text, expect) in [
            (" punch ", Some("punch")),
            ("The Guardian (NG)", Some("The Guardian (NG)")),
            (long.as_str(), Some(long.as_str())),
            (too_long.as_str(), None),
            ("   ", None),
            ("a\0b", None),
            ("a\nb", None),
        ] {
            assert_eq!(text.parse::<SourceKey>().ok().as_ref().map(SourceKey::as_str), expect, "{text:?}");
        }
    }
}
