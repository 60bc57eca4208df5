use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::alert::finding::{Finding, Verdict};
use crate::domain::alert::rule::{Fingerprint, Policy, Rule, Subject};
use crate::domain::alert::{Alert, AlertState, AlertType};
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;

/// An alert as it is stored between evaluations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedAlert {
    /// Derived from the fingerprint and the start, so that two servers with the same evaluation give the same id.
    pub id: Uuid,
    /// Unique among open alerts. The same problem at a later time is another alert with the same fingerprint.
    pub fingerprint: Fingerprint,
    pub rule: Rule,
    pub kind: AlertType,
    pub subject: Subject,
    pub state: AlertState,
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// The cause and the remedy.
    pub message: String,
    pub started_at: Timestamp,
    /// When the present state began.
    pub changed_at: Timestamp,
    pub streaks: Streaks,
    pub acknowledged: Option<Acknowledgement>,
}

/// Consecutive evaluations with the same result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streaks {
    /// Worse than the alert's severity; for a pending alert: unhealthy at all.
    pub worse: u32,
    /// Recovered from the alert's severity, to a lower one or entirely.
    pub eased: u32,
    /// Recovered entirely.
    pub recovered: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    pub author: String,
    pub note: Option<String>,
    pub at: Timestamp,
}

/// A change of an alert's state or severity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The alert's id.
    pub id: Uuid,
    pub fingerprint: Fingerprint,
    /// `None` for a new alert.
    pub from: Option<AlertState>,
    pub to: AlertState,
    /// The severity after the change.
    pub severity: Severity,
    pub at: Timestamp,
    pub reason: Reason,
}

/// The reason of a transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// First found; the alert is pending.
    Found,
    /// Found often enough to fire.
    Persisted,
    /// Not found again while pending; never reported.
    Vanished,
    /// The severity has increased.
    Escalated,
    /// The severity has decreased.
    Eased,
    /// Acknowledged by a user.
    Acknowledged,
    /// The condition has cleared.
    Recovered,
    /// The subject is no longer watched: the source was disabled, or the rule removed.
    Unwatched,
}

impl Reason {
    /// The name in JSON and in the database: `found`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The changes of one evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertChanges {
    /// In the order in which they happen.
    pub transitions: Vec<Transition>,
    /// The alerts that differ from the stored ones: new, resolved, or with a changed streak or text.
    pub changed: Vec<TrackedAlert>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only a firing alert can be acknowledged; this one is {}", .0.as_str())]
pub struct CannotAcknowledge(pub AlertState);

/// Applies the findings of one evaluation to the open alerts.
///
/// `open` must be exactly the unresolved alerts of the findings' scope: an alert without a finding is resolved as unwatched.
/// The scope may be all pipelines, one pipeline, or the overdue alert of a source that has just reported.
pub fn advance(open: &[TrackedAlert], findings: &[Finding], policy: &Policy, now: Timestamp) -> AlertChanges {
    let mut changes = AlertChanges::default();
    let mut found = worst_by_fingerprint(findings);
    let mut seen = HashSet::new();
    for stored in open.iter().filter(|alert| alert.state != AlertState::Resolved) {
        if !seen.insert(&stored.fingerprint) {
            continue;
        }
        let mut alert = stored.clone();
        match found.remove(&stored.fingerprint) {
            Some(finding) => alert.apply(finding, policy, now, &mut changes.transitions),
            None => alert.resolve(Reason::Unwatched, now, &mut changes.transitions),
        }
        if alert != *stored {
            changes.changed.push(alert);
        }
    }
    // In the order of the findings, so that the same evaluation gives the same events.
    for finding in findings.iter().filter_map(|finding| found.remove(&finding.fingerprint())) {
        if let Some(severity) = finding.verdict.severity() {
            changes.changed.push(TrackedAlert::begin(finding, severity, policy, now, &mut changes.transitions));
        }
    }
    changes
}

/// Acknowledges a firing alert. It still resolves automatically, and still counts for the status.
pub fn acknowledge(
    alert: &TrackedAlert,
    author: String,
    note: Option<String>,
    now: Timestamp,
) -> Result<(TrackedAlert, Transition), CannotAcknowledge> {
    if alert.state != AlertState::Firing {
        return Err(CannotAcknowledge(alert.state));
    }
    let mut alert = alert.clone();
    alert.acknowledged = Some(Acknowledgement { author, note, at: now });
    let transition = alert.transition_to(AlertState::Acknowledged, Reason::Acknowledged, now);
    Ok((alert, transition))
}

/// Of several findings with one fingerprint the worst is used.
fn worst_by_fingerprint(findings: &[Finding]) -> HashMap<Fingerprint, &Finding> {
    let mut found: HashMap<Fingerprint, &Finding> = HashMap::with_capacity(findings.len());
    for finding in findings {
        found
            .entry(finding.fingerprint())
            .and_modify(|other| {
                if finding.verdict > other.verdict {
                    *other = finding;
                }
            })
            .or_insert(finding);
    }
    found
}

impl TrackedAlert {
    /// The alert as the status shows it.
    pub fn to_alert(&self) -> Alert {
        Alert {
            id: self.id.to_string(),
            kind: self.kind,
            severity: self.severity,
            title: self.title.clone(),
            message: self.message.clone(),
            timestamp: self.changed_at,
            state: self.state,
            source: self.subject.source.clone(),
        }
    }

    fn begin(
        finding: &Finding,
        severity: Severity,
        policy: &Policy,
        now: Timestamp,
        transitions: &mut Vec<Transition>,
    ) -> Self {
        let fingerprint = finding.fingerprint();
        let mut alert = Self {
            id: id_of(&fingerprint, now),
            fingerprint,
            rule: finding.rule,
            kind: finding.kind,
            subject: finding.subject.clone(),
            state: AlertState::Pending,
            severity,
            title: finding.title.clone(),
            message: finding.message.clone(),
            started_at: now,
            changed_at: now,
            streaks: Streaks { worse: 1, ..Streaks::default() },
            acknowledged: None,
        };
        let begun = alert.transition_to(AlertState::Pending, Reason::Found, now);
        transitions.push(Transition { from: None, ..begun });
        alert.fire_if_due(Some(severity), policy, now, transitions);
        alert
    }

    /// Applies a finding with this alert's fingerprint.
    fn apply(&mut self, finding: &Finding, policy: &Policy, now: Timestamp, transitions: &mut Vec<Transition>) {
        let Verdict::Known { severity: bad, not_recovered_from } = finding.verdict else { return };
        if bad.is_some() {
            self.title.clone_from(&finding.title);
            self.message.clone_from(&finding.message);
        }
        if self.state == AlertState::Pending {
            let Some(severity) = bad else { return self.resolve(Reason::Vanished, now, transitions) };
            // It fires with the lowest severity of its pending time; a higher one must persist too.
            self.severity = self.severity.min(severity);
            self.streaks.worse += 1;
            return self.fire_if_due(bad, policy, now, transitions);
        }

        let streak = |continues: bool, before: u32| if continues { before.saturating_add(1) } else { 0 };
        self.streaks = Streaks {
            worse: streak(bad > Some(self.severity), self.streaks.worse),
            eased: streak(not_recovered_from < Some(self.severity), self.streaks.eased),
            recovered: streak(not_recovered_from.is_none(), self.streaks.recovered),
        };
        let recovery = policy.recovery_of(self.rule);
        if self.streaks.recovered >= recovery {
            self.resolve(Reason::Recovered, now, transitions);
        } else if let Some(worse) = bad.filter(|_| self.streaks.worse >= policy.needed.max(1)) {
            self.change_severity(worse, Reason::Escalated, now, transitions);
        } else if let Some(less) = not_recovered_from.filter(|_| self.streaks.eased >= recovery) {
            self.change_severity(less, Reason::Eased, now, transitions);
        }
    }

    fn fire_if_due(
        &mut self,
        found: Option<Severity>,
        policy: &Policy,
        now: Timestamp,
        transitions: &mut Vec<Transition>,
    ) {
        if self.streaks.worse >= policy.needed {
            transitions.push(self.transition_to(AlertState::Firing, Reason::Persisted, now));
            self.streaks = Streaks { worse: u32::from(found > Some(self.severity)), ..Streaks::default() };
        }
    }

    fn change_severity(
        &mut self,
        severity: Severity,
        reason: Reason,
        now: Timestamp,
        transitions: &mut Vec<Transition>,
    ) {
        self.severity = severity;
        self.streaks = Streaks::default();
        let since = self.changed_at;
        transitions.push(self.transition_to(self.state, reason, now));
        self.changed_at = since;
    }

    fn resolve(&mut self, reason: Reason, now: Timestamp, transitions: &mut Vec<Transition>) {
        let reason = if self.state == AlertState::Pending { Reason::Vanished } else { reason };
        transitions.push(self.transition_to(AlertState::Resolved, reason, now));
    }

    fn transition_to(&mut self, to: AlertState, reason: Reason, now: Timestamp) -> Transition {
        let from = Some(self.state);
        self.state = to;
        self.changed_at = now;
        let fingerprint = self.fingerprint.clone();
        Transition { id: self.id, fingerprint, from, to, severity: self.severity, at: now, reason }
    }
}

/// A UUID (version 8) from the fingerprint and the start in microseconds.
fn id_of(fingerprint: &Fingerprint, started_at: Timestamp) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(fingerprint.as_str());
    hash.update(started_at.timestamp_micros().to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
