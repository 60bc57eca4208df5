use uuid::Uuid;

use crate::domain::alert::{AlertState, AlertType, Reason, Rule, Subject};
use crate::domain::anomaly::Severity;
use crate::domain::revision::Revision;
use crate::domain::time::Timestamp;

/// A step of an alert, as it was committed: one entry of the log that watchers follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEvent {
    /// Its number. Numbers rise in the order in which events become visible, over all pipelines.
    pub id: i64,
    /// The alert.
    pub alert: Uuid,
    /// What raised it.
    pub rule: Rule,
    /// What it is about.
    pub kind: AlertType,
    /// What is watched.
    pub subject: Subject,
    /// Where it stood; `None` when it begins.
    pub from: Option<AlertState>,
    /// Where it stands.
    pub to: AlertState,
    /// How grave it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Why, and what to do.
    pub message: String,
    /// Why it took the step.
    pub reason: Reason,
    /// When.
    pub at: Timestamp,
    /// The pipeline's revision with it; `None` for what is about the server itself.
    pub revision: Option<Revision>,
}
