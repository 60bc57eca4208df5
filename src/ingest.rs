//! Validates and stores reports, from REST and GraphQL.

pub mod items;

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use crate::api::report::{self, IngestResponse, ItemResult, ItemStatus};
use crate::clock::Clock;
use crate::domain::health::Health;
use crate::domain::key::PipelineKey;
use crate::domain::report::{FieldError, FieldWarning, Report, ReportContext, ReportKind};
use crate::domain::run_id::RunId;
use crate::domain::status::RuleBook;
use crate::error::{Error, Result};
pub use crate::ingest::items::MAX_ITEMS;
use crate::ingest::items::TooLarge;
use crate::store::{NewReport, RecordOutcome, Store};

/// The errors that a response lists in full. Beyond it, each rejected item has only its first error.
const MAX_ERRORS: usize = 1_000;

#[derive(Debug, Clone)]
pub struct Ingest {
    store: Arc<Store>,
    rules: Arc<RuleBook>,
    clock: Clock,
}

/// The items of one request, each validated as it is read.
#[derive(Debug)]
pub struct Batch {
    kind: ReportKind,
    context: ReportContext,
    rules: Arc<RuleBook>,
    /// One per item: its rejection, or the warnings of its report, the next of `entries`.
    results: Vec<Result<Vec<FieldWarning>, ItemResult>>,
    entries: Vec<NewReport>,
    /// The number of errors of all rejected items.
    error_count: usize,
}

impl Ingest {
    pub fn new(store: Arc<Store>, rules: Arc<RuleBook>, clock: Clock) -> Self {
        Self { store, rules, clock }
    }

    /// Starts a batch. `pipeline` is the pipeline of items that name none (default: `default`).
    pub fn batch(&self, kind: ReportKind, pipeline: Option<&str>) -> Batch {
        let pipeline = pipeline.map_or_else(|| Ok(PipelineKey::default()), str::parse);
        Batch {
            kind,
            context: ReportContext { received_at: self.clock.now(), pipeline },
            rules: Arc::clone(&self.rules),
            results: Vec::new(),
            entries: Vec::new(),
            error_count: 0,
        }
    }

    /// Validates and stores items individually, see [`Self::record_batch`].
    pub async fn record(&self, kind: ReportKind, items: Vec<Value>, pipeline: Option<&str>) -> Result<IngestResponse> {
        let mut batch = self.batch(kind, pipeline);
        for item in items {
            batch.add(Ok(item));
        }
        self.record_batch(batch).await
    }

    /// Stores the valid items of a batch. Returns after the commit.
    ///
    /// # Errors
    /// If the database is unavailable, or while the server's clock is wrong.
    pub async fn record_batch(&self, batch: Batch) -> Result<IngestResponse> {
        // A wrong clock would reject correct reports, or store them with a wrong time.
        if let Some(skew) = self.clock.skew() {
            return Err(Error::ClockSkew(skew));
        }
        let Batch { results, entries, .. } = batch;
        let receipt = self.store.record(entries).await?;
        let mut recorded = receipt.results.into_iter();
        let results = results.into_iter().enumerate();
        let results: Vec<ItemResult> = results
            .filter_map(|(index, parsed)| match parsed {
                Err(rejection) => Some(rejection),
                Ok(warnings) => Some(result(index, recorded.next()?, warnings)),
            })
            .collect();
        count(&results);
        Ok(IngestResponse {
            results,
            revisions: receipt
                .revisions
                .into_iter()
                .map(|(key, revision)| (key.to_string(), revision.to_string()))
                .collect(),
        })
    }
}

impl Batch {
    /// Validates an item. It is held as JSON only until this returns.
    pub fn add(&mut self, item: Result<Value, TooLarge>) {
        let index = self.results.len();
        let mut id = None;
        let report = match item {
            Ok(item) => {
                id = item.get("id").and_then(Value::as_str).and_then(|id| readable_id(self.kind, id));
                Report::parse(self.kind, item, &self.context)
            }
            Err(too_large) => Err(vec![FieldError {
                field: String::new(),
                message: too_large.to_string(),
                expected: TooLarge::expected(),
            }]),
        };
        let result = match report {
            Ok(mut report) => {
                let warnings = report.take_warnings();
                self.entries.push(NewReport { status: self.status_of(&report), report });
                Ok(warnings)
            }
            Err(mut errors) => {
                errors.truncate(MAX_ERRORS.saturating_sub(self.error_count).max(1));
                self.error_count += errors.len();
                Err(rejected(index, id, errors))
            }
        };
        self.results.push(result);
    }

    pub fn len(&self) -> usize {
        self.results.len()
    }

    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// The status of a report's own counts.
    fn status_of(&self, report: &Report) -> Health {
        let thresholds = &self.rules.of(report.pipeline()).thresholds;
        let quality = match report {
            Report::SourceRun(run) => run.quality(),
            Report::DataQuality(metric) => Some(metric.quality()),
        };
        quality.map_or(Health::Pending, |quality| quality.status_for(thresholds))
    }
}

fn readable_id(kind: ReportKind, id: &str) -> Option<String> {
    match kind {
        ReportKind::SourceRun => id.parse().ok().map(|id: RunId| id.to_string()),
        ReportKind::DataQuality => Uuid::try_parse(id).ok().map(|id| id.to_string()),
    }
}

fn count(results: &[ItemResult]) {
    for (status, name) in
        [(ItemStatus::Stored, "stored"), (ItemStatus::Duplicate, "duplicate"), (ItemStatus::Refused, "refused")]
    {
        let number = results.iter().filter(|result| result.status == status).count();
        metrics::counter!("pipewatch_reports_total", "result" => name).increment(number as u64);
    }
}

fn rejected(index: usize, id: Option<String>, errors: Vec<FieldError>) -> ItemResult {
    let errors = errors.into_iter().map(report::FieldError::from).collect();
    ItemResult {
        index,
        id,
        status: ItemStatus::Refused,
        errors,
        warnings: vec![],
        is_conflict: false,
        is_temporary: false,
    }
}

fn result(index: usize, recorded: RecordOutcome, warnings: Vec<FieldWarning>) -> ItemResult {
    let accepted = |id: String, status| ItemResult {
        index,
        id: Some(id),
        status,
        errors: vec![],
        warnings: warnings.into_iter().map(report::FieldWarning::from).collect(),
        is_conflict: false,
        is_temporary: false,
    };
    let taken = |id: String, message: &str, expected: &str| ItemResult {
        is_conflict: true,
        ..rejected(
            index,
            Some(id),
            vec![FieldError { field: "id".into(), message: message.into(), expected: expected.into() }],
        )
    };
    let being_removed = |id: Option<String>, field: &str| ItemResult {
        is_temporary: true,
        ..rejected(
            index,
            id,
            vec![FieldError {
                field: field.into(),
                message: format!("the {field} is being removed"),
                expected: format!("a retry in a few seconds, or another {field}"),
            }],
        )
    };
    match recorded {
        RecordOutcome::Stored(id) => accepted(id, ItemStatus::Stored),
        RecordOutcome::Duplicate(id) => accepted(id, ItemStatus::Duplicate),
        RecordOutcome::Conflict(id) => {
            taken(id, "a different report is stored with this id", "the same report, or a new id")
        }
        RecordOutcome::PipelineBeingRemoved(id) => being_removed(id, "pipeline"),
        RecordOutcome::SourceBeingRemoved(id) => being_removed(id, "source"),
        RecordOutcome::OverLimit(id, exceeded) => rejected(
            index,
            id,
            vec![FieldError {
                field: exceeded.field().into(),
                message: exceeded.message().into(),
                expected: exceeded.expected(),
            }],
        ),
        RecordOutcome::OtherPipeline(id) => taken(id, "this id is in use by another pipeline", "a new id"),
    }
}
