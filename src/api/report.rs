//! The JSON of reports and of their responses.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::status::StepState;
use crate::domain::report;

/// A kind of report: its own fields and the common ones. Flattening a common type would describe it as a part of each, and
/// a part that allows no further properties forbids those of the other.
macro_rules! report {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(Debug, Clone, Serialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$about])*
        pub struct $name {
            $($own)*
            /// The key of the pipeline; the `pipeline` parameter by default.
            #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub pipeline: Option<String>,
            /// The number of events that geocoding was attempted for.
            #[schema(maximum = 9_007_199_254_740_991_u64)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub geocoding_attempts: Option<u64>,
            /// The number of events that were geocoded; at most `geocoding_attempts`.
            #[schema(maximum = 9_007_199_254_740_991_u64)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub geocoding_successes: Option<u64>,
            /// The percentage of attempts that succeeded; must agree with the counts within 0.1.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub geocoding_success_rate: Option<f64>,
            /// The number of events that were validated.
            #[schema(maximum = 9_007_199_254_740_991_u64)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub validation_attempts: Option<u64>,
            /// The number of events that passed validation; at most `validation_attempts`.
            #[schema(maximum = 9_007_199_254_740_991_u64)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub validation_passes: Option<u64>,
            /// The percentage of attempts that passed; must agree with the counts within 0.1.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub validation_pass_rate: Option<f64>,
            /// The counts of custom checks; each name is allowed once.
            #[schema(max_items = 50)]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub checks: Option<Vec<Check>>,
            /// The counts by name, at most 32, such as `rows_loaded`. A name has 1 to 64 characters of a-z, 0-9, `_` and
            /// `-`.
            #[schema(value_type = Option<BTreeMap<String, u64>>, example = json!({"rows_loaded": 3_000_000_000_u64, "bytes": 81_234_567_890_u64}))]
            #[serde(skip_serializing_if = "Option::is_none")]
            pub counts: Option<BTreeMap<String, u64>>,
        }
    };
}

report! {
    /// A report of a source run: of its start (with the outcome `running` and an id), or of its end.
    #[schema(example = json!({
        "id": "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11", "source": "punch", "timestamp": "2026-01-28T15:28:02Z",
        "articles_collected": 12, "events_extracted": 9, "geocoding_attempts": 9, "geocoding_successes": 8,
        "validation_attempts": 9, "validation_passes": 9
    }))]
    SourceRun {
        /// The key of the source: 1 to 255 characters after trimming.
        #[schema(min_length = 1)]
        pub source: String,
        /// The id of the run, unique within its source: 1 to 250 characters without control characters and surrounding
        /// white space. A report that is repeated under its id is stored once.
        #[schema(min_length = 1, max_length = 250)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub id: Option<String>,
        /// The end of the run, or its start if the outcome is `running`; at most five minutes in the future. By default
        /// the time at which the server receives the report.
        #[schema(format = DateTime)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub timestamp: Option<String>,
        /// A link to the logs or to the orchestrator of the run, http or https.
        #[schema(max_length = 2048)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub url: Option<String>,
        /// The tags of the run: distinct texts of 1 to 255 characters.
        #[schema(max_items = 16)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub tags: Option<Vec<String>>,
        /// The number of this attempt, starting at 1.
        #[schema(minimum = 1, maximum = 1_000_000)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub attempt: Option<u32>,
        /// The id of the run that started this one.
        #[schema(min_length = 1, max_length = 250)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub parent: Option<String>,
        /// The duration of the run in seconds; must agree with `started_at` within a second. Only accepted at the end of a
        /// run, like counts, checks, error and log.
        #[schema(minimum = 0, maximum = 31_536_000)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub duration: Option<f64>,
        /// The outcome of the run, `ok` by default; with `running`, the end of the run follows under the same id.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub outcome: Option<Outcome>,
        /// The start of the run, if it was not reported; only accepted at the end of a run.
        #[schema(format = DateTime)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub started_at: Option<String>,
        /// The number of articles that the run collected.
        #[schema(maximum = 9_007_199_254_740_991_u64)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub articles_collected: Option<u64>,
        /// The number of events that the run extracted.
        #[schema(maximum = 9_007_199_254_740_991_u64)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub events_extracted: Option<u64>,
        /// The steps of the run in their order; each name is allowed once.
        #[schema(max_items = 50)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub steps: Option<Vec<Step>>,
        /// The error message of a failed run; cut after 16 KiB.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error: Option<String>,
        /// The output of the run, of which the last 16 KiB are kept.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub log: Option<String>,
    }
}

/// The counts of a custom check, beyond geocoding and validation.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Check {
    /// The name of the check: 1 to 64 characters.
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    pub name: String,
    /// The number of items that were checked.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub attempts: u64,
    /// The number of items that passed; at most `attempts`.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub passes: u64,
}

/// A step of a reported run.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Step {
    /// The name of the step, such as `collection`, `extraction` or `geocoding`.
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    pub name: String,
    /// The state of the step. It cannot be `running` once the run has ended.
    pub state: StepState,
    /// The number of items that the step received.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_in: Option<u64>,
    /// The number of items that the step passed on.
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_out: Option<u64>,
    /// The instant at which the step started.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// The instant at which the step ended.
    #[schema(format = DateTime)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<String>,
}

/// The reported outcome of a run; `aborted` if it was stopped before its end.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Running,
    Ok,
    Failed,
    Aborted,
}

report! {
    /// A report of data quality counts at one instant; at least one check must be counted.
    #[schema(example = json!({
        "timestamp": "2026-01-28T15:00:00Z", "metric_type": "hourly", "geocoding_attempts": 48, "geocoding_successes": 42
    }))]
    DataQualityMetric {
        /// The id of the report, a UUID chosen by the reporter. A report that is repeated under its id is stored once.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub id: Option<Uuid>,
        /// The instant that the counts refer to; at most five minutes in the future. By default the time at which the
        /// server receives the report.
        #[schema(format = DateTime)]
        #[serde(skip_serializing_if = "Option::is_none")]
        pub timestamp: Option<String>,
        /// The scope of the counts.
        pub metric_type: MetricType,
        /// The source of the counts: required for `source-specific`, refused for `aggregate`.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub source: Option<String>,
    }
}

/// The scope of counts: the whole pipeline, one source, or the totals of an hour.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetricType {
    Aggregate,
    SourceSpecific,
    Hourly,
}

/// One run, or an array of up to 1,000.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum SourceRuns {
    One(Box<SourceRun>),
    Many(Vec<SourceRun>),
}

/// One metric, or an array of up to 1,000.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(untagged)]
pub enum DataQualityMetrics {
    One(Box<DataQualityMetric>),
    Many(Vec<DataQualityMetric>),
}

/// The results of a report, item by item. Stored items are committed.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
#[schema(example = json!({
    "revisions": {"default": "1769614245123"},
    "results": [
        {"index": 0, "id": "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11", "status": "stored", "errors": []},
        {"index": 1, "id": null, "status": "refused", "errors": [
            {"field": "source", "message": "it is missing", "expected": "a name of 1 to 255 characters"}
        ]}
    ]
}))]
pub struct IngestResponse {
    /// The new revisions, in decimal digits, of the pipelines that stored an item.
    pub revisions: BTreeMap<String, String>,
    /// One result per item, in the order of the items.
    pub results: Vec<ItemResult>,
}

/// The result of one reported item.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ItemResult {
    /// The position of the item in the report, starting at 0.
    #[schema(value_type = u64)]
    pub index: usize,
    /// The id of the item as it was sent, or assigned by the server; null if a refused item has no readable id.
    #[schema(required)]
    pub id: Option<String>,
    /// Whether the item was stored, a duplicate or refused.
    pub status: ItemStatus,
    /// The errors of a refused item; empty otherwise.
    pub errors: Vec<FieldError>,
    /// The fields that were accepted, but not stored as they were sent; left out without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<FieldWarning>,
    /// Whether the only error is that the id is in use.
    #[serde(skip)]
    pub is_conflict: bool,
    /// Whether a retry in a few seconds may succeed.
    #[serde(skip)]
    pub is_temporary: bool,
}

/// The outcome of one item: `stored` (and committed), `duplicate` (stored before) or `refused` (not stored).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ItemStatus {
    Stored,
    Duplicate,
    Refused,
}

/// An error in one field of a refused item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The path of the field within the item; empty for the item as a whole.
    pub field: String,
    /// The problem with the value of the field.
    pub message: String,
    /// The value or format that would be accepted.
    pub expected: String,
}

/// A field of an accepted item that was not stored as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldWarning {
    /// The path of the field within the item.
    pub field: String,
    /// The part of the value that is stored.
    pub message: String,
}

impl From<report::FieldWarning> for FieldWarning {
    fn from(warning: report::FieldWarning) -> Self {
        Self { field: warning.field.into(), message: warning.message }
    }
}

impl From<report::FieldError> for FieldError {
    fn from(error: report::FieldError) -> Self {
        Self { field: error.field, message: error.message, expected: error.expected }
    }
}
