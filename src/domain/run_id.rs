use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use uuid::Uuid;

/// The id of a run as reported: 1 to 250 characters without control characters and surrounding white space. It is unique
/// within a source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RunId(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", RunId::EXPECTED)]
pub struct InvalidRunId;

impl RunId {
    /// Describes a valid id, for errors.
    pub const EXPECTED: &str = "1 to 250 characters without control characters and surrounding white space";

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The UUID that the id is a text of. Every text of a UUID names the same run.
    pub fn uuid(&self) -> Option<Uuid> {
        Uuid::try_parse(&self.0).ok()
    }
}

impl From<Uuid> for RunId {
    fn from(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

impl FromStr for RunId {
    type Err = InvalidRunId;

    fn from_str(text: &str) -> Result<Self, InvalidRunId> {
        let is_valid = !text.is_empty()
            && text.chars().count() <= 250
            && text.trim().len() == text.len()
            && !text.contains(char::is_control);
        if is_valid { Ok(Self(text.to_owned())) } else { Err(InvalidRunId) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_texts_of_one_line() {
        let (longest, too_long) = ("ä".repeat(250), "ä".repeat(251));
        for (text, expect) in [
            ("scheduled__2026-01-01T00:00:00+00:00", true),
            ("0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11", true),
            ("42", true),
            ("a b", true),
            (longest.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            (" ", false),
            (" a", false),
            ("a\u{a0}", false),
            ("a\nb", false),
            ("a\0b", false),
            ("a\u{85}b", false),
        ] {
            assert_eq!(text.parse::<RunId>().is_ok(), expect, "{text:?}");
        }
    }

    #[test]
    fn texts_of_a_uuid_name_the_same_run() {
        let uuid = |text: &str| text.parse::<RunId>().expect("an id").uuid();
        let expect = uuid("0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11");
        assert!(expect.is_some());
        assert_eq!(uuid("0194AEF2-6B1E-7C3A-9A51-0F6F1D1E9D11"), expect);
        assert_eq!(uuid("0194aef26b1e7c3a9a510f6f1d1e9d11"), expect);
        assert_eq!(uuid("0194aef2"), None);
    }
}
