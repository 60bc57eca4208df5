//! Fields that all reports have.

use chrono::TimeDelta;
use serde_json::Value;

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::ReportContext;
use crate::domain::report::fields::Fields;
use crate::domain::time::{Timestamp, parse_rfc3339, rfc3339};

/// The tolerance for reporters' clocks that are ahead.
pub const MAX_AHEAD: TimeDelta = TimeDelta::minutes(5);
const EXPECTED_TIMESTAMP: &str = "RFC 3339 with a zone, such as 2026-01-28T15:30:45Z";
pub(super) const SOURCE: &str = "a name of 1 to 255 characters after trimming, without control characters";

pub(super) fn source_key(value: &Value) -> Option<SourceKey> {
    value.as_str()?.parse().ok()
}

pub(super) fn pipeline(fields: &mut Fields, context: &ReportContext) -> Option<PipelineKey> {
    let expected = "1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit";
    let is_given = fields.has("pipeline");
    let own = fields.optional("pipeline", expected, |value| value.as_str()?.parse().ok());
    if is_given {
        return own;
    }
    if context.pipeline.is_err() {
        fields.error("pipeline", "the query parameter `pipeline` is not a valid pipeline key", expected);
    }
    context.pipeline.clone().ok()
}

/// The reported timestamp, and the one that counts: by default that of the request. Neither if it is invalid.
pub(super) fn timestamp(fields: &mut Fields, context: &ReportContext) -> (Option<Timestamp>, Option<Timestamp>) {
    let is_given = fields.has("timestamp");
    let reported = instant(fields, "timestamp", context);
    (reported, if is_given { reported } else { Some(context.received_at) })
}

/// A timestamp from 1970 until a few minutes from now.
pub(super) fn instant(fields: &mut Fields, name: &'static str, context: &ReportContext) -> Option<Timestamp> {
    let instant = fields.optional(name, EXPECTED_TIMESTAMP, |value| parse_rfc3339(value.as_str()?))?;
    let latest = context.received_at + MAX_AHEAD;
    if instant > latest {
        let message = format!("{} is in the future", rfc3339(instant));
        fields.error(name, &message, &format!("at most {}, five minutes from now", rfc3339(latest)));
        return None;
    }
    if instant.timestamp() < 0 {
        fields.error(name, &format!("{} is before 1970", rfc3339(instant)), "a time in 1970 or later");
        return None;
    }
    Some(instant)
}
