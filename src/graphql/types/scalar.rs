use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::domain::time::{Timestamp, parse_rfc3339, rfc3339};
use crate::graphql::bad_input;

/// An instant: RFC 3339, in UTC with `Z` when it goes out, with any zone when it comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DateTime {
    /// An instant.
    At(Timestamp),
    /// A text that is none. Reports are checked item by item, so that one bad instant does not refuse its whole batch.
    Unread(String),
}

impl From<Timestamp> for DateTime {
    fn from(instant: Timestamp) -> Self {
        Self::At(instant)
    }
}

impl DateTime {
    /// The text.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::At(instant) => rfc3339(*instant),
            Self::Unread(text) => text.clone(),
        }
    }

    /// The instant that an argument must be.
    pub(crate) fn instant(self, argument: &str) -> async_graphql::Result<Timestamp> {
        match self {
            Self::At(instant) => Ok(instant),
            Self::Unread(text) => Err(bad_input(format!(
                "{argument}: {text:?} is no RFC 3339 instant with a zone, such as 2026-01-28T15:30:45Z"
            ))),
        }
    }
}

/// An instant as RFC 3339: in UTC with `Z` when it goes out, with any zone when it comes in.
#[Scalar(specified_by_url = "https://datatracker.ietf.org/doc/html/rfc3339")]
impl ScalarType for DateTime {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => Ok(parse_rfc3339(&text).map_or(Self::Unread(text), Self::At)),
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.text())
    }
}

/// A whole number from 0 to 2⁵³ − 1: sums of counts can pass the 32 bits of `Int`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) u64);

/// A whole number from 0 to 2⁵³ − 1: a sum of counts, which can pass the 32 bits of `Int`.
#[Scalar]
impl ScalarType for Count {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            Value::Number(number) => number.as_u64().map(Self).ok_or_else(|| InputValueError::expected_type(value)),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::from(self.0)
    }
}
