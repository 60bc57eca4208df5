use serde::Serialize;

use crate::domain::anomaly::Severity;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertType {
    /// A rate.
    Quality,
    /// A volume.
    Volume,
    /// A source that should have reported.
    Silence,
    /// This server itself, which cannot see to the pipeline.
    Server,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// Seen, and not yet for long enough.
    Pending,
    /// Somebody should look.
    Firing,
    /// Somebody looks.
    Acknowledged,
    /// Over.
    Resolved,
}

/// Something that somebody should be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Its id.
    pub id: String,
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: AlertType,
    /// How grave it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Why, and what to do.
    pub message: String,
    /// Since when it stands as it does.
    #[serde(with = "crate::domain::time::serde_rfc3339")]
    pub timestamp: Timestamp,
    /// Where it stands.
    pub state: AlertState,
    /// The source, where it is about one.
    pub source: Option<SourceKey>,
}
