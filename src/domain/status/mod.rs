//! The status of a pipeline: a function of its facts, its rules and an instant.
//!
//! Counts are summed and then divided; rates are never averaged, and metric types never mixed.

/// A status that cannot be worked out for now.
mod trouble;

use std::collections::HashMap;

use chrono::TimeDelta;
use serde::Serialize;

use crate::domain::alert::{Alert, health_of};
use crate::domain::anomaly::Anomaly;
use crate::domain::check::{CheckName, Quality, Threshold, Thresholds};
use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::metric::MetricType;
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::run::{LastRun, RunState};
use crate::domain::source::SourceKey;
use crate::domain::step::PipelineStep;
use crate::domain::time::Timestamp;

/// What the status of a pipeline is worked out by.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// How far back the window reaches.
    pub window: TimeDelta,
    /// After how long without a run a source is stale.
    pub staleness: TimeDelta,
    /// How the checks are judged.
    pub thresholds: Thresholds,
}

impl Default for Rules {
    fn default() -> Self {
        Self { window: TimeDelta::hours(24), staleness: TimeDelta::hours(24), thresholds: Thresholds::default() }
    }
}

/// The rules of every pipeline.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RuleBook {
    /// Those of a pipeline that has none of its own.
    pub default: Rules,
    /// Those of single pipelines.
    pub pipelines: HashMap<PipelineKey, Rules>,
}

impl RuleBook {
    /// The rules of one pipeline.
    pub fn of(&self, pipeline: &PipelineKey) -> &Rules {
        self.pipelines.get(pipeline).unwrap_or(&self.default)
    }
}

/// What the store knows of a pipeline, all of it read in one read transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The revision of the data.
    pub revision: Revision,
    /// Its registered sources.
    pub sources: Vec<SourceFacts>,
    /// Articles of all runs in the window.
    pub articles_collected: u64,
    /// Events of all runs in the window.
    pub events_extracted: u64,
    /// The steps of the last cycle, as far as it lies in the window.
    pub steps: Excerpt<PipelineStep>,
    /// The sums of the metrics in the window, one entry a group.
    pub metrics: Vec<MetricSums>,
    /// Its active alerts, the worst first.
    pub alerts: Excerpt<Alert>,
    /// What is unusual in the window, the worst first.
    pub anomalies: Excerpt<Anomaly>,
    /// The old pipeline's own rows in the window; looked at only where no metric has an attempt.
    pub conflict_events: Option<QualitySums>,
}

/// What the store knows of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFacts {
    /// The source.
    pub key: SourceKey,
    /// Whether it counts.
    pub enabled: bool,
    /// Its newest finished run that was no backfill, ever.
    pub last_run: Option<LastRun>,
    /// Its runs that have begun and not ended.
    pub running: u64,
    /// Its finished runs in the window.
    pub runs: u64,
    /// Those of them that succeeded.
    pub succeeded: u64,
    /// Those of them that succeeded and were no backfill.
    pub succeeded_fresh: u64,
}

/// Rows of metrics that may be summed with each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSums {
    /// Their type.
    pub metric_type: MetricType,
    /// Whether they are about single sources.
    pub of_sources: bool,
    /// Their sums.
    pub sums: QualitySums,
}

/// Sums of quality counts, and the newest moment in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QualitySums {
    /// The sums.
    pub quality: Quality,
    /// When the newest row was.
    pub last_updated: Timestamp,
}

/// Where the data quality was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Basis {
    /// Metrics of the whole pipeline.
    #[serde(rename = "aggregate")]
    Aggregate,
    /// Metrics of its sources.
    #[serde(rename = "source-specific")]
    SourceSpecific,
    /// Sums of hours.
    #[serde(rename = "hourly")]
    Hourly,
    /// The old pipeline's own output.
    #[serde(rename = "conflict_events")]
    ConflictEvents,
    /// Nothing was counted.
    #[serde(rename = "none")]
    None,
}

/// The first entries of a list that may be long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt<T> {
    /// At most [`LISTED`].
    pub listed: Vec<T>,
    /// How many more there are.
    pub omitted: u64,
}

/// Entries of one list in a status.
pub const LISTED: usize = 100;

impl<T> Default for Excerpt<T> {
    fn default() -> Self {
        Self { listed: Vec::new(), omitted: 0 }
    }
}

impl<T> From<Vec<T>> for Excerpt<T> {
    fn from(mut all: Vec<T>) -> Self {
        let omitted = all.len().saturating_sub(LISTED) as u64;
        all.truncate(LISTED);
        Self { listed: all, omitted }
    }
}

/// The answer.
#[derive(Debug, Clone, PartialEq)]
pub struct PipelineStatus {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The revision of the data it was worked out from.
    pub revision: Revision,
    /// The instant it was worked out for.
    pub timestamp: Timestamp,
    /// How the sources do.
    pub scraping_health: ScrapingHealth,
    /// How good what they bring is.
    pub data_quality: DataQuality,
    /// The steps of the last cycle: the newest run of each source that told of its steps.
    pub steps: Excerpt<PipelineStep>,
    /// What is unusual.
    pub anomalies: Excerpt<Anomaly>,
    /// The active alerts.
    pub alerts: Excerpt<Alert>,
    /// The worst of the parts.
    pub overall_status: Health,
}

/// How the sources of a pipeline do.
#[derive(Debug, Clone, PartialEq)]
pub struct ScrapingHealth {
    /// All in all.
    pub status: Health,
    /// Enabled sources with a successful run in the window.
    pub sources_processed: u64,
    /// Enabled sources.
    pub total_sources: u64,
    /// Enabled sources whose last run failed.
    pub failed_sources: u64,
    /// Enabled sources that ran before and have now been silent for too long.
    pub stale_sources: u64,
    /// Articles of all runs in the window.
    pub articles_collected: u64,
    /// Events of all runs in the window.
    pub events_extracted: u64,
    /// The enabled sources, the worst first.
    pub sources: Vec<SourceStatus>,
}

/// How one source does.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceStatus {
    /// The source.
    pub source: SourceKey,
    /// `Pending` without a run, `Error` when its last run failed, else `Healthy`.
    pub status: Health,
    /// Whether it has been silent for too long.
    pub stale: bool,
    /// Percent of its runs in the window that succeeded; `None` without a run in the window.
    pub success_rate: Option<f64>,
    /// Its runs that have begun and not ended.
    pub running: u64,
    /// Its runs in the window.
    pub runs: u64,
    /// When its last run finished.
    pub last_run: Option<Timestamp>,
}

/// How good the data is.
#[derive(Debug, Clone, PartialEq)]
pub struct DataQuality {
    /// The worst of the checks.
    pub status: Health,
    /// The sums that were judged.
    pub quality: Quality,
    /// How each check does.
    pub checks: Vec<CheckStatus>,
    /// Where they were taken from.
    pub basis: Basis,
    /// The newest moment in them.
    pub last_updated: Option<Timestamp>,
}

/// How one check does.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckStatus {
    /// The check.
    pub name: CheckName,
    /// How its counts were judged.
    pub status: Health,
    /// Its counts.
    pub counts: Counts,
    /// By what they were judged.
    pub threshold: Threshold,
}

/// Works out the status of a pipeline at `now`.
pub fn evaluate(facts: Facts, rules: &Rules, now: Timestamp) -> PipelineStatus {
    let data_quality = data_quality(&facts, &rules.thresholds);
    let scraping_health = scraping_health(facts.sources, facts.articles_collected, facts.events_extracted, rules, now);
    PipelineStatus {
        pipeline: facts.pipeline,
        revision: facts.revision,
        timestamp: now,
        overall_status: Health::worst([
            scraping_health.status,
            data_quality.status,
            // The worst come first, so what is left out changes nothing.
            health_of(facts.alerts.listed.iter().map(|alert| (alert.state, alert.severity))),
        ]),
        scraping_health,
        data_quality,
        steps: facts.steps,
        anomalies: facts.anomalies,
        alerts: facts.alerts,
    }
}

fn scraping_health(
    sources: Vec<SourceFacts>,
    articles_collected: u64,
    events_extracted: u64,
    rules: &Rules,
    now: Timestamp,
) -> ScrapingHealth {
    let enabled: Vec<SourceFacts> = sources.into_iter().filter(|source| source.enabled).collect();
    let count = |has: fn(&SourceFacts) -> bool| enabled.iter().filter(|source| has(source)).count() as u64;
    let total_sources = enabled.len() as u64;
    let sources_processed = count(|source| source.succeeded_fresh > 0);
    let failed_sources = count(|source| source_health(source) == Health::Error);
    let ever_ran = count(|source| source.last_run.is_some());
    let heard_in_window = enabled.iter().any(|source| !is_silent(source, now, rules.window));

    let status = if ever_ran == 0 {
        Health::Pending
    } else if failed_sources * 5 > total_sources {
        Health::Error
    } else if failed_sources > 0 || !heard_in_window {
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
        articles_collected,
        events_extracted,
        sources,
    }
}

/// Whether no run of it finished within `span` of `now`. A source that never ran has nothing to be late with.
fn is_silent(source: &SourceFacts, now: Timestamp, span: TimeDelta) -> bool {
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
        stale: source.last_run.is_some() && is_silent(&source, now, staleness),
        #[allow(clippy::cast_precision_loss, reason = "exact to 2⁵³ runs")]
        success_rate: (source.runs > 0).then(|| 100.0 * source.succeeded as f64 / source.runs as f64),
        running: source.running,
        runs: source.runs,
        last_run: source.last_run.map(|last| last.finished_at),
        source: source.key,
    }
}

/// The order of the list: failed, silent, not yet run, well.
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
    /// The first of these that has an attempt is the basis, for all checks together.
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
    let judge = |(name, counts)| {
        let threshold = thresholds.of(&name);
        CheckStatus { name, status: threshold.judge(counts), counts, threshold }
    };
    DataQuality {
        status: quality.judge(thresholds),
        checks: quality.checks().map(judge).collect(),
        quality,
        basis,
        last_updated,
    }
}

#[cfg(test)]
mod tests;
