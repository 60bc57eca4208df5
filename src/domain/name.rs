use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// The name of a check or a step: 1 to 64 characters of `a-z`, `0-9`, `_` and `-`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Name(Cow<'static, str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", Name::EXPECTED)]
pub struct InvalidName;

impl Name {
    /// Describes a valid name, for errors.
    pub const EXPECTED: &str = "1 to 64 characters of a-z, 0-9, '_' and '-', the first a letter or digit";

    pub(super) const fn constant(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let is_valid = text.len() <= 64
            && text.bytes().next().is_some_and(is_plain)
            && text.bytes().all(|byte| is_plain(byte) || byte == b'_' || byte == b'-');
        if is_valid { Ok(Self(Cow::Owned(text.to_owned()))) } else { Err(InvalidName) }
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
    fn names_have_plain_characters() {
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
