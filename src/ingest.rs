//! The one way in for reports, whichever door they came through.

/// The items of a body.
pub mod items;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use crate::clock::Clock;
use crate::domain::health::Health;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::{Arrival, Fault, Report, ReportKind};
use crate::domain::status::RuleBook;
use crate::error::{Error, Result};
pub use crate::ingest::items::MAX_ITEMS;
use crate::ingest::items::TooLarge;
use crate::store::{NewReport, RecordOutcome, Store};

/// Faults that the answer to one request lists in full. Beyond it each refused item has its first fault only.
const MAX_FAULTS: usize = 1_000;

/// Takes reports.
#[derive(Debug, Clone)]
pub struct Ingest {
    store: Arc<Store>,
    rules: Arc<RuleBook>,
    clock: Clock,
}

/// The items of one request, each parsed and checked as it is read.
#[derive(Debug)]
pub struct Batch {
    kind: ReportKind,
    arrival: Arrival,
    rules: Arc<RuleBook>,
    /// One for each item: its refusal, or nothing where the next of the entries is its report.
    results: Vec<Option<ItemResult>>,
    entries: Vec<NewReport>,
    /// Faults of all refused items.
    faults: usize,
}

/// What became of a request's items.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Answer {
    /// The revisions, in decimal digits, of the pipelines that took something.
    pub revisions: BTreeMap<String, String>,
    /// One for each item, in their order.
    pub results: Vec<ItemResult>,
}

/// What became of one item.
#[derive(Debug, Clone, Serialize)]
pub struct ItemResult {
    /// Its place among the items, from 0.
    pub index: usize,
    /// The id it is stored under; of a refused one the id it came with, if that could be read.
    pub id: Option<Uuid>,
    /// What became of it.
    pub status: ItemStatus,
    /// What is wrong with it, if it was refused.
    pub errors: Vec<Fault>,
    /// Whether the one thing wrong with it is that its id is taken.
    #[serde(skip)]
    pub is_conflict: bool,
    /// Whether the same may be taken some seconds later.
    #[serde(skip)]
    pub is_temporary: bool,
}

/// What can become of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemStatus {
    /// It is committed.
    Stored,
    /// The same was committed before.
    Duplicate,
    /// It is not stored.
    Refused,
}

impl Ingest {
    /// Takes reports into this store, judged by these rules.
    pub fn new(store: Arc<Store>, rules: Arc<RuleBook>, clock: Clock) -> Self {
        Self { store, rules, clock }
    }

    /// An empty batch that has arrived now; `pipeline` is for items that name none, `default` when it is absent.
    pub fn batch(&self, kind: ReportKind, pipeline: Option<&str>) -> Batch {
        let pipeline = pipeline.map_or_else(|| Ok(PipelineKey::default()), str::parse);
        Batch {
            kind,
            arrival: Arrival { received_at: self.clock.now(), pipeline },
            rules: Arc::clone(&self.rules),
            results: Vec::new(),
            entries: Vec::new(),
            faults: 0,
        }
    }

    /// Checks and stores items, each for itself, as [`Self::record_batch`] does.
    pub async fn record(&self, kind: ReportKind, items: Vec<Value>, pipeline: Option<&str>) -> Result<Answer> {
        let mut batch = self.batch(kind, pipeline);
        for item in items {
            batch.add(Ok(item));
        }
        self.record_batch(batch).await
    }

    /// Stores the accepted items of a batch. The answer comes when what it calls stored is committed.
    /// While the server's clock is skewed, nothing is taken.
    pub async fn record_batch(&self, batch: Batch) -> Result<Answer> {
        // A wrong clock would refuse correct reports for good, or store them under a wrong time.
        if let Some(skew) = self.clock.skew() {
            return Err(Error::ClockSkew(skew));
        }
        let Batch { results, entries, .. } = batch;
        let receipt = self.store.record(entries).await?;
        let mut recorded = receipt.results.into_iter();
        let results = results.into_iter().enumerate();
        let results: Vec<ItemResult> = results
            .filter_map(|(index, refused)| refused.or_else(|| Some(ItemResult::of(index, recorded.next()?))))
            .collect();
        count(&results);
        Ok(Answer {
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
    /// Checks an item. It is JSON in memory only until this returns.
    pub fn add(&mut self, item: Result<Value, TooLarge>) {
        let index = self.results.len();
        let mut id = None;
        let report = match item {
            Ok(item) => {
                id = item.get("id").and_then(Value::as_str).and_then(|id| Uuid::try_parse(id).ok());
                Report::parse(self.kind, item, &self.arrival)
            }
            Err(too_large) => Err(vec![Fault {
                field: String::new(),
                message: too_large.to_string(),
                expected: TooLarge::expected(),
            }]),
        };
        let refused = match report {
            Ok(report) => {
                self.entries.push(NewReport { status: self.judge(&report), report });
                None
            }
            Err(mut faults) => {
                faults.truncate(MAX_FAULTS.saturating_sub(self.faults).max(1));
                self.faults += faults.len();
                Some(ItemResult::refused(index, id, faults))
            }
        };
        self.results.push(refused);
    }

    /// How many items it has.
    pub fn len(&self) -> usize {
        self.results.len()
    }

    /// Whether it has no item.
    pub fn is_empty(&self) -> bool {
        self.results.is_empty()
    }

    /// What the quality counts of a report come to by themselves.
    fn judge(&self, report: &Report) -> Health {
        let thresholds = &self.rules.of(report.pipeline()).thresholds;
        let quality = match report {
            Report::SourceRun(run) => run.quality(),
            Report::DataQuality(metric) => Some(metric.quality()),
        };
        quality.map_or(Health::Pending, |quality| quality.judge(thresholds))
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

impl ItemResult {
    fn refused(index: usize, id: Option<Uuid>, errors: Vec<Fault>) -> Self {
        Self { index, id, status: ItemStatus::Refused, errors, is_conflict: false, is_temporary: false }
    }

    fn of(index: usize, recorded: RecordOutcome) -> Self {
        let taken = |id: Uuid, message: &str, expected: &str| Self {
            is_conflict: true,
            ..Self::refused(
                index,
                Some(id),
                vec![Fault { field: "id".into(), message: message.into(), expected: expected.into() }],
            )
        };
        let being_removed = |id: Option<Uuid>, field: &str| Self {
            is_temporary: true,
            ..Self::refused(
                index,
                id,
                vec![Fault {
                    field: field.into(),
                    message: format!("this {field} is being removed"),
                    expected: format!("the same report again in some seconds, or another {field}"),
                }],
            )
        };
        match recorded {
            RecordOutcome::Stored(id) => Self {
                index,
                id: Some(id),
                status: ItemStatus::Stored,
                errors: vec![],
                is_conflict: false,
                is_temporary: false,
            },
            RecordOutcome::Duplicate(id) => Self {
                index,
                id: Some(id),
                status: ItemStatus::Duplicate,
                errors: vec![],
                is_conflict: false,
                is_temporary: false,
            },
            RecordOutcome::Conflict(id) => {
                taken(id, "another body was stored under this id", "the same body again, or a new id")
            }
            RecordOutcome::PipelineBeingRemoved(id) => being_removed(id, "pipeline"),
            RecordOutcome::SourceBeingRemoved(id) => being_removed(id, "source"),
            RecordOutcome::OverLimit(id, exceeded) => Self::refused(
                index,
                id,
                vec![Fault {
                    field: exceeded.field().into(),
                    message: exceeded.message().into(),
                    expected: exceeded.expected(),
                }],
            ),
            RecordOutcome::OtherPipeline(id) => taken(id, "this id is taken by another pipeline", "a new id"),
        }
    }
}
