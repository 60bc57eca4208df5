//! Reports to store, and their outcomes.

use std::collections::BTreeMap;

use crate::domain::cardinality::Exceeded;
use crate::domain::health::Health;
use crate::domain::key::PipelineKey;
use crate::domain::report::Report;
use crate::domain::revision::Revision;

/// A report to store.
#[derive(Debug, Clone)]
pub struct NewReport {
    pub report: Report,
    /// The status of its quality metric.
    pub status: Health,
}

/// The outcome of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// One outcome per report, in the same order.
    pub results: Vec<RecordOutcome>,
    /// The new revisions of the pipelines.
    pub revisions: BTreeMap<PipelineKey, Revision>,
}

/// The outcome of one report, with its id as reported, or else as assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordOutcome {
    /// Committed under this id.
    Stored(String),
    /// The same report was committed before.
    Duplicate(String),
    /// Another body was committed under this id before.
    Conflict(String),
    /// Another pipeline uses the id.
    OtherPipeline(String),
    /// The pipeline is being removed; the report can be sent again later. With the reporter's id.
    PipelineBeingRemoved(Option<String>),
    /// The source is being removed; the report can be sent again later. With the reporter's id.
    SourceBeingRemoved(Option<String>),
    /// It would exceed a cardinality limit. With the reporter's id.
    OverLimit(Option<String>, Exceeded),
}
