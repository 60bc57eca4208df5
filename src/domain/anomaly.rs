use serde::Serialize;

use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

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
    /// As it stands in JSON and in the database: `high`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AnomalyType {
    /// How much came.
    Volume,
    /// How good it was.
    Quality,
}

/// Something that the statistics find unusual.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
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
}
