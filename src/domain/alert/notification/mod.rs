//! Which notifications are due: pure planning. `notify` renders and delivers them.

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::alert::transitions::TrackedAlert;
use crate::domain::alert::{AlertState, Transition};
use crate::domain::key::PipelineKey;
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;

mod plan;

pub use plan::{Entry, LastNotified, Plan, PlannedNotification, Timing, UnhandledTransition, plan};

/// Events of one pipeline's alerts that are sent together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// A hash of the lines, so that planning the same lines twice gives the same id. Receivers deduplicate by it.
    pub id: Uuid,
    /// `None` for alerts about the server.
    pub pipeline: Option<PipelineKey>,
    /// When it was planned.
    pub at: Timestamp,
    /// One line per event.
    pub lines: Vec<Line>,
}

/// One event of one alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub event: Event,
    /// The alert's state after the event.
    pub state: AlertState,
    /// The alert's severity after the event.
    pub severity: Severity,
    /// When the event happened; for a repeat, when it was planned.
    pub at: Timestamp,
    /// The alert as it is when the notification is planned.
    pub alert: TrackedAlert,
}

/// What a notification can report about an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Event {
    Fired,
    /// The severity has changed.
    Changed,
    /// The alert is still firing.
    Repeated,
    Acknowledged,
    Resolved,
}

impl Event {
    /// The name in JSON: `fired`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl Notification {
    pub(crate) fn new(pipeline: Option<PipelineKey>, at: Timestamp, lines: Vec<Line>) -> Self {
        let mut hash = Sha256::new();
        // Every line contributes the same number of bytes, and an alert's id depends on its pipeline.
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
    fn of(event: Event, transition: &Transition, alert: &TrackedAlert) -> Self {
        let Transition { to: state, severity, at, .. } = *transition;
        Self { event, state, severity, at, alert: alert.clone() }
    }

    /// An event that no transition caused, with the alert's present state.
    fn without_transition(event: Event, at: Timestamp, alert: &TrackedAlert) -> Self {
        Self { event, state: alert.state, severity: alert.severity, at, alert: alert.clone() }
    }
}

#[cfg(test)]
pub(crate) mod tests;
