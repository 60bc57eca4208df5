//! Notifications: what is told of alerts, when, and how it reads.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::alert::machine::Tracked;
use crate::domain::alert::{AlertState, Transition};
use crate::domain::anomaly::Severity;
use crate::domain::pipeline::PipelineKey;
use crate::domain::time::Timestamp;

/// When a delivery that failed is tried again.
mod backoff;
/// How a notification reads: JSON, Slack, e-mail.
mod body;
/// Texts of others in a chat.
mod chat;
/// Which notifications are due.
mod plan;
/// How a receiver knows that a notification is from here.
mod signature;

pub use backoff::next_attempt;
pub use body::{Email, email, slack, webhook};
pub use plan::{Announced, Entry, Owed, Plan, Timing, Told, plan};
pub use signature::{BadSecret, Secret};

/// What is told at once of one pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Made of what it says, so that planning it twice gives the same notification: receivers know it by this.
    pub id: Uuid,
    /// The pipeline; `None` for the server itself.
    pub pipeline: Option<PipelineKey>,
    /// When it was planned.
    pub at: Timestamp,
    /// What it says, one line a transition.
    pub lines: Vec<Line>,
}

/// What is told of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What happened.
    pub event: Event,
    /// Where the alert stood then.
    pub state: AlertState,
    /// How grave it was then.
    pub severity: Severity,
    /// When it happened; when it was planned, for a repeat.
    pub at: Timestamp,
    /// The alert, as it is when the notification is planned.
    pub alert: Tracked,
}

/// What can be told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Event {
    /// It fires.
    Fired,
    /// It has become graver, or less grave.
    Changed,
    /// It fires still.
    Repeated,
    /// Somebody looks.
    Acknowledged,
    /// It is over.
    Resolved,
}

impl Event {
    /// As it stands in JSON: `fired`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Notification {
    fn new(pipeline: Option<PipelineKey>, at: Timestamp, lines: Vec<Line>) -> Self {
        let mut hash = Sha256::new();
        // Every line has the same length, and alerts' ids know their pipeline.
        for line in &lines {
            hash.update(line.alert.id.as_bytes());
            hash.update([line.event as u8]);
            hash.update(line.at.timestamp_micros().to_be_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        Self { id: uuid::Builder::from_custom_bytes(bytes).into_uuid(), pipeline, at, lines }
    }
}

impl Line {
    fn of(event: Event, transition: &Transition, alert: &Tracked) -> Self {
        let Transition { to: state, severity, at, .. } = *transition;
        Self { event, state, severity, at, alert: alert.clone() }
    }

    /// What can be told of an alert as it stands, without a transition.
    fn standing(event: Event, at: Timestamp, alert: &Tracked) -> Self {
        Self { event, state: alert.state, severity: alert.severity, at, alert: alert.clone() }
    }
}

#[cfg(test)]
mod tests;
