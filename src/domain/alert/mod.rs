//! Alerts: from what an evaluation finds to what somebody is told.
//!
//! An evaluation brings `Finding`s, one for each rule and what it watches. `step` compares them with the open
//! alerts and returns the `Transition`s; `notification::plan` decides which of them are told to whom and when.

use serde::Serialize;

use crate::domain::anomaly::Severity;
use crate::domain::health::Health;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// A step of an alert, as it was committed.
mod event;
/// What an evaluation says of one rule and what it watches.
mod finding;
/// From findings to transitions.
mod machine;
/// What is told, when, and how it reads.
pub mod notification;
/// The rules, what they watch, and what tells their alerts apart.
mod rule;
/// Alerts that nobody wants to be told of for a while.
mod silence;
/// What can be wrong with the server itself.
mod trouble;

pub use event::AlertEvent;
pub use finding::{AnomalousSeries, DeadFeed, Finding, Verdict};
pub use machine::{Acknowledgement, CannotAcknowledge, Reason, Step, Streaks, Tracked, Transition, acknowledge, step};
pub use rule::{Fingerprint, Policy, Rule, Subject};
pub use silence::{InvalidSilence, Label, Labels, Matcher, Silence};
pub use trouble::{Failing, Report, Trouble};

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum AlertType {
    /// A rate.
    Quality,
    /// A volume.
    Volume,
    /// A source that should have reported.
    #[serde(rename = "silence")]
    #[strum(serialize = "silence")]
    Overdue,
    /// Pipewatch itself.
    Server,
}

impl AlertType {
    /// As it stands in JSON and in the database: `quality`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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

impl AlertState {
    /// As it stands in JSON and in the database: `firing`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Whether the diagram has this step. Every alert begins as pending; a change of severity stays where it is.
    pub fn may_become(self, next: Self) -> bool {
        use AlertState::{Acknowledged, Firing, Pending, Resolved};
        matches!(
            (self, next),
            (Pending, Firing | Resolved)
                | (Firing, Firing | Acknowledged | Resolved)
                | (Acknowledged, Acknowledged | Resolved)
        )
    }

    /// Whether it counts for the status: acknowledging stops the notifications, and not the trouble.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Firing | Self::Acknowledged)
    }
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

/// What alerts make of a pipeline's status, as one more part of it: a high one that is active an error, a medium one a
/// warning. Without such the part says nothing (`Pending`), so that it does not turn a pipeline without data healthy.
/// Silences do not come in: they stop notifications, and not the status.
pub fn health_of(alerts: impl IntoIterator<Item = (AlertState, Severity)>) -> Health {
    Health::worst(alerts.into_iter().filter(|(state, _)| state.is_active()).map(|(_, severity)| match severity {
        Severity::Low => Health::Pending,
        Severity::Medium => Health::Warning,
        Severity::High => Health::Error,
    }))
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
