//! Where a report is from, and of when it is.

use chrono::TimeDelta;
use serde_json::Value;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::Arrival;
use crate::domain::report::fields::Fields;
use crate::domain::source::SourceKey;
use crate::domain::time::{Timestamp, parse_rfc3339, rfc3339};

/// How far ahead of the server a reporter's clock may be.
pub const MAX_AHEAD: TimeDelta = TimeDelta::minutes(5);
/// What an instant is, for an error.
const AN_INSTANT: &str = "RFC 3339 with a zone, such as 2026-01-28T15:30:45Z";
/// What a source's name is, for an error.
pub(super) const SOURCE: &str = "a name of 1 to 255 characters after trimming, without control characters";

pub(super) fn source_key(value: &Value) -> Option<SourceKey> {
    value.as_str()?.parse().ok()
}

pub(super) fn pipeline(fields: &mut Fields, arrival: &Arrival) -> Option<PipelineKey> {
    let expected = "1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit";
    let is_given = fields.has("pipeline");
    let own = fields.optional("pipeline", expected, |value| value.as_str()?.parse().ok());
    if is_given {
        return own;
    }
    if arrival.pipeline.is_err() {
        fields.fault("pipeline", "the request's ?pipeline= is no pipeline key", expected);
    }
    arrival.pipeline.clone().ok()
}

pub(super) fn timestamp(fields: &mut Fields, arrival: &Arrival) -> Option<Timestamp> {
    fields.expect_present("timestamp", AN_INSTANT);
    instant(fields, "timestamp", arrival)
}

/// An instant that can have been seen.
pub(super) fn instant(fields: &mut Fields, name: &'static str, arrival: &Arrival) -> Option<Timestamp> {
    let instant = fields.optional(name, AN_INSTANT, |value| parse_rfc3339(value.as_str()?))?;
    let latest = arrival.received_at + MAX_AHEAD;
    if instant > latest {
        let message = format!("{} lies in the future", rfc3339(instant));
        fields.fault(name, &message, &format!("at most {}, five minutes from now", rfc3339(latest)));
        return None;
    }
    if instant.timestamp() < 0 {
        fields.fault(name, &format!("{} is too long ago", rfc3339(instant)), "1970 or later");
        return None;
    }
    Some(instant)
}
