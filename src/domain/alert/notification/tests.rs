use chrono::TimeDelta;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::alert::tests::{Replay, finding};
use crate::domain::alert::{Label, Labels, Matcher, Policy, Reason, Rule, Silence, Verdict};
use Severity::{High, Medium};

/// Alerts, their log, and what was told of them: what the server keeps in its tables.
struct Teller {
    replay: Replay,
    entries: Vec<Entry>,
    silences: Vec<Silence>,
    logged: usize,
    notifications: Vec<Notification>,
}

impl Teller {
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
            let owed = Owed { event: i64::try_from(event).expect("few"), transition: transition.clone() };
            match self.entries.iter_mut().find(|entry| entry.alert.id == transition.id) {
                Some(entry) => entry.owed.push(owed),
                None => self.entries.push(Entry {
                    alert: self.replay.open.iter().find(|alert| alert.id == transition.id).expect("it began").clone(),
                    labels: Labels::from([("team".into(), "maps".into())]),
                    announced: None,
                    owed: vec![owed],
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
            let settled = plan.told.iter().flat_map(|told| &told.settled).chain(&plan.untold);
            let settled: Vec<i64> = settled.copied().collect();
            entry.owed.retain(|owed| !settled.contains(&owed.event));
            let mut announced = plan.told.iter().flat_map(|told| &told.announced);
            if let Some((_, told)) = announced.find(|(id, _)| *id == entry.alert.id) {
                entry.announced = Some(*told);
            }
        }
        self.notifications.extend(plan.told.into_iter().map(|told| told.notification));
    }

    /// What was told since the last look, a notification each: `fired a, fired b`.
    fn told(&mut self) -> Vec<String> {
        let line =
            |line: &Line| format!("{} {}", line.event.as_str(), line.alert.subject.source.as_ref().expect("a source"));
        let told = |notification: Notification| notification.lines.iter().map(line).collect::<Vec<_>>().join(", ");
        self.notifications.drain(..).map(told).collect()
    }
}

const BAD: Verdict = Verdict::Known { bad: Some(Medium), held: Some(Medium) };
const WORSE: Verdict = Verdict::Known { bad: Some(High), held: Some(High) };

#[test]
fn a_pipelines_transitions_are_told_together_after_half_a_minute() {
    let mut told = Teller::new();
    told.evaluate(&[("a", BAD)]);
    told.evaluate(&[("a", BAD), ("b", BAD)]);
    assert_eq!(told.told(), [""; 0], "pending is not told, and firing waits");
    told.evaluate(&[("a", BAD), ("b", BAD)]);
    assert_eq!(told.told(), ["fired a, fired b"], "b goes with a");
    told.evaluate(&[("a", BAD), ("b", BAD)]);
    told.wait(60);
    assert_eq!(told.told(), [""; 0], "once");
}

#[test]
fn what_ends_is_told_and_what_never_fired_is_not() {
    let mut told = Teller::new();
    told.evaluate(&[("a", BAD), ("b", BAD)]);
    told.evaluate(&[("a", BAD), ("b", Verdict::GOOD)]);
    told.wait(1);
    assert_eq!(told.told(), ["fired a"]);
    told.evaluate(&[("a", Verdict::GOOD)]);
    told.wait(1);
    assert_eq!(told.told(), ["resolved a"]);
    told.wait(24 * 60);
    assert_eq!(told.told(), [""; 0]);
    // Over before its notification went out: both are told.
    told.evaluate(&[("c", BAD)]);
    told.evaluate(&[("c", BAD)]);
    told.replay.now -= TimeDelta::seconds(20);
    told.evaluate(&[("c", Verdict::GOOD)]);
    told.wait(1);
    assert_eq!(told.told(), ["fired c, resolved c"]);
}

#[test]
fn it_is_repeated_every_four_hours_while_it_fires() {
    let mut told = Teller::new();
    for _ in 0..2 {
        told.evaluate(&[("a", BAD), ("b", BAD)]);
    }
    told.wait(1);
    told.told();
    told.wait(4 * 60 - 1);
    assert_eq!(told.told(), [""; 0]);
    told.wait(1);
    told.wait(4 * 60);
    assert_eq!(told.told(), ["repeated a, repeated b"; 2]);
    told.acknowledge();
    told.wait(8 * 60);
    assert_eq!(told.told(), ["acknowledged a, repeated b"]);
    told.wait(4 * 60);
    assert_eq!(told.told(), ["repeated b"], "who looks knows");
    told.silence(24 * 60);
    told.wait(8 * 60);
    assert_eq!(told.told(), [""; 0], "who does not want to hear does not");
}

#[test]
fn a_graver_alert_is_told_unless_somebody_looks_already() {
    let mut told = Teller::new();
    for verdict in [BAD, BAD, BAD, WORSE, WORSE] {
        told.evaluate(&[("a", verdict)]);
    }
    told.wait(1);
    assert_eq!(told.told(), ["fired a", "changed a"]);
    let mut told = Teller::new();
    for verdict in [BAD, BAD, BAD] {
        told.evaluate(&[("a", verdict)]);
    }
    told.acknowledge();
    for verdict in [WORSE, WORSE, WORSE] {
        told.evaluate(&[("a", verdict)]);
    }
    told.wait(8 * 60);
    assert_eq!(told.told(), ["fired a", "acknowledged a"]);
    told.evaluate(&[("a", Verdict::GOOD)]);
    told.wait(1);
    assert_eq!(told.told(), ["resolved a"], "the end is told all the same");
}

#[test]
fn a_mute_stops_everything_but_the_end_of_what_was_told() {
    let mut told = Teller::new();
    told.silence(60);
    for _ in 0..3 {
        told.evaluate(&[("a", BAD)]);
    }
    told.evaluate(&[("a", Verdict::GOOD)]);
    told.wait(1);
    assert_eq!(told.told(), [""; 0], "nobody was told of it");
    for _ in 0..3 {
        told.evaluate(&[("b", BAD)]);
    }
    told.wait(90);
    assert_eq!(told.told(), ["fired b"], "it still fires when the silence is over");
    told.silence(60);
    for _ in 0..3 {
        told.evaluate(&[("b", WORSE)]);
    }
    told.wait(10);
    assert_eq!(told.told(), [""; 0]);
    told.wait(60);
    assert_eq!(told.told(), ["changed b"], "so does a change");
    told.silence(60);
    told.evaluate(&[("b", Verdict::GOOD)]);
    told.wait(10);
    assert_eq!(told.told(), ["resolved b"]);
}

#[test]
fn pipelines_are_told_apart() {
    let mut told = Teller::new();
    for _ in 0..2 {
        told.evaluate(&[("a", BAD), ("b", BAD)]);
    }
    told.entries[0].alert.subject.pipeline = None;
    let now = told.replay.now + TimeDelta::seconds(30);
    let notifications: Vec<Notification> =
        plan(&told.entries, &[], &Timing::default(), now).told.into_iter().map(|told| told.notification).collect();
    let of: Vec<_> =
        notifications.iter().map(|notification| (notification.pipeline.clone(), notification.lines.len())).collect();
    assert_eq!(of, [(None, 1), (Some(PipelineKey::default()), 1)]);
    assert_ne!(notifications[0].id, notifications[1].id);
    let again: Vec<Notification> =
        plan(&told.entries, &[], &Timing::default(), now).told.into_iter().map(|told| told.notification).collect();
    assert_eq!(again, notifications, "planned twice, it is the same notification");
}

proptest! {
    /// Each firing, acknowledgement and end of an alert is told exactly once, in order, whenever plans are made, and an
    /// end is told exactly when the alert was.
    #[test]
    fn every_transition_is_told(
        verdicts in prop::collection::vec((prop::collection::vec(0usize..3, 3), 0u8..10, 0i64..3), 1..40),
        silenced in prop::option::of((0usize..40, 1i64..60)),
    ) {
        let mut told = Teller::new();
        for (evaluation, (of, acknowledge, wait)) in verdicts.iter().enumerate() {
            if let Some((_, minutes)) = silenced.filter(|(at, _)| *at == evaluation) {
                told.silence(minutes);
            }
            let named = ["a", "b", "c"].into_iter().zip(of.iter().map(|index| [Verdict::GOOD, BAD, WORSE][*index]));
            told.evaluate(&named.collect::<Vec<_>>());
            if *acknowledge == 0 && told.replay.open.first().is_some_and(|alert| alert.state == AlertState::Firing) {
                told.acknowledge();
            }
            told.wait(*wait);
        }
        told.evaluate(&[]);
        told.wait(120);
        told.wait(1);
        prop_assert!(told.entries.iter().all(|entry| entry.owed.is_empty()));
        for entry in &told.entries {
            let of_alert = || told.notifications.iter().flat_map(|notification| &notification.lines).filter(|line| line.alert.id == entry.alert.id);
            let count = |event| of_alert().filter(|line| line.event == event).count();
            let happened = |reason| told.replay.log.iter().filter(|one| one.id == entry.alert.id && one.reason == reason).count();
            let fired = happened(Reason::Persisted);
            if silenced.is_none() {
                prop_assert_eq!(count(Event::Fired), fired);
                prop_assert_eq!(count(Event::Acknowledged), happened(Reason::Acknowledged));
            }
            prop_assert!(count(Event::Fired) <= fired);
            prop_assert_eq!(count(Event::Resolved), count(Event::Fired), "whoever was told is told of the end");
            prop_assert!(of_alert().is_sorted_by_key(|line| line.at));
        }
    }
}

fn notification() -> Notification {
    let mut told = Teller::new();
    for _ in 0..3 {
        told.evaluate(&[("<!channel> & co", WORSE)]);
    }
    told.notifications.remove(0)
}

#[test]
fn a_webhook_says_what_the_status_says_and_more() {
    let notification = notification();
    let body: Value = serde_json::from_str(&webhook(&notification, Some("https://watch.example"))).expect("JSON");
    let alert = &notification.lines[0].alert;
    assert_eq!(
        body,
        json!({
            "type": "alerts.notification",
            "timestamp": "2026-03-01T00:01:30Z",
            "data": {
                "id": notification.id.to_string(),
                "pipeline": "default",
                "url": "https://watch.example",
                "alerts_omitted": 0,
                "alerts": [{
                    "event": "fired",
                    "id": alert.id.to_string(),
                    "fingerprint": alert.fingerprint.as_str(),
                    "rule": "silence",
                    "type": "quality",
                    "severity": "high",
                    "state": "firing",
                    "title": "<!channel> & co is unwell",
                    "message": alert.message,
                    "timestamp": "2026-03-01T00:01:00Z",
                    "started_at": "2026-03-01T00:00:30Z",
                    "source": "<!channel> & co",
                    "check": null,
                    "acknowledged_by": null,
                    "note": null,
                }],
            },
        })
    );
}

#[test]
fn slack_wakes_nobody_for_a_name() {
    let body: Value =
        serde_json::from_str(&slack(&notification(), Some("https://watch.example/?a=1&b=2"))).expect("JSON");
    let title = "Firing (high): &lt;\u{200B}!channel&gt; &amp; co is unwell";
    assert_eq!(body["text"], format!("{title} <https://watch.example/?a=1&amp;b=2|Look>"));
    assert_eq!(body["attachments"][0]["title"], title);
    assert_eq!(body["attachments"][0]["color"], "#e01e5a");
    assert_eq!(body["attachments"][0]["ts"], 1_772_323_260);
    assert_eq!(
        (&body["link_names"], &body["unfurl_links"], &body["unfurl_media"]),
        (&json!(0), &json!(false), &json!(false))
    );
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
}

#[test]
fn texts_say_what_happened_and_stay_short() {
    let mut notification = notification();
    let mail = email(&notification, None);
    assert_eq!(mail.subject, "[Pipewatch] Firing (high): <!channel> & co is unwell");
    notification.lines[0].alert.title = "two\r\nBcc: all".into();
    assert_eq!(email(&notification, None).subject, "[Pipewatch] Firing (high): two  Bcc: all");
    let line = notification.lines[0].clone();
    notification.lines[0].event = Event::Resolved;
    notification.lines.extend(vec![line; 29]);
    let mail = email(&notification, Some("https://watch.example"));
    assert_eq!(mail.subject, "[Pipewatch] default: 29 firing, 1 resolved");
    assert!(mail.text.starts_with("Resolved: two\r\nBcc: all\nIt began at 2026-03-01T00:00:30Z.\n"), "{}", mail.text);
    assert!(mail.text.ends_with("And 10 more.\n\nhttps://watch.example\n"), "{}", mail.text);
    let body: Value = serde_json::from_str(&slack(&notification, None)).expect("JSON");
    assert_eq!(body["attachments"].as_array().map(Vec::len), Some(20));
    assert_eq!(body["text"], "default: 29 firing, 1 resolved (20 are shown, and there are 10 more)");
}

#[test]
fn a_notification_is_at_most_256_kib() {
    let mut notification = notification();
    let line = notification.lines[0].clone();
    for (text, lines) in [("<", 30), ("💧", 30), ("\"\\", 30), ("@here ", 400), ("\u{1}", 400)] {
        let mut line = line.clone();
        (line.alert.title, line.alert.message) = (text.repeat(300), text.repeat(2_000));
        line.alert.subject.source = Some("💧".repeat(255).parse().expect("a source"));
        notification.lines = vec![line; lines];
        let (webhook, slack, mail) =
            (webhook(&notification, None), slack(&notification, None), email(&notification, None));
        for size in [webhook.len(), slack.len(), json!([mail.subject, mail.text]).to_string().len()] {
            assert!(size <= 256 * 1024, "{lines} times {text:?}: {size} bytes");
        }
        let said: Value = serde_json::from_str(&webhook).expect("JSON");
        let alerts = said["data"]["alerts"].as_array().map_or(0, Vec::len);
        assert!(alerts > 10, "{alerts} of {lines} alerts");
        assert_eq!(said["data"]["alerts_omitted"], json!(lines - alerts));
        let said: Value = serde_json::from_str(&slack).expect("JSON");
        assert!(said["text"].as_str().is_some_and(|text| text.ends_with(&format!("there are {} more)", lines - 20))));
        assert!(mail.text.ends_with(&format!("And {} more.\n\n", lines - 20)), "{}", mail.text.len());
    }
}

#[test]
fn who_acknowledged_is_told_with_their_note() {
    let mut line = notification().lines.remove(0);
    line.event = Event::Acknowledged;
    for (note, expect) in [(None, "By Ada."), (Some("on it"), "Ada: on it")] {
        let by =
            crate::domain::alert::Acknowledgement { author: "Ada".into(), note: note.map(Into::into), at: line.at };
        line.alert.acknowledged = Some(by);
        let notification = Notification::new(None, line.at, vec![line.clone()]);
        let text = email(&notification, None).text;
        assert!(text.starts_with(&format!("Acknowledged: <!channel> & co is unwell\n{expect}\n")), "{text}");
        let body: Value = serde_json::from_str(&webhook(&notification, None)).expect("JSON");
        assert_eq!(body["data"]["alerts"][0]["note"], json!(note));
        assert_eq!(body["data"]["pipeline"], Value::Null);
    }
}

#[test]
fn what_a_mute_kept_back_is_not_told_as_older_than_what_was_told() {
    let mut told = Teller::new();
    for verdict in [BAD, BAD, WORSE, WORSE] {
        told.evaluate(&[("a", verdict)]);
    }
    told.wait(1);
    told.silence(5);
    for verdict in [BAD, BAD] {
        told.evaluate(&[("a", verdict)]);
    }
    told.wait(5);
    let lines: Vec<_> = told.notifications.iter().flat_map(|notification| &notification.lines).collect();
    assert!(lines.is_sorted_by_key(|line| line.at));
    assert_eq!(lines.iter().map(|line| line.event).collect::<Vec<_>>(), [Event::Fired, Event::Changed, Event::Changed]);
    assert_eq!(lines[2].severity, Medium);
}
