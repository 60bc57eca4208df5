use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::domain::alert::tests::{Replay, finding};
use crate::domain::alert::{Matcher, Policy, Reason, Rule, Silence, Verdict};
use crate::domain::labels::{Label, Labels};
use Severity::{High, Medium};

/// Alerts, their event log and their notifications, as the server keeps them in its tables.
struct PlanFixture {
    replay: Replay,
    entries: Vec<Entry>,
    silences: Vec<Silence>,
    logged: usize,
    notifications: Vec<Notification>,
}

impl PlanFixture {
    fn new() -> Self {
        let replay = Replay::new(Policy::default());
        Self { replay, entries: Vec::new(), silences: Vec::new(), logged: 0, notifications: Vec::new() }
    }

    /// An evaluation, 30 seconds after the one before, and a plan.
    fn evaluate(&mut self, verdicts: &[(&str, Verdict)]) {
        let findings: Vec<_> = verdicts.iter().map(|(name, verdict)| finding(name, Rule::Overdue, *verdict)).collect();
        self.replay.evaluate(&findings);
        self.plan();
    }

    fn acknowledge(&mut self) {
        self.replay.acknowledge();
        self.plan();
    }

    fn wait(&mut self, minutes: i64) {
        self.replay.now += TimeDelta::minutes(minutes);
        self.plan();
    }

    fn silence(&mut self, minutes: i64) {
        let span = (self.replay.now, self.replay.now + TimeDelta::minutes(minutes));
        let label = Some(Label { name: "team".into(), value: "maps".into() });
        let matcher = Matcher { label, ..Matcher::default() };
        self.silences.push(Silence::new(Uuid::nil(), matcher, span, "Ada", "moving").expect("a silence"));
    }

    fn plan(&mut self) {
        for (event, transition) in self.replay.log.iter().enumerate().skip(self.logged) {
            let unhandled =
                UnhandledTransition { event: i64::try_from(event).expect("few"), transition: transition.clone() };
            match self.entries.iter_mut().find(|entry| entry.alert.id == transition.id) {
                Some(entry) => entry.unhandled.push(unhandled),
                None => self.entries.push(Entry {
                    alert: self.replay.open.iter().find(|alert| alert.id == transition.id).expect("it began").clone(),
                    labels: Labels::from([("team".into(), "maps".into())]),
                    last_notified: None,
                    unhandled: vec![unhandled],
                }),
            }
        }
        self.logged = self.replay.log.len();
        for entry in &mut self.entries {
            match self.replay.open.iter().find(|alert| alert.id == entry.alert.id) {
                Some(alert) => entry.alert = alert.clone(),
                None => entry.alert.state = AlertState::Resolved,
            }
        }
        let plan = plan(&self.entries, &self.silences, &Timing::default(), self.replay.now);
        for entry in &mut self.entries {
            let handled = plan.notifications.iter().flat_map(|planned| &planned.handled).chain(&plan.ignored);
            let handled: Vec<i64> = handled.copied().collect();
            entry.unhandled.retain(|one| !handled.contains(&one.event));
            let mut last_notified = plan.notifications.iter().flat_map(|planned| &planned.last_notified);
            if let Some((_, last)) = last_notified.find(|(id, _)| *id == entry.alert.id) {
                entry.last_notified = Some(*last);
            }
        }
        self.notifications.extend(plan.notifications.into_iter().map(|planned| planned.notification));
    }

    /// The notifications planned since the last call, one string each: `fired a, fired b`.
    fn sent(&mut self) -> Vec<String> {
        let line =
            |line: &Line| format!("{} {}", line.event.as_str(), line.alert.subject.source.as_ref().expect("a source"));
        let text = |notification: Notification| notification.lines.iter().map(line).collect::<Vec<_>>().join(", ");
        self.notifications.drain(..).map(text).collect()
    }
}

const BAD: Verdict = Verdict::Known { severity: Some(Medium), not_recovered_from: Some(Medium) };
const WORSE: Verdict = Verdict::Known { severity: Some(High), not_recovered_from: Some(High) };

#[test]
fn events_of_a_pipeline_are_grouped_for_30_seconds() {
    let mut plans = PlanFixture::new();
    plans.evaluate(&[("a", BAD)]);
    plans.evaluate(&[("a", BAD), ("b", BAD)]);
    assert_eq!(plans.sent(), [""; 0], "a pending alert is not reported, and firing waits for the group");
    plans.evaluate(&[("a", BAD), ("b", BAD)]);
    assert_eq!(plans.sent(), ["fired a, fired b"], "b is grouped with a");
    plans.evaluate(&[("a", BAD), ("b", BAD)]);
    plans.wait(60);
    assert_eq!(plans.sent(), [""; 0], "only once");
}

#[test]
fn resolution_is_reported_only_for_alerts_that_fired() {
    let mut plans = PlanFixture::new();
    plans.evaluate(&[("a", BAD), ("b", BAD)]);
    plans.evaluate(&[("a", BAD), ("b", Verdict::OK)]);
    plans.wait(1);
    assert_eq!(plans.sent(), ["fired a"]);
    plans.evaluate(&[("a", Verdict::OK)]);
    plans.wait(1);
    assert_eq!(plans.sent(), ["resolved a"]);
    plans.wait(24 * 60);
    assert_eq!(plans.sent(), [""; 0]);
    // Resolved before the notification was sent: both events are reported.
    plans.evaluate(&[("c", BAD)]);
    plans.evaluate(&[("c", BAD)]);
    plans.replay.now -= TimeDelta::seconds(20);
    plans.evaluate(&[("c", Verdict::OK)]);
    plans.wait(1);
    assert_eq!(plans.sent(), ["fired c, resolved c"]);
}

#[test]
fn firing_alert_is_repeated_every_four_hours() {
    let mut plans = PlanFixture::new();
    for _ in 0..2 {
        plans.evaluate(&[("a", BAD), ("b", BAD)]);
    }
    plans.wait(1);
    plans.sent();
    plans.wait(4 * 60 - 1);
    assert_eq!(plans.sent(), [""; 0]);
    plans.wait(1);
    plans.wait(4 * 60);
    assert_eq!(plans.sent(), ["repeated a, repeated b"; 2]);
    plans.acknowledge();
    plans.wait(8 * 60);
    assert_eq!(plans.sent(), ["acknowledged a, repeated b"]);
    plans.wait(4 * 60);
    assert_eq!(plans.sent(), ["repeated b"], "an acknowledged alert is not repeated");
    plans.silence(24 * 60);
    plans.wait(8 * 60);
    assert_eq!(plans.sent(), [""; 0], "a silenced alert is not repeated");
}

#[test]
fn escalation_is_reported_unless_the_alert_is_acknowledged() {
    let mut plans = PlanFixture::new();
    for verdict in [BAD, BAD, BAD, WORSE, WORSE] {
        plans.evaluate(&[("a", verdict)]);
    }
    plans.wait(1);
    assert_eq!(plans.sent(), ["fired a", "changed a"]);
    let mut plans = PlanFixture::new();
    for verdict in [BAD, BAD, BAD] {
        plans.evaluate(&[("a", verdict)]);
    }
    plans.acknowledge();
    for verdict in [WORSE, WORSE, WORSE] {
        plans.evaluate(&[("a", verdict)]);
    }
    plans.wait(8 * 60);
    assert_eq!(plans.sent(), ["fired a", "acknowledged a"]);
    plans.evaluate(&[("a", Verdict::OK)]);
    plans.wait(1);
    assert_eq!(plans.sent(), ["resolved a"], "the resolution is reported nevertheless");
}

#[test]
fn silence_stops_everything_except_resolutions_of_reported_alerts() {
    let mut plans = PlanFixture::new();
    plans.silence(60);
    for _ in 0..3 {
        plans.evaluate(&[("a", BAD)]);
    }
    plans.evaluate(&[("a", Verdict::OK)]);
    plans.wait(1);
    assert_eq!(plans.sent(), [""; 0], "the alert was never reported");
    for _ in 0..3 {
        plans.evaluate(&[("b", BAD)]);
    }
    plans.wait(90);
    assert_eq!(plans.sent(), ["fired b"], "the alert still fires when the silence ends");
    plans.silence(60);
    for _ in 0..3 {
        plans.evaluate(&[("b", WORSE)]);
    }
    plans.wait(10);
    assert_eq!(plans.sent(), [""; 0]);
    plans.wait(60);
    assert_eq!(plans.sent(), ["changed b"], "the change is reported when the silence ends");
    plans.silence(60);
    plans.evaluate(&[("b", Verdict::OK)]);
    plans.wait(10);
    assert_eq!(plans.sent(), ["resolved b"]);
}

#[test]
fn pipelines_are_not_grouped_together() {
    let mut plans = PlanFixture::new();
    for _ in 0..2 {
        plans.evaluate(&[("a", BAD), ("b", BAD)]);
    }
    plans.entries[0].alert.subject.pipeline = None;
    let now = plans.replay.now + TimeDelta::seconds(30);
    let notifications: Vec<Notification> = plan(&plans.entries, &[], &Timing::default(), now)
        .notifications
        .into_iter()
        .map(|planned| planned.notification)
        .collect();
    let of: Vec<_> =
        notifications.iter().map(|notification| (notification.pipeline.clone(), notification.lines.len())).collect();
    assert_eq!(of, [(None, 1), (Some(PipelineKey::default()), 1)]);
    assert_ne!(notifications[0].id, notifications[1].id);
    let again: Vec<Notification> = plan(&plans.entries, &[], &Timing::default(), now)
        .notifications
        .into_iter()
        .map(|planned| planned.notification)
        .collect();
    assert_eq!(again, notifications, "planning twice gives the same notification");
}

proptest! {
    /// Each firing, acknowledgement and resolution is reported exactly once and in order, whenever plans are made. A
    /// resolution is reported exactly when the alert was.
    #[test]
    fn every_transition_is_reported_once(
        verdicts in prop::collection::vec((prop::collection::vec(0usize..3, 3), 0u8..10, 0i64..3), 1..40),
        silenced in prop::option::of((0usize..40, 1i64..60)),
    ) {
        let mut plans = PlanFixture::new();
        for (evaluation, (of, acknowledge, wait)) in verdicts.iter().enumerate() {
            if let Some((_, minutes)) = silenced.filter(|(at, _)| *at == evaluation) {
                plans.silence(minutes);
            }
            let named = ["a", "b", "c"].into_iter().zip(of.iter().map(|index| [Verdict::OK, BAD, WORSE][*index]));
            plans.evaluate(&named.collect::<Vec<_>>());
            if *acknowledge == 0 && plans.replay.open.first().is_some_and(|alert| alert.state == AlertState::Firing) {
                plans.acknowledge();
            }
            plans.wait(*wait);
        }
        plans.evaluate(&[]);
        plans.wait(120);
        plans.wait(1);
        prop_assert!(plans.entries.iter().all(|entry| entry.unhandled.is_empty()));
        for entry in &plans.entries {
            let of_alert = || plans.notifications.iter().flat_map(|notification| &notification.lines).filter(|line| line.alert.id == entry.alert.id);
            let count = |event| of_alert().filter(|line| line.event == event).count();
            let happened = |reason| plans.replay.log.iter().filter(|one| one.id == entry.alert.id && one.reason == reason).count();
            let fired = happened(Reason::Persisted);
            if silenced.is_none() {
                prop_assert_eq!(count(Event::Fired), fired);
                prop_assert_eq!(count(Event::Acknowledged), happened(Reason::Acknowledged));
            }
            prop_assert!(count(Event::Fired) <= fired);
            prop_assert_eq!(count(Event::Resolved), count(Event::Fired), "every reported alert has its resolution reported");
            prop_assert!(of_alert().is_sorted_by_key(|line| line.at));
        }
    }
}

#[test]
fn event_held_back_by_a_silence_is_not_older_than_the_last_notification() {
    let mut plans = PlanFixture::new();
    for verdict in [BAD, BAD, WORSE, WORSE] {
        plans.evaluate(&[("a", verdict)]);
    }
    plans.wait(1);
    plans.silence(5);
    for verdict in [BAD, BAD] {
        plans.evaluate(&[("a", verdict)]);
    }
    plans.wait(5);
    let lines: Vec<_> = plans.notifications.iter().flat_map(|notification| &notification.lines).collect();
    assert!(lines.is_sorted_by_key(|line| line.at));
    assert_eq!(lines.iter().map(|line| line.event).collect::<Vec<_>>(), [Event::Fired, Event::Changed, Event::Changed]);
    assert_eq!(lines[2].severity, Medium);
}

/// A notification with one line: a source whose name tests escaping fires with high severity.
pub(crate) fn one_firing_alert() -> Notification {
    let mut plans = PlanFixture::new();
    for _ in 0..3 {
        plans.evaluate(&[("<!channel> & co", WORSE)]);
    }
    plans.notifications.remove(0)
}
