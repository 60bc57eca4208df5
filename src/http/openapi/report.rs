#![allow(dead_code, clippy::large_enum_variant, reason = "these types are described, never made")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use crate::http::openapi::status::StepState;
use uuid::Uuid;

/// A kind of report: its own fields and those of both. No type that both flatten: that would be described as a part of each,
/// and where one part allows no further properties it forbids those of the other.
macro_rules! report {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$about])*
        pub(super) struct $name {
            $($own)*
            /// The reporter's id, so that the same can be reported again without harm.
            id: Option<Uuid>,
            /// The pipeline; that of the query where it is not said.
            #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
            pipeline: Option<String>,
            #[schema(maximum = 2_147_483_647)]
            geocoding_attempts: Option<u32>,
            /// At most as many as the attempts.
            #[schema(maximum = 2_147_483_647)]
            geocoding_successes: Option<u32>,
            /// Percent; it must agree with the counts within 0.1.
            geocoding_success_rate: Option<f64>,
            #[schema(maximum = 2_147_483_647)]
            validation_attempts: Option<u32>,
            /// At most as many as the attempts.
            #[schema(maximum = 2_147_483_647)]
            validation_passes: Option<u32>,
            /// Percent; it must agree with the counts within 0.1.
            validation_pass_rate: Option<f64>,
            /// Further checks, each once.
            #[schema(max_items = 50)]
            checks: Option<Vec<Check>>,
        }
    };
}

report! {
    /// A run of a source: its start, or its end.
    #[schema(example = json!({
        "id": "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11", "source": "punch", "timestamp": "2026-01-28T15:28:02Z",
        "articles_collected": 12, "events_extracted": 9, "geocoding_attempts": 9, "geocoding_successes": 8,
        "validation_attempts": 9, "validation_passes": 9
    }))]
    SourceRun {
        /// The source.
        #[schema(min_length = 1)]
        source: String,
        /// When the run finished or, at its start, when it started; at most five minutes from now.
        #[schema(format = DateTime)]
        timestamp: String,
        /// How it ended, `ok` where it is not said; or `running`: it has begun, and its end is reported under the same id.
        outcome: Option<Outcome>,
        /// When it started, at its end.
        #[schema(format = DateTime)]
        started_at: Option<String>,
        #[schema(maximum = 2_147_483_647)]
        articles_collected: Option<u32>,
        #[schema(maximum = 2_147_483_647)]
        events_extracted: Option<u32>,
        /// Its steps, in their order, each once.
        #[schema(max_items = 50)]
        steps: Option<Vec<Step>>,
        /// What went wrong.
        #[schema(max_length = 65_536)]
        error: Option<String>,
    }
}

/// The counts of a check beyond the two that have fields of their own.
#[derive(ToSchema)]
struct Check {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: String,
    #[schema(maximum = 2_147_483_647)]
    attempts: u32,
    /// At most as many as the attempts.
    #[schema(maximum = 2_147_483_647)]
    passes: u32,
}

/// A step of a run.
#[derive(ToSchema)]
struct Step {
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: String,
    /// When the run has ended none is running.
    state: StepState,
    #[schema(maximum = 2_147_483_647)]
    items_in: Option<u32>,
    #[schema(maximum = 2_147_483_647)]
    items_out: Option<u32>,
    #[schema(format = DateTime)]
    started_at: Option<String>,
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Running,
    Ok,
    Failed,
    Aborted,
}

report! {
    /// The quality counts of a moment; at least one of the two checks must be counted.
    #[schema(example = json!({
        "timestamp": "2026-01-28T15:00:00Z", "metric_type": "hourly", "geocoding_attempts": 48, "geocoding_successes": 42
    }))]
    DataQualityMetric {
        /// The moment; at most five minutes from now.
        #[schema(format = DateTime)]
        timestamp: String,
        metric_type: MetricType,
        /// The source: required of `source-specific` metrics, and not allowed of `aggregate` ones.
        source: Option<String>,
    }
}

#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
enum MetricType {
    Aggregate,
    SourceSpecific,
    Hourly,
}

/// One run, or at most 1,000.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum SourceRuns {
    One(SourceRun),
    Many(Vec<SourceRun>),
}

/// One metric, or at most 1,000.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum DataQualityMetrics {
    One(DataQualityMetric),
    Many(Vec<DataQualityMetric>),
}

/// What became of the items.
#[derive(ToSchema)]
#[schema(example = json!({
    "revisions": {"default": "1769614245123"},
    "results": [
        {"index": 0, "id": "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11", "status": "stored", "errors": []},
        {"index": 1, "id": null, "status": "refused", "errors": [
            {"field": "source", "message": "it is missing", "expected": "a name of 1 to 255 characters"}
        ]}
    ]
}))]
pub(super) struct Answer {
    /// The revisions, in decimal digits, of the pipelines that took something.
    revisions: BTreeMap<String, String>,
    /// One for each item, in their order.
    results: Vec<ItemResult>,
}

/// What became of one item.
#[derive(ToSchema)]
struct ItemResult {
    /// Its place among the items, from 0.
    index: u64,
    /// The id it is stored under; of a refused one the id it came with, if that could be read.
    #[schema(required)]
    id: Option<Uuid>,
    status: ItemStatus,
    /// What is wrong with it, if it was refused.
    errors: Vec<Fault>,
}

/// `stored`: it is committed. `duplicate`: the same was committed before. `refused`: it is not stored.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum ItemStatus {
    Stored,
    Duplicate,
    Refused,
}

/// One thing that is wrong with an item.
#[derive(ToSchema)]
struct Fault {
    /// The field's path in the item; empty for the item as a whole.
    field: String,
    /// What is wrong.
    message: String,
    /// What would be right.
    expected: String,
}
