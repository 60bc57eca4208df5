use uuid::Uuid;

use crate::domain::alert::{AlertState, AlertType, Reason, Rule, Subject};
use crate::domain::revision::Revision;
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;

/// A committed transition of an alert: one entry of the event log that subscribers follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEvent {
    /// Ids rise in the order in which events become visible, over all pipelines.
    pub id: i64,
    pub alert: Uuid,
    pub rule: Rule,
    pub kind: AlertType,
    pub subject: Subject,
    /// `None` for a new alert.
    pub from: Option<AlertState>,
    pub to: AlertState,
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The cause and the remedy.
    pub message: String,
    pub reason: Reason,
    pub at: Timestamp,
    /// The pipeline's revision that includes the event; `None` for alerts about the server.
    pub revision: Option<Revision>,
}
