use std::sync::Arc;

use async_graphql::{Object, SimpleObject};

use crate::domain::counts::{Counts, round_percent};
use crate::domain::status::{CheckStatus, DataQuality, ScrapingHealth, SourceStatus};
use crate::domain::step::PipelineStep;
use crate::domain::time::seconds;
use crate::graphql::types::alert::Alert;
use crate::graphql::types::anomaly::Anomaly;
use crate::graphql::types::enums::{Health, QualityBasis, StepState};
use crate::graphql::types::history::NamedCount;
use crate::graphql::types::scalar::{Count, DateTime};
use crate::status::snapshot::{Snapshot, SourceListing};

/// The status of a pipeline at an instant.
pub(crate) struct PipelineStatus(pub(crate) Arc<Snapshot>);

/// The status of a pipeline at one instant. It summarises the window, which is 24 hours unless configured.
#[Object]
impl PipelineStatus {
    /// The key of the pipeline, `default` unless another was requested.
    async fn pipeline(&self) -> &str {
        self.0.status().pipeline.as_str()
    }

    /// The revision of the data in decimal digits, to be compared as a number. The newer of two statuses has the
    /// higher revision or, at the same revision, the later timestamp.
    async fn revision(&self) -> String {
        self.0.revision().to_string()
    }

    /// The instant that the status was computed for.
    async fn timestamp(&self) -> DateTime {
        self.0.timestamp().into()
    }

    /// The health of the sources and the volumes that they collect.
    async fn scraping_health(&self) -> ScrapingHealthObject<'_> {
        ScrapingHealthObject(&self.0.status().scraping_health)
    }

    /// The results of the data quality checks in the window.
    async fn data_quality(&self) -> DataQualityObject {
        DataQualityObject::from(&self.0.status().data_quality)
    }

    /// The steps of the latest cycle: of the latest run of each source that reports its steps. At most 100 are
    /// listed.
    async fn steps(&self) -> Vec<PipelineStepObject> {
        self.0.status().steps.listed.iter().map(PipelineStepObject::from).collect()
    }

    /// The number of steps that `steps` leaves out.
    async fn steps_omitted(&self) -> Count {
        Count::of(self.0.status().steps.omitted)
    }

    /// The anomalies in the window, the most severe first; at most 100 are listed.
    async fn anomalies(&self) -> Vec<Anomaly> {
        self.0.status().anomalies.listed.iter().cloned().map(Anomaly::from).collect()
    }

    /// The number of anomalies that `anomalies` leaves out.
    async fn anomalies_omitted(&self) -> Count {
        Count::of(self.0.status().anomalies.omitted)
    }

    /// The active alerts, the most severe first, and firing before acknowledged; at most 100 are listed. The query
    /// `alerts` lists all, page by page.
    async fn alerts(&self) -> Vec<Alert> {
        self.0.status().alerts.listed.iter().cloned().map(Alert::from).collect()
    }

    /// The number of active alerts that `alerts` leaves out.
    async fn alerts_omitted(&self) -> Count {
        Count::of(self.0.status().alerts.omitted)
    }

    /// The worst health of all parts; `PENDING` only if all parts are.
    async fn overall_status(&self) -> Health {
        self.0.status().overall_status.into()
    }
}

/// The health of the sources of a pipeline.
pub(crate) struct ScrapingHealthObject<'a>(&'a ScrapingHealth);

/// The health of the sources of a pipeline and their volumes in the window.
#[Object(name = "ScrapingHealth")]
impl ScrapingHealthObject<'_> {
    /// The health: `WARNING` if any source is in error, `ERROR` if more than 20 % are, and never `HEALTHY` if all
    /// sources are silent.
    async fn status(&self) -> Health {
        self.0.status.into()
    }

    /// The number of enabled sources with a successful run in the window.
    async fn sources_processed(&self) -> Count {
        Count::of(self.0.sources_processed)
    }

    /// The number of enabled sources, with and without runs.
    async fn total_sources(&self) -> Count {
        Count::of(self.0.total_sources)
    }

    /// The number of enabled sources whose latest run failed.
    async fn failed_sources(&self) -> Count {
        Count::of(self.0.failed_sources)
    }

    /// The number of enabled sources that have run before and are overdue.
    async fn stale_sources(&self) -> Count {
        Count::of(self.0.stale_sources)
    }

    /// The number of articles collected by all runs in the window.
    async fn articles_collected(&self) -> Count {
        Count::of(self.0.articles_collected())
    }

    /// The number of events extracted by all runs in the window.
    async fn events_extracted(&self) -> Count {
        Count::of(self.0.events_extracted())
    }

    /// The counts of all runs in the window, summed by name, sorted by name; `articles` and `events` included.
    async fn counts(&self) -> Vec<NamedCount> {
        self.0.counts.iter().map(|(name, value)| NamedCount::new(name, *value)).collect()
    }

    /// The enabled sources, the worst first: 50 of them, or `first`, or with `all` every one, up to 5,000.
    async fn sources(
        &self,
        #[graphql(default, desc = "Whether to list every source, up to 5,000.")] all: bool,
        #[graphql(desc = "The maximum number of sources; 50 by default.")] first: Option<i32>,
    ) -> Vec<SourceStatusObject> {
        let default = if all { SourceListing::MAX_ALL } else { SourceListing::MAX_WORST };
        let count = first.map_or(default, |first| usize::try_from(first).unwrap_or(0)).min(SourceListing::MAX_ALL);
        self.0.sources.iter().take(count).map(SourceStatusObject::from).collect()
    }

    /// The number of enabled sources that `sources` leaves out by default.
    async fn sources_omitted(&self) -> Count {
        Count::of(self.0.sources.len().saturating_sub(SourceListing::MAX_WORST) as u64)
    }
}

/// The status of one source.
#[derive(SimpleObject)]
#[graphql(name = "SourceStatus")]
pub(crate) struct SourceStatusObject {
    /// The key of the source, unique within its pipeline.
    source: String,
    /// The health: `PENDING` without a run, `ERROR` if the latest run failed, otherwise `HEALTHY`.
    status: Health,
    /// Whether the source has run before and is overdue.
    stale: bool,
    /// The percentage of successful runs in the window, rounded to one decimal; null without runs in the window.
    success_rate: Option<f64>,
    /// The number of runs in progress.
    running: Count,
    /// The number of runs that ended in the window.
    runs: Count,
    /// The end of the latest run that is not backfill; null without one.
    last_run: Option<DateTime>,
}

impl From<&SourceStatus> for SourceStatusObject {
    fn from(source: &SourceStatus) -> Self {
        Self {
            source: source.source.as_str().to_owned(),
            status: source.status.into(),
            stale: source.stale,
            success_rate: source.success_rate.map(round_percent),
            running: Count::of(source.running),
            runs: Count::of(source.runs),
            last_run: source.last_run.map(DateTime::from),
        }
    }
}

/// A step of the latest cycle, over all sources.
#[derive(SimpleObject)]
#[graphql(name = "PipelineStep")]
pub(crate) struct PipelineStepObject {
    /// The name of the step, such as `collection` or `geocoding`.
    name: String,
    /// The state: `FAILED` if it failed for any source, `RUNNING` if it is in progress for any, or done for some and
    /// pending for others.
    state: StepState,
    /// The number of sources whose runs have the step.
    sources: Count,
    /// The number of sources for which the step failed.
    failed: Count,
    /// The number of items that the step received; null if they were not counted.
    items_in: Option<Count>,
    /// The number of items that the step passed on; null if they were not counted.
    items_out: Option<Count>,
    /// The earliest start of the step; null if it was not reported.
    started_at: Option<DateTime>,
    /// The latest end of the step; null while it is in progress for any source.
    ended_at: Option<DateTime>,
    /// The time spent in the step by all sources, in seconds; null if it is unknown.
    duration_seconds: Option<f64>,
}

impl From<&PipelineStep> for PipelineStepObject {
    fn from(step: &PipelineStep) -> Self {
        Self {
            name: step.name.to_string(),
            state: step.state.into(),
            sources: Count::of(step.sources),
            failed: Count::of(step.failed),
            items_in: step.items_in.map(Count::of),
            items_out: step.items_out.map(Count::of),
            started_at: step.started_at.map(DateTime::from),
            ended_at: step.ended_at.map(DateTime::from),
            duration_seconds: step.duration.map(seconds),
        }
    }
}

/// The results of the data quality checks: the counts of the window are summed, then divided.
#[derive(SimpleObject)]
#[graphql(name = "DataQuality")]
pub(crate) struct DataQualityObject {
    /// The worst health of all checks.
    status: Health,
    /// The percentage of geocoding attempts that succeeded, rounded to one decimal; null without attempts.
    geocoding_success_rate: Option<f64>,
    /// The percentage of validated events that passed, rounded to one decimal; null without attempts.
    validation_pass_rate: Option<f64>,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: Count,
    /// The number of events that were geocoded successfully.
    geocoding_successes: Count,
    /// The number of events that were validated.
    validation_attempts: Count,
    /// The number of events that passed validation.
    validation_passes: Count,
    /// The checks: the custom ones, and geocoding and validation where they have attempts.
    checks: Vec<CheckStatusObject>,
    /// The rows that the counts are taken from.
    basis: QualityBasis,
    /// The latest instant that the counts refer to; null without counts.
    last_updated: Option<DateTime>,
}

impl From<&DataQuality> for DataQualityObject {
    fn from(quality: &DataQuality) -> Self {
        let rate = |counts: Counts| counts.rate().map(round_percent);
        let (geocoding, validation) = (quality.quality.geocoding, quality.quality.validation);
        Self {
            status: quality.status.into(),
            geocoding_success_rate: rate(geocoding),
            validation_pass_rate: rate(validation),
            geocoding_attempts: Count::of(geocoding.attempts()),
            geocoding_successes: Count::of(geocoding.successes()),
            validation_attempts: Count::of(validation.attempts()),
            validation_passes: Count::of(validation.successes()),
            checks: quality.checks.iter().filter(|check| check.is_in_use()).map(CheckStatusObject::from).collect(),
            basis: quality.basis.into(),
            last_updated: quality.last_updated.map(DateTime::from),
        }
    }
}

/// The result of one data quality check.
#[derive(SimpleObject)]
#[graphql(name = "CheckStatus")]
pub(crate) struct CheckStatusObject {
    /// The name of the check, such as `geocoding`.
    name: String,
    /// The health of the check: `PENDING` with fewer than 5 attempts, otherwise by its thresholds.
    status: Health,
    /// The number of items that were checked.
    attempts: Count,
    /// The number of items that passed the check.
    passes: Count,
    /// The percentage of attempts that passed, rounded to one decimal; null without attempts.
    rate: Option<f64>,
    /// The threshold of a warning, in percent: a lower rate is one.
    warning_below: f64,
    /// The threshold of an error, in percent: a lower rate is one.
    error_below: f64,
}

impl From<&CheckStatus> for CheckStatusObject {
    fn from(check: &CheckStatus) -> Self {
        Self {
            name: check.name.to_string(),
            status: check.status.into(),
            attempts: Count::of(check.counts.attempts()),
            passes: Count::of(check.counts.successes()),
            rate: check.counts.rate().map(round_percent),
            warning_below: check.threshold.warning(),
            error_below: check.threshold.error(),
        }
    }
}

/// A pipeline in the overview.
pub(crate) struct PipelineSummary(pub(crate) Arc<Snapshot>);

/// The main figures of a pipeline, for an overview of many.
#[Object]
impl PipelineSummary {
    /// The key of the pipeline, as `pipelineStatus` takes it.
    async fn key(&self) -> &str {
        self.0.status().pipeline.as_str()
    }

    /// The worst health of all its parts.
    async fn overall_status(&self) -> Health {
        self.0.status().overall_status.into()
    }

    /// The revision of its data in decimal digits, to be compared as a number.
    async fn revision(&self) -> String {
        self.0.revision().to_string()
    }

    /// The instant that the figures were computed for.
    async fn timestamp(&self) -> DateTime {
        self.0.timestamp().into()
    }

    /// The number of enabled sources with a successful run in the window.
    async fn sources_processed(&self) -> Count {
        Count::of(self.0.status().scraping_health.sources_processed)
    }

    /// The number of enabled sources, with and without runs.
    async fn total_sources(&self) -> Count {
        Count::of(self.0.status().scraping_health.total_sources)
    }

    /// The number of enabled sources whose latest run failed.
    async fn failed_sources(&self) -> Count {
        Count::of(self.0.status().scraping_health.failed_sources)
    }

    /// The number of enabled sources that have run before and are overdue.
    async fn stale_sources(&self) -> Count {
        Count::of(self.0.status().scraping_health.stale_sources)
    }

    /// The number of articles collected by all runs in the window.
    async fn articles_collected(&self) -> Count {
        Count::of(self.0.status().scraping_health.articles_collected())
    }

    /// The number of events extracted by all runs in the window.
    async fn events_extracted(&self) -> Count {
        Count::of(self.0.status().scraping_health.events_extracted())
    }

    /// The worst health of its data quality checks.
    async fn data_quality_status(&self) -> Health {
        self.0.status().data_quality.status.into()
    }

    /// The number of alerts that fire, including acknowledged ones.
    async fn open_alerts(&self) -> Count {
        let alerts = &self.0.status().alerts;
        let listed = alerts.listed.iter().filter(|alert| alert.state.is_active());
        Count::of(listed.count() as u64 + alerts.omitted)
    }
}
