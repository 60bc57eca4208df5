//! Parses columns into domain types.

use sea_orm::DbErr;

use crate::error::{Error, Result};

/// A column has a value that this program never writes.
#[derive(Debug, thiserror::Error)]
#[error("invalid {what} in the database: {value:?}")]
struct CorruptColumn {
    what: &'static str,
    value: String,
}

pub(super) fn parse_column<T: std::str::FromStr>(what: &'static str, value: &str) -> Result<T> {
    value.parse().map_err(|_| Error::database(CorruptColumn { what, value: value.to_owned() }))
}

pub(super) fn parse_json<T: serde::de::DeserializeOwned>(what: &'static str, value: &str) -> Result<T> {
    serde_json::from_str(value).map_err(|_| Error::database(CorruptColumn { what, value: value.to_owned() }))
}

pub(super) fn parse_text<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, DbErr> {
    text.parse().map_err(|error| DbErr::Type(format!("{text}: {error}")))
}
