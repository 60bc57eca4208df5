use async_graphql::{Enum, ID, SimpleObject};

use crate::domain::anomaly::{self, AnomalyType, Method};
use crate::graphql::types::scalar::{Count, DateTime};
use crate::graphql::types::status::SeverityValue;

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "AnomalyType", name = "AnomalyType")]
pub(crate) enum AnomalyTypeValue {
    /// How much came.
    Volume,
    /// How good it was.
    Quality,
}

/// How an anomaly was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Method", name = "AnomalyMethod")]
pub(crate) enum MethodValue {
    /// One point of a rate, beside the beta-binomial distribution of those before it.
    Rate,
    /// One hour of a volume, beside the same hours before it.
    Volume,
    /// The moving average of many residuals.
    Drift,
    /// Runs that bring nothing.
    DeadFeed,
}

/// Something that the statistics find unusual.
#[derive(SimpleObject)]
pub(crate) struct Anomaly {
    /// Its id.
    id: ID,
    /// What is unusual.
    #[graphql(name = "type")]
    kind: AnomalyTypeValue,
    /// High when its p-value is below `alpha`: that is an alert. Low is shown, and nothing more.
    severity: SeverityValue,
    /// What was seen and what was expected, in a sentence.
    description: String,
    /// When its hour began.
    timestamp: DateTime,
    /// Where, unless it is the whole pipeline.
    source: Option<String>,
    /// The check, where it is about one.
    check: Option<String>,
    /// What was counted: the check's name, `articles` or `events`.
    series: String,
    /// How it was found.
    method: MethodValue,
    /// What was seen: percent of a check, the count of a volume.
    observed: f64,
    /// What was expected.
    expected: f64,
    /// Between this and `upper` it would not have been recorded.
    lower: f64,
    /// Between `lower` and this it would not have been recorded.
    upper: f64,
    /// What the expectation was made of: attempts of a rate, hours of a volume.
    sample_size: Count,
    /// How likely something at least as unusual is while nothing is wrong.
    p_value: f64,
    /// Below this a p-value is an alert: each test's share of the false alerts a month that are bearable.
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
