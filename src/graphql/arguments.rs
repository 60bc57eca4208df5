//! Arguments of fields, parsed.

use std::fmt::Display;
use std::str::FromStr;

use async_graphql::{Context, ID, MaybeUndefined, Result};
use uuid::Uuid;

use crate::domain::key::PipelineKey;
use crate::domain::key::SourceKey;
use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::error::Error;
use crate::graphql::errors::{bad_input, error};
use crate::graphql::services::Services;

/// A pipeline that the viewer may see, whether it exists or not.
pub(super) fn parse_pipeline(ctx: &Context<'_>, key: &str) -> Result<PipelineKey> {
    let parsed: PipelineKey = key.parse().map_err(|error| bad_input(format!("pipeline {key:?}: {error}")))?;
    if ctx.data::<Viewer>()?.may_see(&parsed) { Ok(parsed) } else { Err(error(Error::PipelineNotFound(parsed))) }
}

/// A pipeline that exists and that the viewer may see.
pub(super) fn require_pipeline(ctx: &Context<'_>, key: &str) -> Result<PipelineKey> {
    let key = parse_pipeline(ctx, key)?;
    if ctx.data::<Services>()?.store.newest_revision(&key).is_none() {
        return Err(error(Error::PipelineNotFound(key)));
    }
    Ok(key)
}

/// The key of a source, registered or not.
pub(super) fn parse_source(source: &str) -> Result<SourceKey> {
    source.parse().map_err(|error| bad_input(format!("source {source:?}: {error}")))
}

/// The revision of `sinceRevision`.
pub(super) fn parse_revision(text: &str) -> Result<Revision> {
    text.parse().map_err(|_| bad_input("sinceRevision: expected the revision of a status, in decimal digits"))
}

/// The UUID of an id.
pub(super) fn parse_uuid(argument: &str, id: &ID) -> Result<Uuid> {
    id.parse().map_err(|_| bad_input(format!("{argument}: {:?} is not a UUID", id.as_str())))
}

/// An argument that is absent, null, or a value.
#[allow(clippy::option_option, reason = "an absent argument keeps a value, null removes it")]
pub(super) fn parse_optional<T: FromStr<Err: Display>>(
    name: &str,
    argument: MaybeUndefined<String>,
) -> Result<Option<Option<T>>> {
    match argument {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Ok(Some(None)),
        MaybeUndefined::Value(text) => {
            let value = text.parse().map_err(|error| bad_input(format!("{name} {text:?}: {error}")))?;
            Ok(Some(Some(value)))
        }
    }
}

/// A text that both databases can store.
pub(super) fn storable(argument: &str, text: String) -> Result<String> {
    if text.contains('\0') {
        return Err(bad_input(format!("{argument}: the text contains U+0000, which cannot be stored; remove it")));
    }
    Ok(text)
}
