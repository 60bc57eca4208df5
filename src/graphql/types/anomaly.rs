use async_graphql::{Enum, ID, SimpleObject};

use crate::domain::anomaly::{self, AnomalyType, Method};
use crate::graphql::types::scalar::{Count, DateTime};
use crate::graphql::types::status::SeverityValue;

/// The quantity that an anomaly was found in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "AnomalyType", name = "AnomalyType")]
pub(crate) enum AnomalyTypeValue {
    /// The number of articles or events.
    Volume,
    /// The rate of a data quality check.
    Quality,
}

/// The statistical test that found an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Method", name = "AnomalyMethod")]
pub(crate) enum MethodValue {
    /// A rate, tested against the beta-binomial distribution of its predecessors.
    Rate,
    /// An hourly volume, tested against the same hours of earlier days.
    Volume,
    /// A moving average of residuals, which reveals a slow drift.
    Drift,
    /// A series of runs that returned no data.
    DeadFeed,
}

/// A deviation of a rate or a volume from its own history that is statistically significant.
#[derive(SimpleObject)]
pub(crate) struct Anomaly {
    /// The id of the anomaly, which stays the same when its hour is evaluated again.
    id: ID,
    /// The quantity that the anomaly was found in.
    #[graphql(name = "type")]
    kind: AnomalyTypeValue,
    /// The severity: `HIGH` if `pValue` is below `alpha`, which raises an alert, otherwise `LOW`.
    severity: SeverityValue,
    /// The observed and the expected value in one sentence.
    description: String,
    /// The start of the hour in which the anomaly was observed.
    timestamp: DateTime,
    /// The source of the anomaly; null if it concerns the whole pipeline.
    source: Option<String>,
    /// The check of the anomaly; null if it concerns a volume.
    check: Option<String>,
    /// The series that was tested: the name of a check, `articles` or `events`.
    series: String,
    /// The statistical test that found the anomaly.
    method: MethodValue,
    /// The observed value: a percentage for a check, a count for a volume.
    observed: f64,
    /// The expected value, in the unit of `observed`.
    expected: f64,
    /// The lower bound of the values that are not an anomaly, in the unit of `observed`.
    lower: f64,
    /// The upper bound of the values that are not an anomaly, in the unit of `observed`.
    upper: f64,
    /// The size of the sample behind `expected`: attempts for a rate, hours for a volume.
    sample_size: Count,
    /// The probability of a value at least this extreme if nothing is wrong, from 0 to 1.
    p_value: f64,
    /// The threshold of `pValue` for an alert: the share of this test in the false alerts accepted per month.
    alpha: f64,
}

impl From<anomaly::Anomaly> for Anomaly {
    fn from(anomaly: anomaly::Anomaly) -> Self {
        Self {
            id: anomaly.id.into(),
            kind: anomaly.kind.into(),
            severity: anomaly.severity.into(),
            description: anomaly.description,
            timestamp: anomaly.timestamp.into(),
            source: anomaly.source.map(|source| source.to_string()),
            check: anomaly.check,
            series: anomaly.subject.to_string(),
            method: anomaly.method.into(),
            observed: anomaly.observed,
            expected: anomaly.expected,
            lower: anomaly.lower,
            upper: anomaly.upper,
            sample_size: Count(anomaly.sample_size),
            p_value: anomaly.p_value,
            alpha: anomaly.alpha,
        }
    }
}
