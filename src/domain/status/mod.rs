//! Computes the status of a pipeline from facts, rules and an instant.
//!
//! Counts are summed and then divided. Rates are never averaged, and metric types never mixed.

mod degraded;

use std::collections::HashMap;

use crate::domain::alert::{Alert, health_of};
use crate::domain::anomaly::Anomaly;
use crate::domain::check::{CheckName, Quality, Threshold, Thresholds};
use crate::domain::counts::Counts;
use crate::domain::freshness::STARTUP_GRACE;
use crate::domain::health::Health;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::metric::MetricType;
use crate::domain::named_counts::{CountName, NamedCounts};
use crate::domain::revision::Revision;
use crate::domain::run::{LastRun, RunState};
use crate::domain::step::PipelineStep;
use crate::domain::time::Timestamp;
use chrono::TimeDelta;

#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    pub window: TimeDelta,
    /// A source without a run for this long is stale.
    pub staleness: TimeDelta,
    /// After a start of the server, no source becomes overdue for this long.
    pub startup_grace: TimeDelta,
    pub thresholds: Thresholds,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            window: TimeDelta::hours(24),
            staleness: TimeDelta::hours(24),
            startup_grace: STARTUP_GRACE,
            thresholds: Thresholds::default(),
        }
    }
}

/// The rules of every pipeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleBook {
    pub default: Rules,
    /// Overrides.
    pub pipelines: HashMap<PipelineKey, Rules>,
}

impl RuleBook {
    pub fn of(&self, pipeline: &PipelineKey) -> &Rules {
        self.pipelines.get(pipeline).unwrap_or(&self.default)
    }
}

/// The stored data of a pipeline, from one read transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    pub pipeline: PipelineKey,
    pub revision: Revision,
    /// All registered sources.
    pub sources: Vec<SourceFacts>,
    /// The counts of all runs in the window, `articles` and `events` included.
    pub counts: NamedCounts,
    /// The steps of the last cycle that lie in the window.
    pub steps: Excerpt<PipelineStep>,
    /// The sums of the metrics in the window, by group.
    pub metrics: Vec<MetricSums>,
    /// The active alerts, the worst first.
    pub alerts: Excerpt<Alert>,
    /// The anomalies in the window, the worst first.
    pub anomalies: Excerpt<Anomaly>,
    /// The rows of `conflict_events` in the window; used only if no metric has an attempt.
    pub conflict_events: Option<QualitySums>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    pub key: SourceKey,
    /// Disabled sources do not affect the status.
    pub enabled: bool,
    /// Its newest finished run that is not backfill, of any age.
    pub last_run: Option<LastRun>,
    /// Runs in progress.
    pub running: u64,
    /// Finished runs in the window.
    pub runs: u64,
    /// Successful runs among them.
    pub succeeded: u64,
    /// Successful runs among them that are not backfill.
    pub succeeded_fresh: u64,
}

/// The sums of metrics of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSums {
    pub metric_type: MetricType,
    /// Whether they are metrics of single sources.
    pub of_sources: bool,
    pub sums: QualitySums,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualitySums {
    pub quality: Quality,
    /// The time of the newest row.
    pub last_updated: Timestamp,
}

/// The source of the data quality.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Metrics of its sources.
    SourceSpecific,
    /// Hourly metrics.
    Hourly,
    /// The rows of the external table `conflict_events`.
    ConflictEvents,
    /// No counts.
    None,
}

/// The first entries of a list that may be long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt<T> {
    /// At most [`MAX_LISTED`].
    pub listed: Vec<T>,
    /// The number of further entries.
    pub omitted: u64,
}

/// Entries of one list in a status.
pub const MAX_LISTED: usize = 100;

impl<T> Default for Excerpt<T> {
    fn default() -> Self {
        Self { listed: Vec::new(), omitted: 0 }
    }
}

impl<T> From<Vec<T>> for Excerpt<T> {
    fn from(mut all: Vec<T>) -> Self {
        let omitted = all.len().saturating_sub(MAX_LISTED) as u64;
        all.truncate(MAX_LISTED);
        Self { listed: all, omitted }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct PipelineStatus {
    pub pipeline: PipelineKey,
    /// The revision of the data.
    pub revision: Revision,
    /// The instant of the computation.
    pub timestamp: Timestamp,
    pub scraping_health: ScrapingHealth,
    pub data_quality: DataQuality,
    /// The steps of the last cycle: of the newest run of each source that reports steps.
    pub steps: Excerpt<PipelineStep>,
    pub anomalies: Excerpt<Anomaly>,
    /// Active alerts.
    pub alerts: Excerpt<Alert>,
    /// The worst of the parts.
    pub overall_status: Health,
}

/// The health of a pipeline's sources.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapingHealth {
    pub status: Health,
    /// Enabled sources with a successful run in the window.
    pub sources_processed: u64,
    /// Enabled sources.
    pub total_sources: u64,
    /// Enabled sources whose last run failed.
    pub failed_sources: u64,
    /// Enabled sources that ran before, but not within the staleness period.
    pub stale_sources: u64,
    /// The counts of all runs in the window, `articles` and `events` included.
    pub counts: NamedCounts,
    /// The enabled sources, the worst first.
    pub sources: Vec<SourceStatus>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    pub source: SourceKey,
    /// `Pending` without a run, `Error` when its last run failed, else `Healthy`.
    pub status: Health,
    /// Whether it ran before, but not within the staleness period.
    pub stale: bool,
    /// Percent of the runs in the window; `None` without a run.
    pub success_rate: Option<f64>,
    /// Runs in progress.
    pub running: u64,
    /// Finished runs in the window.
    pub runs: u64,
    /// The end of the last run.
    pub last_run: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct DataQuality {
    /// The worst of the checks.
    pub status: Health,
    /// The sums that were classified.
    pub quality: Quality,
    pub checks: Vec<CheckStatus>,
    pub basis: Basis,
    /// The time of the newest counts.
    pub last_updated: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct CheckStatus {
    pub name: CheckName,
    pub status: Health,
    pub counts: Counts,
    pub threshold: Threshold,
}

impl CheckStatus {
    /// Whether it is listed: a built-in check without attempts is not one of the pipeline's checks.
    pub fn is_in_use(&self) -> bool {
        self.counts.attempts() > 0 || ![CheckName::GEOCODING, CheckName::VALIDATION].contains(&self.name)
    }
}

/// Computes the status of a pipeline at `now`.
pub fn evaluate(facts: Facts, rules: &Rules, now: Timestamp) -> PipelineStatus {
    let data_quality = data_quality(&facts, &rules.thresholds);
    let scraping_health = scraping_health(facts.sources, facts.counts, rules, now);
    PipelineStatus {
        pipeline: facts.pipeline,
        revision: facts.revision,
        timestamp: now,
        overall_status: Health::worst([
            scraping_health.status,
            data_quality.status,
            // The worst come first, so omitted alerts do not change the result.
            health_of(facts.alerts.listed.iter().map(|alert| (alert.state, alert.severity))),
        ]),
        scraping_health,
        data_quality,
        steps: facts.steps,
        anomalies: facts.anomalies,
        alerts: facts.alerts,
    }
}

fn scraping_health(sources: Vec<SourceFacts>, counts: NamedCounts, rules: &Rules, now: Timestamp) -> ScrapingHealth {
    let enabled: Vec<SourceFacts> = sources.into_iter().filter(|source| source.enabled).collect();
    let count = |has: fn(&SourceFacts) -> bool| enabled.iter().filter(|source| has(source)).count() as u64;
    let total_sources = enabled.len() as u64;
    let sources_processed = count(|source| source.succeeded_fresh > 0);
    let failed_sources = count(|source| source_health(source) == Health::Error);
    let ever_ran = count(|source| source.last_run.is_some());
    let has_recent_run = enabled.iter().any(|source| !has_no_run_within(source, now, rules.window));

    let status = if ever_ran == 0 {
        Health::Pending
    } else if failed_sources * 5 > total_sources {
        Health::Error
    } else if failed_sources > 0 || !has_recent_run {
        Health::Warning
    } else {
        Health::Healthy
    };

    let mut sources: Vec<SourceStatus> =
        enabled.into_iter().map(|source| source_status(source, rules.staleness, now)).collect();
    sources.sort_by(|one, two| worst_first(one).cmp(&worst_first(two)).then_with(|| one.source.cmp(&two.source)));
    ScrapingHealth {
        status,
        sources_processed,
        total_sources,
        failed_sources,
        stale_sources: sources.iter().filter(|source| source.stale).count() as u64,
        counts,
        sources,
    }
}

impl ScrapingHealth {
    /// Articles of all runs in the window.
    pub fn articles_collected(&self) -> u64 {
        self.counts.get(&CountName::ARTICLES).copied().unwrap_or(0)
    }

    /// Events of all runs in the window.
    pub fn events_extracted(&self) -> u64 {
        self.counts.get(&CountName::EVENTS).copied().unwrap_or(0)
    }
}

/// Whether no run finished within `span` before `now`.
fn has_no_run_within(source: &SourceFacts, now: Timestamp, span: TimeDelta) -> bool {
    source.last_run.is_none_or(|last| last.finished_at <= now - span)
}

fn source_health(source: &SourceFacts) -> Health {
    match source.last_run.map(|last| last.state) {
        None => Health::Pending,
        Some(RunState::Failed | RunState::Lost) => Health::Error,
        Some(RunState::Ok | RunState::Aborted | RunState::Running) => Health::Healthy,
    }
}

fn source_status(source: SourceFacts, staleness: TimeDelta, now: Timestamp) -> SourceStatus {
    SourceStatus {
        status: source_health(&source),
        stale: source.last_run.is_some() && has_no_run_within(&source, now, staleness),
        #[allow(clippy::cast_precision_loss, reason = "exact to 2⁵³ runs")]
        success_rate: (source.runs > 0).then(|| 100.0 * source.succeeded as f64 / source.runs as f64),
        running: source.running,
        runs: source.runs,
        last_run: source.last_run.map(|last| last.finished_at),
        source: source.key,
    }
}

/// The order of the list: failed, stale, never run, healthy.
fn worst_first(source: &SourceStatus) -> u8 {
    match source.status {
        Health::Error => 0,
        Health::Warning => 1,
        _ if source.stale => 2,
        Health::Pending => 3,
        Health::Healthy => 4,
    }
}

fn data_quality(facts: &Facts, thresholds: &Thresholds) -> DataQuality {
    /// The first of these with an attempt is the basis of all checks.
    const ORDER: [(MetricType, bool, Basis); 4] = [
        (MetricType::Aggregate, false, Basis::Aggregate),
        (MetricType::SourceSpecific, true, Basis::SourceSpecific),
        (MetricType::Hourly, false, Basis::Hourly),
        (MetricType::Hourly, true, Basis::Hourly),
    ];
    let of_metrics = ORDER.into_iter().find_map(|(metric_type, of_sources, basis)| {
        facts
            .metrics
            .iter()
            .find(|group| group.metric_type == metric_type && group.of_sources == of_sources)
            .filter(|group| group.sums.quality.has_attempt())
            .map(|group| (basis, group.sums.clone()))
    });
    let of_events = || {
        let sums = facts.conflict_events.clone().filter(|sums| sums.quality.has_attempt());
        sums.map(|sums| (Basis::ConflictEvents, sums))
    };
    let (basis, quality, last_updated) = match of_metrics.or_else(of_events) {
        Some((basis, sums)) => (basis, sums.quality, Some(sums.last_updated)),
        None => (Basis::None, Quality::default(), None),
    };
    let evaluate = |(name, counts)| {
        let threshold = thresholds.of(&name);
        CheckStatus { name, status: threshold.classify(counts), counts, threshold }
    };
    DataQuality {
        status: quality.status_for(thresholds),
        checks: quality.checks().map(evaluate).collect(),
        quality,
        basis,
        last_updated,
    }
}

#[cfg(test)]
mod tests;
