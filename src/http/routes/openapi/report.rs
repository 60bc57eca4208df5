#![allow(dead_code, clippy::large_enum_variant, reason = "these types are described, never made")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

use crate::api::status::StepState;
use uuid::Uuid;

/// A kind of report: its own fields and the common ones. Flattening a common type would describe it as a part of each, and
/// a part that allows no further properties forbids those of the other.
macro_rules! report {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        #[derive(ToSchema)]
        #[serde(deny_unknown_fields)]
        $(#[$about])*
        pub(super) struct $name {
            $($own)*
            /// The id of the report, a UUID chosen by the reporter. A report that is repeated under its id is stored
            /// once.
            id: Option<Uuid>,
            /// The key of the pipeline; the `pipeline` parameter by default.
            #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
            pipeline: Option<String>,
            /// The number of events that geocoding was attempted for.
            #[schema(maximum = 2_147_483_647)]
            geocoding_attempts: Option<u32>,
            /// The number of events that were geocoded; at most `geocoding_attempts`.
            #[schema(maximum = 2_147_483_647)]
            geocoding_successes: Option<u32>,
            /// The percentage of attempts that succeeded; must agree with the counts within 0.1.
            geocoding_success_rate: Option<f64>,
            /// The number of events that were validated.
            #[schema(maximum = 2_147_483_647)]
            validation_attempts: Option<u32>,
            /// The number of events that passed validation; at most `validation_attempts`.
            #[schema(maximum = 2_147_483_647)]
            validation_passes: Option<u32>,
            /// The percentage of attempts that passed; must agree with the counts within 0.1.
            validation_pass_rate: Option<f64>,
            /// The counts of custom checks; each name is allowed once.
            #[schema(max_items = 50)]
            checks: Option<Vec<Check>>,
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
        source: String,
        /// The end of the run, or its start if the outcome is `running`; at most five minutes in the future.
        #[schema(format = DateTime)]
        timestamp: String,
        /// The outcome of the run, `ok` by default; with `running`, the end of the run follows under the same id.
        outcome: Option<Outcome>,
        /// The start of the run, if it was not reported; only accepted at the end of a run.
        #[schema(format = DateTime)]
        started_at: Option<String>,
        /// The number of articles that the run collected.
        #[schema(maximum = 2_147_483_647)]
        articles_collected: Option<u32>,
        /// The number of events that the run extracted.
        #[schema(maximum = 2_147_483_647)]
        events_extracted: Option<u32>,
        /// The steps of the run in their order; each name is allowed once.
        #[schema(max_items = 50)]
        steps: Option<Vec<Step>>,
        /// The error message of a failed run.
        #[schema(max_length = 65_536)]
        error: Option<String>,
    }
}

/// The counts of a custom check, beyond geocoding and validation.
#[derive(ToSchema)]
struct Check {
    /// The name of the check: 1 to 64 characters.
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: String,
    /// The number of items that were checked.
    #[schema(maximum = 2_147_483_647)]
    attempts: u32,
    /// The number of items that passed; at most `attempts`.
    #[schema(maximum = 2_147_483_647)]
    passes: u32,
}

/// A step of a reported run.
#[derive(ToSchema)]
struct Step {
    /// The name of the step, such as `collection`, `extraction` or `geocoding`.
    #[schema(pattern = "^[a-z0-9][a-z0-9_-]{0,63}$")]
    name: String,
    /// The state of the step. It cannot be `running` once the run has ended.
    state: StepState,
    /// The number of items that the step received.
    #[schema(maximum = 2_147_483_647)]
    items_in: Option<u32>,
    /// The number of items that the step passed on.
    #[schema(maximum = 2_147_483_647)]
    items_out: Option<u32>,
    /// The instant at which the step started.
    #[schema(format = DateTime)]
    started_at: Option<String>,
    /// The instant at which the step ended.
    #[schema(format = DateTime)]
    ended_at: Option<String>,
}

/// The reported outcome of a run; `aborted` if it was stopped before its end.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
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
        /// The instant that the counts refer to; at most five minutes in the future.
        #[schema(format = DateTime)]
        timestamp: String,
        /// The scope of the counts.
        metric_type: MetricType,
        /// The source of the counts: required for `source-specific`, refused for `aggregate`.
        source: Option<String>,
    }
}

/// The scope of counts: the whole pipeline, one source, or the totals of an hour.
#[derive(ToSchema)]
#[serde(rename_all = "kebab-case")]
enum MetricType {
    Aggregate,
    SourceSpecific,
    Hourly,
}

/// One run, or an array of up to 1,000.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum SourceRuns {
    One(SourceRun),
    Many(Vec<SourceRun>),
}

/// One metric, or an array of up to 1,000.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum DataQualityMetrics {
    One(DataQualityMetric),
    Many(Vec<DataQualityMetric>),
}

/// The results of a report, item by item. Stored items are committed.
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
pub(super) struct IngestResponse {
    /// The new revisions, in decimal digits, of the pipelines that stored an item.
    revisions: BTreeMap<String, String>,
    /// One result per item, in the order of the items.
    results: Vec<ItemResult>,
}

/// The result of one reported item.
#[derive(ToSchema)]
struct ItemResult {
    /// The position of the item in the report, starting at 0.
    index: u64,
    /// The id of the item: stored under it, or sent with it; null if a refused item has no readable id.
    #[schema(required)]
    id: Option<Uuid>,
    /// Whether the item was stored, a duplicate or refused.
    status: ItemStatus,
    /// The errors of a refused item; empty otherwise.
    errors: Vec<FieldError>,
}

/// The outcome of one item: `stored` (and committed), `duplicate` (stored before) or `refused` (not stored).
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum ItemStatus {
    Stored,
    Duplicate,
    Refused,
}

/// An error in one field of a refused item.
#[derive(ToSchema)]
struct FieldError {
    /// The path of the field within the item; empty for the item as a whole.
    field: String,
    /// The problem with the value of the field.
    message: String,
    /// The value or format that would be accepted.
    expected: String,
}
