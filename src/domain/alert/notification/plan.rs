use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::alert::notification::{Event, Line, Notification};
use crate::domain::alert::silence::Silence;
use crate::domain::alert::transitions::{Reason, TrackedAlert, Transition};
use crate::domain::alert::{AlertState, AlertState::Firing};
use crate::domain::key::PipelineKey;
use crate::domain::labels::Labels;
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;

/// Alerts per notification. A notification is written in one transaction, and reports wait for it; the next plan covers the
/// remaining alerts.
const MAX_ALERTS: usize = 1_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long a pipeline's first event waits for others to be grouped with it.
    pub group_wait: TimeDelta,
    /// How often the notification of a firing alert is repeated.
    pub repeat: TimeDelta,
}

impl Default for Timing {
    fn default() -> Self {
        Self { group_wait: TimeDelta::seconds(30), repeat: TimeDelta::hours(4) }
    }
}

/// An alert that may need a notification: every open one, and every resolved one with unhandled transitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub alert: TrackedAlert,
    /// The labels of the alert's source.
    pub labels: Labels,
    pub last_notified: Option<LastNotified>,
    /// The oldest first.
    pub unhandled: Vec<UnhandledTransition>,
}

/// A transition that no plan has handled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnhandledTransition {
    /// Its id in the event log.
    pub event: i64,
    pub transition: Transition,
}

/// The newest notification of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastNotified {
    pub at: Timestamp,
    /// The severity that was reported.
    pub severity: Severity,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// At most one notification per pipeline.
    pub notifications: Vec<PlannedNotification>,
    /// Events that need no notification.
    pub ignored: Vec<i64>,
}

/// What one transaction writes: a notification to the outbox, and that its events are handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedNotification {
    pub notification: Notification,
    /// The events that the notification reports.
    pub handled: Vec<i64>,
    /// By alert id.
    pub last_notified: Vec<(Uuid, LastNotified)>,
}

/// Plans the notifications that are due at `now`.
///
/// - Events of a pipeline are grouped, and sent once the oldest has waited for [`Timing::group_wait`].
/// - Firing, severity changes, an acknowledgement and the resolution are reported once each; a pending alert never is.
/// - Acknowledging stops changes and repeats. A silence stops everything except the resolution of an alert that was
///   reported before. An alert that still fires when its silence ends is reported then.
/// - Repeats of a pipeline are grouped, so that they stay in step.
pub fn plan(entries: &[Entry], silences: &[Silence], timing: &Timing, now: Timestamp) -> Plan {
    let mut pipelines: BTreeMap<Option<&PipelineKey>, Vec<(&Entry, AlertUpdates)>> = BTreeMap::new();
    let mut plan = Plan::default();
    for entry in entries {
        let is_silenced = silences.iter().any(|silence| silence.covers(&entry.alert, &entry.labels, now));
        let updates = AlertUpdates::of(entry, is_silenced);
        plan.ignored.extend(&updates.ignored);
        pipelines.entry(entry.alert.subject.pipeline.as_ref()).or_default().push((entry, updates));
    }
    for (pipeline, group) in pipelines {
        let has_waited = |line: &Line| line.at + timing.group_wait <= now;
        let are_events_due = group.iter().flat_map(|(_, updates)| &updates.lines).any(has_waited);
        let is_repeat_due =
            group.iter().filter_map(|(_, updates)| updates.repeat_since).any(|at| at + timing.repeat <= now);
        let (mut lines, mut handled, mut last_notified) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, updates) in group {
            if last_notified.len() >= MAX_ALERTS {
                break;
            }
            let mut of_alert = Vec::new();
            if are_events_due || is_repeat_due {
                handled.extend(&updates.reported);
                of_alert = updates.lines;
            }
            if is_repeat_due && updates.repeat_since.is_some() {
                of_alert.push(Line::without_transition(Event::Repeated, now, &entry.alert));
            }
            if let Some(last) = of_alert.last() {
                last_notified.push((entry.alert.id, LastNotified { at: now, severity: last.severity }));
            }
            lines.extend(of_alert);
        }
        if !lines.is_empty() {
            let notification = Notification::new(pipeline.cloned(), now, lines);
            plan.notifications.push(PlannedNotification { notification, handled, last_notified });
        }
    }
    plan
}

/// What a notification may report about one alert.
#[derive(Default)]
struct AlertUpdates {
    /// In the order in which it happened.
    lines: Vec<Line>,
    /// The events that the lines report.
    reported: Vec<i64>,
    /// The events that need no notification.
    ignored: Vec<i64>,
    /// The time of the last notification, if it is to be repeated.
    repeat_since: Option<Timestamp>,
}

impl AlertUpdates {
    fn of(entry: &Entry, is_silenced: bool) -> Self {
        let alert = &entry.alert;
        let mut updates = Self::default();
        let mut reported = entry.last_notified.map(|last| last.severity);
        for UnhandledTransition { event, transition } in &entry.unhandled {
            match event_for(transition, is_silenced, reported.is_some()) {
                Some(as_event) => {
                    reported = Some(transition.severity);
                    updates.reported.push(*event);
                    updates.lines.push(Line::of(as_event, transition, alert));
                }
                None => updates.ignored.push(*event),
            }
        }
        if alert.state == Firing && !is_silenced {
            // What a silence held back carries the time at which it could have been sent, so that it does not wait again.
            let last = updates.lines.last().map(|line| line.at).or(entry.last_notified.map(|last| last.at));
            let at = last.map_or(alert.changed_at, |last| last.max(alert.changed_at));
            match reported {
                None => updates.lines.push(Line::without_transition(Event::Fired, at, alert)),
                Some(severity) if severity != alert.severity => {
                    updates.lines.push(Line::without_transition(Event::Changed, at, alert));
                }
                Some(_) if updates.lines.is_empty() => updates.repeat_since = entry.last_notified.map(|last| last.at),
                Some(_) => {}
            }
        }
        updates
    }
}

/// The event that reports a transition, or `None` if it needs no notification.
fn event_for(transition: &Transition, is_silenced: bool, was_reported: bool) -> Option<Event> {
    let event = match transition.reason {
        Reason::Found | Reason::Vanished => return None,
        Reason::Recovered | Reason::Unwatched => return was_reported.then_some(Event::Resolved),
        Reason::Persisted => return (!is_silenced).then_some(Event::Fired),
        Reason::Escalated | Reason::Eased if transition.to == AlertState::Acknowledged => return None,
        Reason::Escalated | Reason::Eased => Event::Changed,
        Reason::Acknowledged => Event::Acknowledged,
    };
    (was_reported && !is_silenced).then_some(event)
}
