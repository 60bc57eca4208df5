use async_graphql::{InputValueError, InputValueResult, Number, Scalar, ScalarType, Value};
use serde::Serialize;

use crate::domain::counts::MAX_COUNT;
use crate::domain::time::{Timestamp, parse_rfc3339, rfc3339};
use crate::graphql::errors::bad_input;

/// An instant: RFC 3339, in UTC with `Z` in results, with any offset in arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DateTime {
    /// An instant that was read.
    At(Timestamp),
    /// A text that is not an instant. Reports are checked item by item, so one bad instant does not refuse the whole
    /// batch.
    Unread(String),
}

impl From<Timestamp> for DateTime {
    fn from(instant: Timestamp) -> Self {
        Self::At(instant)
    }
}

impl DateTime {
    /// The instant as RFC 3339, or the text that was sent.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::At(instant) => rfc3339(*instant),
            Self::Unread(text) => text.clone(),
        }
    }

    /// The instant, or an error that names the argument.
    pub(crate) fn instant(self, argument: &str) -> async_graphql::Result<Timestamp> {
        match self {
            Self::At(instant) => Ok(instant),
            Self::Unread(text) => Err(bad_input(format!(
                "{argument}: {text:?} is not an RFC 3339 timestamp with an offset, such as 2026-01-28T15:30:45Z"
            ))),
        }
    }
}

/// An instant in RFC 3339 format: in UTC with `Z` in results, with any offset in arguments.
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

/// An integer from 0 to 2⁵³ − 1: counts can exceed the 32 bits of `Int`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Count(Number);

impl Count {
    pub(crate) fn of(count: u64) -> Self {
        Self(count.min(MAX_COUNT).into())
    }
}

/// An integer from 0 to 2⁵³ − 1, as a JSON number. Counts can exceed the 32 bits of `Int`; larger sums are given as 2⁵³ − 1.
#[Scalar]
impl ScalarType for Count {
    fn parse(value: Value) -> InputValueResult<Self> {
        match &value {
            // Reports are checked item by item, so one bad count does not refuse the whole batch.
            Value::Number(number) => Ok(Self(number.clone())),
            _ => Err(InputValueError::expected_type(value)),
        }
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.clone())
    }
}
