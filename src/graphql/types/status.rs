use std::sync::Arc;

use async_graphql::{Enum, Object, SimpleObject};

use crate::domain::anomaly::Severity;
use crate::domain::counts::{Counts, shown};
use crate::domain::health::Health;
use crate::domain::status::{Basis, CheckStatus, DataQuality, ScrapingHealth, SourceStatus};
use crate::domain::step::PipelineStep;
use crate::domain::time::seconds;
use crate::graphql::types::alert::Alert;
use crate::graphql::types::anomaly::Anomaly;
use crate::graphql::types::history::StepStateValue;
use crate::graphql::types::scalar::{Count, DateTime};
use crate::status::snapshot::{Listing, Snapshot};

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Health", name = "Health")]
pub(crate) enum HealthValue {
    /// Nothing, or too little, is known.
    Pending,
    /// All is well.
    Healthy,
    /// Somebody should look today.
    Warning,
    /// Somebody should look now.
    Error,
}

/// Where the data quality was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Basis", name = "QualityBasis")]
pub(crate) enum BasisValue {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Metrics of its sources.
    SourceSpecific,
    /// Sums of hours.
    Hourly,
    /// The old pipeline's own output.
    ConflictEvents,
    /// Nothing was counted.
    None,
}

/// How grave an anomaly or an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Severity", name = "Severity")]
pub(crate) enum SeverityValue {
    /// Worth knowing.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth waking somebody.
    High,
}

/// The status of a pipeline at an instant.
pub(crate) struct PipelineStatus(pub(crate) Arc<Snapshot>);

/// The status of a pipeline at an instant.
#[Object]
impl PipelineStatus {
    /// The pipeline's key.
    async fn pipeline(&self) -> &str {
        self.0.status().pipeline.as_str()
    }

    /// The revision of the data, in decimal digits, to be compared as a number. Of two statuses the newer one has the
    /// higher revision or, at the same one, the later timestamp.
    async fn revision(&self) -> String {
        self.0.revision().to_string()
    }

    /// The instant that the status is worked out for.
    async fn timestamp(&self) -> DateTime {
        self.0.timestamp().into()
    }

    /// How the sources do.
    async fn scraping_health(&self) -> ScrapingHealthObject<'_> {
        ScrapingHealthObject(&self.0.status().scraping_health)
    }

    /// How good what they bring is.
    async fn data_quality(&self) -> DataQualityObject {
        DataQualityObject::from(&self.0.status().data_quality)
    }

    /// The steps of the last cycle: of the newest run of each source that told of its steps.
    /// At most 100 are listed.
    async fn steps(&self) -> Vec<PipelineStepObject> {
        self.0.status().steps.listed.iter().map(PipelineStepObject::from).collect()
    }

    /// How many steps the list leaves out.
    async fn steps_omitted(&self) -> Count {
        Count(self.0.status().steps.omitted)
    }

    /// What is unusual in the window, the most severe first: at most 100.
    async fn anomalies(&self) -> Vec<Anomaly> {
        self.0.status().anomalies.listed.iter().cloned().map(Anomaly::from).collect()
    }

    /// How many anomalies the list leaves out.
    async fn anomalies_omitted(&self) -> Count {
        Count(self.0.status().anomalies.omitted)
    }

    /// The active alerts, the most severe first, and firing before acknowledged: at most 100. `alerts` of the query lists
    /// all of them, page by page.
    async fn alerts(&self) -> Vec<Alert> {
        self.0.status().alerts.listed.iter().cloned().map(Alert::from).collect()
    }

    /// How many active alerts the list leaves out.
    async fn alerts_omitted(&self) -> Count {
        Count(self.0.status().alerts.omitted)
    }

    /// The worst of the parts; pending only when all of them are.
    async fn overall_status(&self) -> HealthValue {
        self.0.status().overall_status.into()
    }
}

/// How the sources of a pipeline do.
pub(crate) struct ScrapingHealthObject<'a>(&'a ScrapingHealth);

/// How the sources of a pipeline do.
#[Object(name = "ScrapingHealth")]
impl ScrapingHealthObject<'_> {
    /// Warning with any source in error, error above a fifth of them; never healthy when all are silent.
    async fn status(&self) -> HealthValue {
        self.0.status.into()
    }

    /// Enabled sources with a successful run in the window.
    async fn sources_processed(&self) -> Count {
        Count(self.0.sources_processed)
    }

    /// Enabled sources.
    async fn total_sources(&self) -> Count {
        Count(self.0.total_sources)
    }

    /// Enabled sources whose last run failed.
    async fn failed_sources(&self) -> Count {
        Count(self.0.failed_sources)
    }

    /// Enabled sources that ran before and have been silent for too long.
    async fn stale_sources(&self) -> Count {
        Count(self.0.stale_sources)
    }

    /// Articles of all runs in the window.
    async fn articles_collected(&self) -> Count {
        Count(self.0.articles_collected)
    }

    /// Events of all runs in the window.
    async fn events_extracted(&self) -> Count {
        Count(self.0.events_extracted)
    }

    /// The enabled sources, the worst first: at most 50, unless `first` says how many, or all are asked for. Never more than
    /// 5,000.
    async fn sources(&self, #[graphql(default)] all: bool, first: Option<i32>) -> Vec<SourceStatusObject> {
        let default = if all { Listing::MOST } else { Listing::WORST };
        let most = first.map_or(default, |first| usize::try_from(first).unwrap_or(0)).min(Listing::MOST);
        self.0.sources.iter().take(most).map(SourceStatusObject::from).collect()
    }

    /// How many enabled sources `sources` leaves out unless all are asked for.
    async fn sources_omitted(&self) -> Count {
        Count(self.0.sources.len().saturating_sub(Listing::WORST) as u64)
    }
}

/// How one source does.
#[derive(SimpleObject)]
#[graphql(name = "SourceStatus")]
pub(crate) struct SourceStatusObject {
    /// The source's key.
    source: String,
    /// Pending without a run, error when its last run failed, else healthy.
    status: HealthValue,
    /// Whether it ran before and has been silent for too long.
    stale: bool,
    /// Percent of its runs in the window that succeeded, with one decimal; null without a run in the window.
    success_rate: Option<f64>,
    /// Its runs that have begun and not ended.
    running: Count,
    /// Its runs in the window.
    runs: Count,
    /// When its last run finished.
    last_run: Option<DateTime>,
}

impl From<&SourceStatus> for SourceStatusObject {
    fn from(source: &SourceStatus) -> Self {
        Self {
            source: source.source.as_str().to_owned(),
            status: source.status.into(),
            stale: source.stale,
            success_rate: source.success_rate.map(shown),
            running: Count(source.running),
            runs: Count(source.runs),
            last_run: source.last_run.map(DateTime::from),
        }
    }
}

/// A step of the last cycle, all sources together.
#[derive(SimpleObject)]
#[graphql(name = "PipelineStep")]
pub(crate) struct PipelineStepObject {
    /// Its name.
    name: String,
    /// Failed when it failed anywhere; running while it runs anywhere, or is done here and still to come there.
    state: StepStateValue,
    /// In how many sources' runs it is.
    sources: Count,
    /// In how many of them it failed.
    failed: Count,
    /// Items it was given; null when they were not counted.
    items_in: Option<Count>,
    /// Items it gave on; null when they were not counted.
    items_out: Option<Count>,
    /// When the first of them began.
    started_at: Option<DateTime>,
    /// When the last of them ended; null while one has not.
    ended_at: Option<DateTime>,
    /// The time that was spent in it, all sources together, in seconds; null when it is not known.
    duration_seconds: Option<f64>,
}

impl From<&PipelineStep> for PipelineStepObject {
    fn from(step: &PipelineStep) -> Self {
        Self {
            name: step.name.to_string(),
            state: step.state.into(),
            sources: Count(step.sources),
            failed: Count(step.failed),
            items_in: step.items_in.map(Count),
            items_out: step.items_out.map(Count),
            started_at: step.started_at.map(DateTime::from),
            ended_at: step.ended_at.map(DateTime::from),
            duration_seconds: step.duration.map(seconds),
        }
    }
}

/// How good the data is: the counts of the window, summed and then divided.
#[derive(SimpleObject)]
#[graphql(name = "DataQuality")]
pub(crate) struct DataQualityObject {
    /// The worst of the checks.
    status: HealthValue,
    /// Percent, with one decimal; null without an attempt.
    geocoding_success_rate: Option<f64>,
    /// Percent, with one decimal; null without an attempt.
    validation_pass_rate: Option<f64>,
    /// How many events were to get a place.
    geocoding_attempts: Count,
    /// How many got one.
    geocoding_successes: Count,
    /// How many events were looked at for being complete.
    validation_attempts: Count,
    /// How many were.
    validation_passes: Count,
    /// Every check, those two and the further ones.
    checks: Vec<CheckStatusObject>,
    /// Where the counts were taken from.
    basis: BasisValue,
    /// The newest moment in them.
    last_updated: Option<DateTime>,
}

impl From<&DataQuality> for DataQualityObject {
    fn from(quality: &DataQuality) -> Self {
        let rate = |counts: Counts| counts.rate().map(shown);
        let (geocoding, validation) = (quality.quality.geocoding, quality.quality.validation);
        Self {
            status: quality.status.into(),
            geocoding_success_rate: rate(geocoding),
            validation_pass_rate: rate(validation),
            geocoding_attempts: Count(geocoding.attempts()),
            geocoding_successes: Count(geocoding.successes()),
            validation_attempts: Count(validation.attempts()),
            validation_passes: Count(validation.successes()),
            checks: quality.checks.iter().map(CheckStatusObject::from).collect(),
            basis: quality.basis.into(),
            last_updated: quality.last_updated.map(DateTime::from),
        }
    }
}

/// How one check does.
#[derive(SimpleObject)]
#[graphql(name = "CheckStatus")]
pub(crate) struct CheckStatusObject {
    /// Its name.
    name: String,
    /// How its counts were judged.
    status: HealthValue,
    /// How often it was tried.
    attempts: Count,
    /// How often it passed.
    passes: Count,
    /// Percent, with one decimal; null without an attempt.
    rate: Option<f64>,
    /// Below this, in percent, it is a warning.
    warning_below: f64,
    /// Below this, in percent, it is an error.
    error_below: f64,
}

impl From<&CheckStatus> for CheckStatusObject {
    fn from(check: &CheckStatus) -> Self {
        Self {
            name: check.name.to_string(),
            status: check.status.into(),
            attempts: Count(check.counts.attempts()),
            passes: Count(check.counts.successes()),
            rate: check.counts.rate().map(shown),
            warning_below: check.threshold.warning(),
            error_below: check.threshold.error(),
        }
    }
}

/// A pipeline in the overview.
pub(crate) struct PipelineSummary(pub(crate) Arc<Snapshot>);

/// A pipeline in the overview.
#[Object]
impl PipelineSummary {
    /// The pipeline's key.
    async fn key(&self) -> &str {
        self.0.status().pipeline.as_str()
    }

    /// The worst of its parts.
    async fn overall_status(&self) -> HealthValue {
        self.0.status().overall_status.into()
    }

    /// The revision of its data, in decimal digits, to be compared as a number.
    async fn revision(&self) -> String {
        self.0.revision().to_string()
    }

    /// The instant that this is worked out for.
    async fn timestamp(&self) -> DateTime {
        self.0.timestamp().into()
    }

    /// Enabled sources with a successful run in the window.
    async fn sources_processed(&self) -> Count {
        Count(self.0.status().scraping_health.sources_processed)
    }

    /// Enabled sources.
    async fn total_sources(&self) -> Count {
        Count(self.0.status().scraping_health.total_sources)
    }

    /// Enabled sources whose last run failed.
    async fn failed_sources(&self) -> Count {
        Count(self.0.status().scraping_health.failed_sources)
    }

    /// Enabled sources that ran before and have been silent for too long.
    async fn stale_sources(&self) -> Count {
        Count(self.0.status().scraping_health.stale_sources)
    }

    /// Articles of all runs in the window.
    async fn articles_collected(&self) -> Count {
        Count(self.0.status().scraping_health.articles_collected)
    }

    /// Events of all runs in the window.
    async fn events_extracted(&self) -> Count {
        Count(self.0.status().scraping_health.events_extracted)
    }

    /// The worst of its checks.
    async fn data_quality_status(&self) -> HealthValue {
        self.0.status().data_quality.status.into()
    }

    /// Alerts that fire, those at which somebody looks too.
    async fn open_alerts(&self) -> Count {
        let alerts = &self.0.status().alerts;
        let listed = alerts.listed.iter().filter(|alert| alert.state.is_active());
        Count(listed.count() as u64 + alerts.omitted)
    }
}
