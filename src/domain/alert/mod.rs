//! Alerts, from the findings of an evaluation to the notifications that are due.
//!
//! An evaluation gives one `Finding` for each rule and subject. `advance` compares them with the open alerts and returns the
//! `Transition`s; `notification::plan` decides which of them are reported and when.

use crate::domain::health::Health;
use crate::domain::key::SourceKey;
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;

mod event;
mod finding;
pub mod notification;
mod rule;
mod self_check;
mod silence;
mod transitions;

pub use event::AlertEvent;
pub use finding::{AnomalousSeries, DeadFeed, Finding, Verdict};
pub use rule::{Fingerprint, Policy, Rule, Subject};
pub use self_check::{FailureStreak, PeerReport, SelfCheck};
pub use silence::{InvalidSilence, Matcher, Silence};
pub use transitions::{
    Acknowledgement, AlertChanges, CannotAcknowledge, Reason, Streaks, TrackedAlert, Transition, acknowledge, advance,
};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AlertType {
    /// A check's rate.
    Quality,
    /// A count of articles or events.
    Volume,
    /// An overdue source.
    Overdue,
    /// A Pipewatch server.
    Server,
}

impl AlertType {
    /// The name in JSON and in the database: `quality`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The state of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum AlertState {
    /// Found, but not often enough to fire.
    Pending,
    /// Needs attention.
    Firing,
    /// Acknowledged by a user.
    Acknowledged,
    /// The condition has cleared.
    Resolved,
}

impl AlertState {
    /// The name in JSON and in the database: `firing`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the state machine has this transition. Every alert starts as pending; a change of severity keeps the state.
    pub fn may_become(self, next: Self) -> bool {
        use AlertState::{Acknowledged, Firing, Pending, Resolved};
        matches!(
            (self, next),
            (Pending, Firing | Resolved)
                | (Firing, Firing | Acknowledged | Resolved)
                | (Acknowledged, Acknowledged | Resolved)
        )
    }

    /// Whether it counts for the status. Acknowledging stops notifications only.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Firing | Self::Acknowledged)
    }
}

/// An alert as the status shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub id: String,
    pub kind: AlertType,
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The cause and the remedy.
    pub message: String,
    /// When the present state began.
    pub timestamp: Timestamp,
    pub state: AlertState,
    /// `None` unless the alert is about a source.
    pub source: Option<SourceKey>,
}

/// The health that alerts contribute to a pipeline's status: an active alert of high severity is an error, one of medium
/// severity a warning. Without these it is `Pending`, so that a pipeline without data does not become healthy. Silences have
/// no effect: they only stop notifications.
pub fn health_of(alerts: impl IntoIterator<Item = (AlertState, Severity)>) -> Health {
    Health::worst(alerts.into_iter().filter(|(state, _)| state.is_active()).map(|(_, severity)| match severity {
        Severity::Low => Health::Pending,
        Severity::Medium => Health::Warning,
        Severity::High => Health::Error,
    }))
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
