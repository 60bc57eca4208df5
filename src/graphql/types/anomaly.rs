use async_graphql::{ID, SimpleObject};

use crate::domain::anomaly;
use crate::graphql::types::enums::{AnomalyMethod, AnomalyType, Severity};
use crate::graphql::types::scalar::{Count, DateTime};

/// A deviation of a rate or a volume from its own history that is statistically significant.
#[derive(SimpleObject)]
pub(crate) struct Anomaly {
    /// The id of the anomaly, which stays the same when its hour is evaluated again.
    id: ID,
    /// The quantity that the anomaly was found in.
    #[graphql(name = "type")]
    kind: AnomalyType,
    /// The severity: `HIGH` if `pValue` is below `alpha`, which raises an alert, otherwise `LOW`.
    severity: Severity,
    /// The observed and the expected value in one sentence.
    description: String,
    /// The start of the hour in which the anomaly was observed.
    timestamp: DateTime,
    /// The source of the anomaly; null if it concerns the whole pipeline.
    source: Option<String>,
    /// The check of the anomaly; null if it concerns a volume.
    check: Option<String>,
    /// The series that was tested: the name of a check, `articles`, `events`, or `counts.` and the name of a count.
    series: String,
    /// The statistical test that found the anomaly.
    method: AnomalyMethod,
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
            sample_size: Count::of(anomaly.sample_size),
            p_value: anomaly.p_value,
            alpha: anomaly.alpha,
        }
    }
}
