//! What a report says about a run apart from its results.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;

use crate::domain::report::fields::Fields;
use crate::domain::run_id::RunId;
use crate::domain::time::{Timestamp, rfc3339};

const MAX_URL: usize = 2_048;
const MAX_TAGS: usize = 16;
const MAX_TAG: usize = 255;
const MAX_ATTEMPT: u64 = 1_000_000;
/// A year of 365 days, in seconds.
const MAX_DURATION: f64 = 31_536_000.0;
/// How far a duration and a start may disagree.
const TOLERANCE: TimeDelta = TimeDelta::seconds(1);

/// Where a run comes from, as reported with its start or its end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RunDetails {
    /// A link to its logs or its orchestrator, http or https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Distinct, in the order of the report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// From 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The run that started this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
}

impl RunDetails {
    pub(super) fn parse(fields: &mut Fields) -> Self {
        Self {
            url: fields.optional("url", "an http or https URL of at most 2,048 characters", |value| {
                value.as_str().filter(|text| is_url(text)).map(str::to_owned)
            }),
            tags: fields
                .optional("tags", "a list of at most 16 distinct texts of 1 to 255 characters", tags)
                .unwrap_or_default(),
            attempt: fields.optional("attempt", "a whole number from 1 to 1000000", |value| {
                let attempt = value.as_u64().filter(|attempt| (1..=MAX_ATTEMPT).contains(attempt))?;
                u32::try_from(attempt).ok()
            }),
            parent: fields.optional("parent", RunId::EXPECTED, |value| value.as_str()?.parse().ok()),
        }
    }
}

fn is_url(text: &str) -> bool {
    let host = ["http://", "https://"].into_iter().find_map(|scheme| {
        text.get(..scheme.len()).filter(|start| start.eq_ignore_ascii_case(scheme)).and(text.get(scheme.len()..))
    });
    text.chars().count() <= MAX_URL
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        && host.is_some_and(|host| !host.is_empty() && !host.starts_with(['/', '?', '#']))
}

fn tags(value: &Value) -> Option<Vec<String>> {
    let tag = |value: &Value| {
        let tag = value.as_str()?;
        let is_valid = (1..=MAX_TAG).contains(&tag.chars().count()) && !tag.contains(char::is_control);
        is_valid.then(|| tag.to_owned())
    };
    let tags: Vec<String> =
        value.as_array().filter(|tags| tags.len() <= MAX_TAGS)?.iter().map(tag).collect::<Option<_>>()?;
    (tags.iter().collect::<BTreeSet<_>>().len() == tags.len()).then_some(tags)
}

/// The reported duration in seconds.
pub(super) fn duration(fields: &mut Fields) -> Option<f64> {
    fields.optional("duration", "a number of seconds from 0 to 31536000", |value| {
        value.as_f64().filter(|seconds| (0.0..=MAX_DURATION).contains(seconds))
    })
}

/// The start of a run, as reported or from its duration, which must agree.
pub(super) fn start(
    fields: &mut Fields,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    duration: Option<f64>,
) -> Option<Timestamp> {
    let (Some(finished_at), Some(duration)) = (finished_at, duration) else { return started_at };
    #[allow(clippy::cast_possible_truncation, reason = "at most a year in microseconds")]
    let computed = finished_at - TimeDelta::microseconds((duration * 1e6).round() as i64);
    match started_at {
        Some(started_at) if (started_at - computed).abs() > TOLERANCE => {
            let message = format!("the run started {} and ended {}", rfc3339(started_at), rfc3339(finished_at));
            fields.error(
                "duration",
                &message,
                "the seconds between the two (within 1 s), or only one of duration and started_at",
            );
        }
        None if computed.timestamp() < 0 => {
            fields.error("duration", "the run starts before 1970", "a shorter duration");
        }
        _ => {}
    }
    started_at.or(Some(computed))
}
