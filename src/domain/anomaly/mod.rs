//! Anomalies: what the statistics find unusual, and how unusual it is.
//!
//! Each series (a check or a volume of a source, or of a whole pipeline) is judged hour by hour, each hour only by those
//! before it. Everything is a function of rows and an instant; see `evaluate`.

use serde::{Serialize, Serializer};

use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// How many false alerts are bearable, and what that makes of a p-value.
mod budget;
/// Runs that bring nothing.
mod dead_feed;
/// Slow drift.
mod drift;
/// Which series is judged by what, and what a finding is.
mod evaluate;
/// What is expected of an hour's volume.
mod forecast;
/// Checks that pass less often than they did.
mod rates;
/// What a finding says.
mod sentence;
/// The hours that are judged.
mod series;
/// The distributions behind the p-values.
mod tails;
/// More or less than there should be.
mod volumes;

pub use budget::{Budget, severity, tests_a_month};
pub use evaluate::evaluate;
pub use series::{Bucket, HISTORY, Hour, Series, Subject};

/// Below this p-value a finding is recorded and shown; below α* it is an alert as well.
pub const RECORDED_BELOW: f64 = 0.01;

/// How grave an anomaly or an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Low,
    /// Worth a look today.
    Medium,
    /// Worth waking somebody.
    High,
}

impl Severity {
    /// All of them.
    pub const WORST_FIRST: [Self; 3] = [Self::High, Self::Medium, Self::Low];

    /// As it stands in JSON and in the database: `high`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AnomalyType {
    /// How much came.
    Volume,
    /// How good it was.
    Quality,
}

/// How it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Method {
    /// One point of a rate, beside the beta-binomial distribution of those before it.
    Rate,
    /// One hour of a volume, beside the same hours before it.
    Volume,
    /// The moving average of many residuals.
    Drift,
    /// Runs that bring nothing.
    DeadFeed,
}

impl AnomalyType {
    /// As it stands in JSON and in the database: `volume`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Method {
    /// As it is stored.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Volume => "volume",
            Self::Drift => "drift",
            Self::DeadFeed => "dead_feed",
        }
    }
}

/// Something that the statistics find unusual.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Anomaly {
    /// Its id.
    pub id: String,
    /// What is unusual.
    #[serde(rename = "type")]
    pub kind: AnomalyType,
    /// How grave it is.
    pub severity: Severity,
    /// What was seen and what was expected, in a sentence.
    pub description: String,
    /// When.
    #[serde(with = "crate::domain::time::serde_rfc3339")]
    pub timestamp: Timestamp,
    /// Where, unless it is the whole pipeline.
    pub source: Option<SourceKey>,
    /// The check, where it is about one.
    pub check: Option<String>,
    /// What was counted: the check's name, `articles` or `events`.
    #[serde(serialize_with = "as_text")]
    pub subject: Subject,
    /// How it was found.
    pub method: Method,
    /// What was seen: percent of a check, the count of a volume.
    pub observed: f64,
    /// What was expected.
    pub expected: f64,
    /// Between these it would not have been recorded.
    pub lower: f64,
    /// Between these it would not have been recorded.
    pub upper: f64,
    /// What the expectation was made of: attempts of a rate, hours of a volume.
    pub sample_size: u64,
    /// How likely something at least as unusual is while nothing is wrong.
    pub p_value: f64,
    /// α*: below it a p-value is an alert.
    pub alpha: f64,
}

/// An anomaly of a pipeline, as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// What was found. Its id is the same whenever it is found again; its timestamp is the beginning of the hour.
    pub anomaly: Anomaly,
}

/// What a detector has to say of an hour.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    method: Method,
    observed: f64,
    expected: f64,
    lower: f64,
    upper: f64,
    sample_size: u64,
    p_value: f64,
    /// Without the series in front and the p-value behind.
    sentence: String,
}

impl Verdict {
    /// With its sentence, made of what is known.
    fn saying(self, sentence: impl FnOnce(&Self) -> String) -> Self {
        Self { sentence: sentence(&self), ..self }
    }
}

fn as_text<S: Serializer>(subject: &Subject, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(subject)
}

#[cfg(test)]
mod simulation;
