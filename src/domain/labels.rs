//! Labels of sources, such as `team=maps`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// By name.
pub type Labels = BTreeMap<String, String>;

/// A name and a value: `team=maps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub name: String,
    pub value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a label such as `name=value`")]
pub struct InvalidLabel;

impl FromStr for Label {
    type Err = InvalidLabel;

    fn from_str(text: &str) -> Result<Self, InvalidLabel> {
        let (name, value) = text.split_once('=').ok_or(InvalidLabel)?;
        let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
        if name.is_empty() { Err(InvalidLabel) } else { Ok(Self { name, value }) }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}
