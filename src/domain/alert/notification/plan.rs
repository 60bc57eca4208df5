use std::collections::BTreeMap;

use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::alert::machine::{Reason, Tracked, Transition};
use crate::domain::alert::notification::{Event, Line, Notification};
use crate::domain::alert::silence::{Labels, Silence};
use crate::domain::alert::{AlertState, AlertState::Firing};
use crate::domain::anomaly::Severity;
use crate::domain::pipeline::PipelineKey;
use crate::domain::time::Timestamp;

/// When notifications are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// How long the first transition of a pipeline waits for others to go with it.
    pub group_wait: TimeDelta,
    /// How often it is told again that an alert fires.
    pub repeat: TimeDelta,
}

impl Default for Timing {
    fn default() -> Self {
        Self { group_wait: TimeDelta::seconds(30), repeat: TimeDelta::hours(4) }
    }
}

/// An alert of which something may have to be told: every open one, and every resolved one that owes something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The alert as it stands.
    pub alert: Tracked,
    /// The labels of what it is about.
    pub labels: Labels,
    /// What was told last.
    pub announced: Option<Announced>,
    /// The transitions that no plan has settled yet, the oldest first.
    pub owed: Vec<Owed>,
}

/// A transition that no plan has settled yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owed {
    /// Its number in the log of events.
    pub event: i64,
    /// The transition.
    pub transition: Transition,
}

/// What was last told of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// When.
    pub at: Timestamp,
    /// How grave it was.
    pub severity: Severity,
}

/// What is to be told, and what need not be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What is to be told now, at most one notification a pipeline.
    pub told: Vec<Told>,
    /// The events that are of no interest to anybody.
    pub untold: Vec<i64>,
}

/// What is to be written in one transaction: a notification to the outbox, and that its transitions are settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The notification.
    pub notification: Notification,
    /// The events that are settled by it.
    pub settled: Vec<i64>,
    /// What was told last, by alert.
    pub announced: Vec<(Uuid, Announced)>,
}

/// Alerts that one notification tells of: it is written in one transaction, for which reporters wait. The next plan tells of the
/// others.
const ALERTS: usize = 1_000;

/// Which notifications are due at `now`.
///
/// - A pipeline's transitions are told together, once the oldest has waited for [`Timing::group_wait`].
/// - Firing, its changes, an acknowledgement, and the end are told once each; that something is pending never.
/// - Acknowledging stops changes and repeats. A silence stops everything but the end of what was told: whoever was told of
///   an alert is told that it is over. An alert that still fires when its silence ends is told then.
/// - Repeats of a pipeline are told together, so that they stay in step.
pub fn plan(entries: &[Entry], silences: &[Silence], timing: &Timing, now: Timestamp) -> Plan {
    let mut pipelines: BTreeMap<Option<&PipelineKey>, Vec<(&Entry, Telling)>> = BTreeMap::new();
    let mut due = Plan::default();
    for entry in entries {
        let quiet = silences.iter().any(|silence| silence.covers(&entry.alert, &entry.labels, now));
        let telling = Telling::of(entry, quiet);
        due.untold.extend(&telling.untold);
        pipelines.entry(entry.alert.subject.pipeline.as_ref()).or_default().push((entry, telling));
    }
    for (pipeline, group) in pipelines {
        let waited = |line: &Line| line.at + timing.group_wait <= now;
        let news_due = group.iter().flat_map(|(_, telling)| &telling.lines).any(waited);
        let repeat_due = group.iter().filter_map(|(_, telling)| telling.repeats).any(|at| at + timing.repeat <= now);
        let (mut lines, mut settled, mut announced) = (Vec::new(), Vec::new(), Vec::new());
        for (entry, telling) in group {
            if announced.len() >= ALERTS {
                break;
            }
            let mut told = Vec::new();
            if news_due || repeat_due {
                settled.extend(&telling.told);
                told = telling.lines;
            }
            if repeat_due && telling.repeats.is_some() {
                told.push(Line::standing(Event::Repeated, now, &entry.alert));
            }
            if let Some(last) = told.last() {
                announced.push((entry.alert.id, Announced { at: now, severity: last.severity }));
            }
            lines.extend(told);
        }
        if !lines.is_empty() {
            due.told.push(Told { notification: Notification::new(pipeline.cloned(), now, lines), settled, announced });
        }
    }
    due
}

/// What there is to tell of one alert.
#[derive(Default)]
struct Telling {
    /// In the order in which it happened.
    lines: Vec<Line>,
    /// The events that the lines settle.
    told: Vec<i64>,
    /// The events that nobody is told of.
    untold: Vec<i64>,
    /// When it was told last, if it is to be told again from time to time.
    repeats: Option<Timestamp>,
}

impl Telling {
    fn of(entry: &Entry, silenced: bool) -> Self {
        let alert = &entry.alert;
        let mut telling = Self::default();
        let mut announced = entry.announced.map(|told| told.severity);
        for Owed { event, transition } in &entry.owed {
            match told_as(transition, silenced, announced.is_some()) {
                Some(as_event) => {
                    announced = Some(transition.severity);
                    telling.told.push(*event);
                    telling.lines.push(Line::of(as_event, transition, alert));
                }
                None => telling.untold.push(*event),
            }
        }
        if alert.state == Firing && !silenced {
            // What a silence kept back is told as of when it could have been, so that it does not wait again.
            let told = telling.lines.last().map(|line| line.at).or(entry.announced.map(|told| told.at));
            let at = told.map_or(alert.changed_at, |told| told.max(alert.changed_at));
            match announced {
                None => telling.lines.push(Line::standing(Event::Fired, at, alert)),
                Some(severity) if severity != alert.severity => {
                    telling.lines.push(Line::standing(Event::Changed, at, alert));
                }
                Some(_) if telling.lines.is_empty() => telling.repeats = entry.announced.map(|told| told.at),
                Some(_) => {}
            }
        }
        telling
    }
}

fn told_as(transition: &Transition, silenced: bool, announced: bool) -> Option<Event> {
    let event = match transition.reason {
        Reason::Found | Reason::Vanished => return None,
        Reason::Recovered | Reason::Unwatched => return announced.then_some(Event::Resolved),
        Reason::Persisted => return (!silenced).then_some(Event::Fired),
        Reason::Escalated | Reason::Eased if transition.to == AlertState::Acknowledged => return None,
        Reason::Escalated | Reason::Eased => Event::Changed,
        Reason::Acknowledged => Event::Acknowledged,
    };
    (announced && !silenced).then_some(event)
}
