//! Anomaly detection.
//!
//! Each series (a check or a volume, of a source or of a whole pipeline) is evaluated hour by hour, each hour against the
//! hours before it. Everything is a function of rows and an instant; see `evaluate`.

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;

mod budget;
mod dead_feed;
mod drift;
mod evaluate;
mod forecast;
mod rates;
mod sentence;
mod series;
mod tails;
mod volumes;

pub use budget::{Budget, severity, tests_per_month};
pub use evaluate::evaluate;
pub use series::{Bucket, HISTORY, Hour, Series, Subject};

/// A finding below this p-value is recorded and shown; below α* it also raises an alert.
pub const RECORDED_BELOW: f64 = 0.01;

/// An unusual rate or volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AnomalyType {
    /// A count of articles or events.
    Volume,
    /// A check's rate.
    Quality,
}

/// The detector that found an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// One point of a rate, against the beta-binomial distribution of earlier points.
    Rate,
    /// One hour of a volume, against the same hours of earlier weeks or days.
    Volume,
    /// The moving average of residuals.
    Drift,
    /// Runs that return no data.
    DeadFeed,
}

impl AnomalyType {
    /// The name in JSON and in the database: `volume`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Method {
    /// The name in JSON and in the database: `dead_feed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// An unusual rate or volume.
#[derive(Debug, Clone, PartialEq)]
pub struct Anomaly {
    pub id: String,
    pub kind: AnomalyType,
    pub severity: Severity,
    /// One sentence with the observed and the expected value.
    pub description: String,
    /// The beginning of the hour.
    pub timestamp: Timestamp,
    /// `None` for the whole pipeline.
    pub source: Option<SourceKey>,
    /// `None` for a volume.
    pub check: Option<String>,
    /// The counted quantity: a check, `articles` or `events`.
    pub subject: Subject,
    pub method: Method,
    /// In percent for a check, a count for a volume.
    pub observed: f64,
    pub expected: f64,
    /// The lower bound of values that are not recorded.
    pub lower: f64,
    /// The upper bound of values that are not recorded.
    pub upper: f64,
    /// What the expectation is based on: attempts of a rate, hours of a volume.
    pub sample_size: u64,
    /// The probability of a value at least as unusual if nothing is wrong.
    pub p_value: f64,
    /// α*: a smaller p-value raises an alert.
    pub alpha: f64,
}

/// An anomaly of a pipeline, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub pipeline: PipelineKey,
    /// Finding it again gives the same id.
    pub anomaly: Anomaly,
}

/// A detector's result for an hour.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    method: Method,
    observed: f64,
    expected: f64,
    lower: f64,
    upper: f64,
    sample_size: u64,
    p_value: f64,
    /// Without the series in front and the p-value at the end.
    sentence: String,
}

impl Verdict {
    fn with_sentence(self, sentence: impl FnOnce(&Self) -> String) -> Self {
        Self { sentence: sentence(&self), ..self }
    }
}

#[cfg(test)]
mod simulation_tests;
