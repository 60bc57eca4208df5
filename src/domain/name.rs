use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The name of a check or a step: 1 to 64 characters of `a-z`, `0-9`, `_` and `-`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Name(Cow<'static, str>);

/// A text that is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", Name::EXPECTED)]
pub struct BadName;

impl Name {
    /// What a name is, for an error.
    pub const EXPECTED: &str = "1 to 64 characters of a-z, 0-9, '_' and '-', the first a letter or digit";

    pub(super) const fn constant(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let good = text.len() <= 64
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|byte| plain(byte) || byte == b'_' || byte == b'-');
        if good { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(BadName) }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        let long = "a".repeat(64);
        let too_long = "a".repeat(65);
        for (text, good) in [
            ("deduplication", true),
            ("2nd-pass_b", true),
            (long.as_str(), true),
            (too_long.as_str(), false),
            ("", false),
            ("-a", false),
            ("Geo", false),
            ("a b", false),
        ] {
            assert_eq!(text.parse::<Name>().is_ok(), good, "{text:?}");
        }
    }
}
