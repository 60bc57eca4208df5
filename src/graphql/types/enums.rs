//! Enumerations, each with the name of its GraphQL type. Converting from and to the domain's is derived.

use async_graphql::Enum;

use crate::domain::{alert, anomaly, health, metric, named_counts, rollup, run, status, step};

/// The health of a pipeline or of one of its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "health::Health")]
pub(crate) enum Health {
    /// There is no data, or too little to decide.
    Pending,
    /// Everything works as expected.
    Healthy,
    /// There is a problem that needs attention soon.
    Warning,
    /// There is a problem that needs attention now.
    Error,
}

/// The rows that the data quality is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "status::Basis")]
pub(crate) enum QualityBasis {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Source runs and metrics of single sources.
    SourceSpecific,
    /// Hourly totals, as they were reported.
    Hourly,
    /// Rows of the table `conflict_events`, which the old pipeline writes.
    ConflictEvents,
    /// There are no counts in the window.
    None,
}

/// The severity of an anomaly or an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "crate::domain::severity::Severity")]
pub(crate) enum Severity {
    /// The problem is for information only.
    Low,
    /// The problem should be looked into today.
    Medium,
    /// The problem needs immediate attention.
    High,
}

/// The subject of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "alert::AlertType")]
pub(crate) enum AlertType {
    /// The rate of a data quality check.
    Quality,
    /// The number of articles or events.
    Volume,
    /// A source that has not reported in time.
    Overdue,
    /// The Pipewatch server or its database.
    Server,
}

/// The state of an alert in its life cycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "alert::AlertState")]
pub(crate) enum AlertState {
    /// The condition holds, but has not held for long enough to fire.
    Pending,
    /// The condition holds and needs attention.
    Firing,
    /// The alert fires and a user has acknowledged it.
    Acknowledged,
    /// The condition has cleared.
    Resolved,
}

/// The rule that raises an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "alert::Rule")]
pub(crate) enum AlertRule {
    /// The rate of a check is below one of its thresholds.
    Threshold,
    /// A source has not reported within its expected interval and grace period.
    Overdue,
    /// A source runs on schedule but returns no data.
    DeadFeed,
    /// A rate or a volume deviates significantly from its own history.
    Anomaly,
    /// The Pipewatch server cannot work properly.
    Server,
}

/// The reason for a transition between two alert states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "alert::Reason")]
pub(crate) enum AlertReason {
    /// The condition was found for the first time.
    Found,
    /// The condition held for long enough to fire.
    Persisted,
    /// The condition cleared while the alert was pending, so no notification is sent.
    Vanished,
    /// The severity of the alert has increased.
    Escalated,
    /// The severity of the alert has decreased.
    Eased,
    /// A user has acknowledged the alert.
    Acknowledged,
    /// The condition has cleared after the alert fired.
    Recovered,
    /// The condition is no longer evaluated, for example because its source was removed.
    Unwatched,
}

/// The quantity that an anomaly was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "anomaly::AnomalyType")]
pub(crate) enum AnomalyType {
    /// The number of articles or events.
    Volume,
    /// The rate of a data quality check.
    Quality,
}

/// The statistical test that found an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "anomaly::Method")]
pub(crate) enum AnomalyMethod {
    /// A rate, tested against the beta-binomial distribution of its predecessors.
    Rate,
    /// An hourly volume, tested against the same hours of earlier days.
    Volume,
    /// A moving average of residuals, which reveals a slow drift.
    Drift,
    /// A series of runs that returned no data.
    DeadFeed,
}

/// The scope of data quality counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "metric::MetricType")]
pub(crate) enum MetricType {
    /// Counts of the whole pipeline, without a source.
    Aggregate,
    /// Counts of one source, which is required.
    SourceSpecific,
    /// Totals of one hour, of the pipeline or of one source.
    Hourly,
}

/// The reported outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::Outcome")]
pub(crate) enum RunOutcome {
    /// The run has started; its end follows under the same id.
    Running,
    /// The run has completed successfully.
    Ok,
    /// The run has ended with an error.
    Failed,
    /// The run was stopped before its end.
    Aborted,
}

/// The state of a source run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "run::RunState")]
pub(crate) enum RunState {
    /// The run has started and not ended.
    Running,
    /// The run has completed successfully.
    Ok,
    /// The run has ended with an error.
    Failed,
    /// The run was stopped before its end.
    Aborted,
    /// The run has started, and its end was not reported in time.
    Lost,
}

/// The state of a step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "step::StepState")]
pub(crate) enum StepState {
    /// The step has not started yet.
    Pending,
    /// The step has started and not ended.
    Running,
    /// The step has completed successfully.
    Ok,
    /// The step has ended with an error.
    Failed,
    /// The step was left out of its run.
    Skipped,
}

/// The length of the buckets of a history, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "rollup::Bucket")]
pub(crate) enum HistoryBucket {
    /// One bucket per hour.
    Hour,
    /// One bucket per calendar day.
    Day,
}

/// The rows that a history is computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "rollup::RollupBasis")]
pub(crate) enum HistoryBasis {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Source runs and metrics of single sources.
    SourceSpecific,
    /// Hourly totals of the whole pipeline, as reported.
    Hourly,
    /// Hourly totals of single sources, as reported.
    HourlyOfSources,
}

/// The unit in which a count is displayed, by the end of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "named_counts::Unit")]
pub(crate) enum CountUnit {
    /// The name is `bytes`, or ends with `_bytes`.
    Bytes,
    /// The name is `seconds`, or ends with `_seconds`.
    Seconds,
    /// The count is a number of things.
    Plain,
}
