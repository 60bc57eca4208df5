//! The facets that are read. Each is parsed separately, so that one of another form affects nothing else.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::lineage::bounded::Bounded;

/// Datasets and tags of an event that are read.
pub(super) const MAX_LIST: usize = 1_000;
/// The largest count of a report.
const MAX_COUNT: u64 = (1 << 53) - 1;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RunFacets<'a> {
    #[serde(borrow)]
    pub(super) error_message: Option<&'a RawValue>,
    pub(super) nominal_time: Option<&'a RawValue>,
    pub(super) parent: Option<&'a RawValue>,
    /// The name of `parent` before version 1.0.
    pub(super) parent_run: Option<&'a RawValue>,
    #[serde(rename = "processing_engine")]
    pub(super) processing_engine: Option<&'a RawValue>,
    pub(super) tags: Option<&'a RawValue>,
    pub(super) test: Option<&'a RawValue>,
    pub(super) airflow: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorMessage {
    pub(super) message: String,
    pub(super) stack_trace: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NominalTime {
    pub(super) nominal_start_time: Option<String>,
    pub(super) nominal_end_time: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Parent {
    pub(super) run: ParentRun,
    pub(super) job: Option<ParentJob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ParentRun {
    pub(super) run_id: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ParentJob {
    pub(super) namespace: String,
    pub(super) name: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct ProcessingEngine {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tags {
    pub(super) tags: Bounded<Tag, MAX_LIST>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Tag {
    pub(super) key: String,
    pub(super) value: Option<String>,
    pub(super) source: Option<String>,
}

/// The facet of Airflow's provider.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Airflow<'a> {
    #[serde(borrow)]
    pub(super) task_instance: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
pub(super) struct TaskInstance<'a> {
    #[serde(borrow)]
    pub(super) log_url: Option<&'a RawValue>,
    pub(super) try_number: Option<&'a RawValue>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct DatasetFacets<'a> {
    #[serde(borrow)]
    pub(super) data_quality_assertions: Option<&'a RawValue>,
    pub(super) output_statistics: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OutputStatistics<'a> {
    #[serde(borrow)]
    pub(super) row_count: Option<&'a RawValue>,
    pub(super) size: Option<&'a RawValue>,
}

/// A facet, or `None` if it is absent or has another form.
pub(super) fn read<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// A whole number that fits a count.
pub(super) fn count(raw: Option<&RawValue>) -> Option<u64> {
    read::<u64>(raw).filter(|number| *number <= MAX_COUNT)
}
