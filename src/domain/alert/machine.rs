use std::collections::{HashMap, HashSet};

use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::alert::finding::{Finding, Verdict};
use crate::domain::alert::rule::{Fingerprint, Policy, Rule, Subject};
use crate::domain::alert::{Alert, AlertState, AlertType};
use crate::domain::anomaly::Severity;
use crate::domain::time::Timestamp;

/// An alert as it is kept between evaluations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracked {
    /// Made of the fingerprint and the instant it began, so that two servers that evaluate the same make the same.
    pub id: Uuid,
    /// What tells it apart while it is open. The same trouble later is another alert with the same fingerprint.
    pub fingerprint: Fingerprint,
    /// What raised it.
    pub rule: Rule,
    /// What it is about.
    pub kind: AlertType,
    /// What is watched.
    pub subject: Subject,
    /// Where it stands.
    pub state: AlertState,
    /// How grave it is.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// Why, and what to do.
    pub message: String,
    /// When it was first found.
    pub started_at: Timestamp,
    /// Since when it stands as it does.
    pub changed_at: Timestamp,
    /// What the last evaluations said.
    pub streaks: Streaks,
    /// Who looks, if somebody does.
    pub acknowledged: Option<Acknowledgement>,
}

/// For how many evaluations in a row something was so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Streaks {
    /// Worse than the alert says; for a pending one: bad at all.
    pub worse: u32,
    /// Recovered from what the alert says, to something less grave or to nothing.
    pub eased: u32,
    /// Recovered from everything.
    pub well: u32,
}

/// That somebody looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who.
    pub author: String,
    /// What they say.
    pub note: Option<String>,
    /// Since when.
    pub at: Timestamp,
}

/// A step that an alert takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The alert.
    pub id: Uuid,
    /// What tells it apart.
    pub fingerprint: Fingerprint,
    /// Where it stood; `None` when it begins.
    pub from: Option<AlertState>,
    /// Where it stands.
    pub to: AlertState,
    /// How grave it is now.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Reason,
}

/// Why an alert takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// It was found.
    Found,
    /// It was found often enough.
    Persisted,
    /// It was pending, and was not found again: nobody is told.
    Vanished,
    /// It has become graver.
    Escalated,
    /// It has become less grave.
    Eased,
    /// Somebody looks.
    Acknowledged,
    /// It is well again.
    Recovered,
    /// Nothing watches for it any more: the source was disabled, the rule taken away.
    Unwatched,
}

impl Reason {
    /// As it stands in JSON and in the database: `found`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What an evaluation changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Step {
    /// In the order in which they happen.
    pub transitions: Vec<Transition>,
    /// The alerts that differ from what is stored, as they are now: new ones, resolved ones, those whose streak or text
    /// changed.
    pub changed: Vec<Tracked>,
}

/// Why an alert cannot be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("only a firing alert can be acknowledged, and this one is {}", .0.as_str())]
pub struct CannotAcknowledge(pub AlertState);

/// One evaluation: what the findings make of the open alerts.
///
/// `open` are the alerts, not yet resolved, of everything that the findings are about, and of nothing else: one that has
/// no finding is resolved as unwatched. They may be those of all pipelines, of one, or the one silence alert of a source
/// whose run has just come.
pub fn step(open: &[Tracked], findings: &[Finding], policy: &Policy, now: Timestamp) -> Step {
    let mut step = Step::default();
    let mut found = worst_by_fingerprint(findings);
    let mut seen = HashSet::new();
    for stored in open.iter().filter(|alert| alert.state != AlertState::Resolved) {
        if !seen.insert(&stored.fingerprint) {
            continue;
        }
        let mut alert = stored.clone();
        match found.remove(&stored.fingerprint) {
            Some(finding) => alert.take(finding, policy, now, &mut step.transitions),
            None => alert.resolve(Reason::Unwatched, now, &mut step.transitions),
        }
        if alert != *stored {
            step.changed.push(alert);
        }
    }
    // In the order they were found, so that the same evaluation gives the same events.
    for finding in findings.iter().filter_map(|finding| found.remove(&finding.fingerprint())) {
        if let Some(severity) = finding.verdict.severity() {
            step.changed.push(Tracked::begin(finding, severity, policy, now, &mut step.transitions));
        }
    }
    step
}

/// Somebody looks at a firing alert. It still resolves by itself, and it still counts for the status.
pub fn acknowledge(
    alert: &Tracked,
    author: String,
    note: Option<String>,
    now: Timestamp,
) -> Result<(Tracked, Transition), CannotAcknowledge> {
    if alert.state != AlertState::Firing {
        return Err(CannotAcknowledge(alert.state));
    }
    let mut alert = alert.clone();
    alert.acknowledged = Some(Acknowledgement { author, note, at: now });
    let transition = alert.pass_to(AlertState::Acknowledged, Reason::Acknowledged, now);
    Ok((alert, transition))
}

/// Something found twice in one evaluation is one finding, the worse.
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

impl Tracked {
    /// As it stands in the status.
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
        let begun = alert.pass_to(AlertState::Pending, Reason::Found, now);
        transitions.push(Transition { from: None, ..begun });
        alert.fire_if_due(Some(severity), policy, now, transitions);
        alert
    }

    /// What a finding of this alert makes of it.
    fn take(&mut self, finding: &Finding, policy: &Policy, now: Timestamp, transitions: &mut Vec<Transition>) {
        let Verdict::Known { bad, held } = finding.verdict else { return };
        if bad.is_some() {
            self.title.clone_from(&finding.title);
            self.message.clone_from(&finding.message);
        }
        if self.state == AlertState::Pending {
            let Some(severity) = bad else { return self.resolve(Reason::Vanished, now, transitions) };
            // It fires as what it was all the time; what is graver than that has to last as well.
            self.severity = self.severity.min(severity);
            self.streaks.worse += 1;
            return self.fire_if_due(bad, policy, now, transitions);
        }

        let streak = |goes_on: bool, before: u32| if goes_on { before.saturating_add(1) } else { 0 };
        self.streaks = Streaks {
            worse: streak(bad > Some(self.severity), self.streaks.worse),
            eased: streak(held < Some(self.severity), self.streaks.eased),
            well: streak(held.is_none(), self.streaks.well),
        };
        let recovery = policy.recovery_of(self.rule);
        if self.streaks.well >= recovery {
            self.resolve(Reason::Recovered, now, transitions);
        } else if let Some(worse) = bad.filter(|_| self.streaks.worse >= policy.needed.max(1)) {
            self.grade(worse, Reason::Escalated, now, transitions);
        } else if let Some(less) = held.filter(|_| self.streaks.eased >= recovery) {
            self.grade(less, Reason::Eased, now, transitions);
        }
    }

    fn fire_if_due(
        &mut self,
        bad: Option<Severity>,
        policy: &Policy,
        now: Timestamp,
        transitions: &mut Vec<Transition>,
    ) {
        if self.streaks.worse >= policy.needed {
            transitions.push(self.pass_to(AlertState::Firing, Reason::Persisted, now));
            self.streaks = Streaks { worse: u32::from(bad > Some(self.severity)), ..Streaks::default() };
        }
    }

    /// A change of severity is an update of the same alert.
    fn grade(&mut self, severity: Severity, reason: Reason, now: Timestamp, transitions: &mut Vec<Transition>) {
        self.severity = severity;
        self.streaks = Streaks::default();
        let since = self.changed_at;
        transitions.push(self.pass_to(self.state, reason, now));
        self.changed_at = since;
    }

    fn resolve(&mut self, reason: Reason, now: Timestamp, transitions: &mut Vec<Transition>) {
        let reason = if self.state == AlertState::Pending { Reason::Vanished } else { reason };
        transitions.push(self.pass_to(AlertState::Resolved, reason, now));
    }

    fn pass_to(&mut self, to: AlertState, reason: Reason, now: Timestamp) -> Transition {
        let from = Some(self.state);
        self.state = to;
        self.changed_at = now;
        let fingerprint = self.fingerprint.clone();
        Transition { id: self.id, fingerprint, from, to, severity: self.severity, at: now, reason }
    }
}

/// A UUID (version 8) of the fingerprint and the microsecond of the beginning.
fn id_of(fingerprint: &Fingerprint, started_at: Timestamp) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(fingerprint.as_str());
    hash.update(started_at.timestamp_micros().to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}
