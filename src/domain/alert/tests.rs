use chrono::TimeDelta;
use uuid::Uuid;

use super::*;
use crate::domain::anomaly::AnomalyType;
use crate::domain::check::Threshold;
use crate::domain::counts::Counts;
use crate::domain::freshness::Lateness;
use crate::domain::key::PipelineKey;
use crate::domain::labels::{InvalidLabel, Label, Labels};
use crate::domain::time::parse_rfc3339;
use Severity::{High, Low, Medium};

/// Consecutive evaluations, 30 seconds apart.
pub(super) struct Replay {
    pub(super) policy: Policy,
    pub(super) open: Vec<TrackedAlert>,
    pub(super) log: Vec<Transition>,
    pub(super) now: Timestamp,
}

impl Replay {
    pub(super) fn new(policy: Policy) -> Self {
        let now = parse_rfc3339("2026-03-01T00:00:00Z").expect("an instant");
        Self { policy, open: Vec::new(), log: Vec::new(), now }
    }

    pub(super) fn evaluate(&mut self, findings: &[Finding]) {
        self.now += TimeDelta::seconds(30);
        let changes = advance(&self.open, findings, &self.policy, self.now);
        self.keep(changes.changed);
        self.log.extend(changes.transitions);
    }

    pub(super) fn acknowledge(&mut self) {
        let (alert, transition) = acknowledge(&self.open[0], "Ada".into(), None, self.now).expect("it fires");
        self.keep(vec![alert]);
        self.log.push(transition);
    }

    /// Replaces alerts by id, as the table does.
    pub(super) fn keep(&mut self, changed: Vec<TrackedAlert>) {
        for alert in changed {
            self.open.retain(|other| other.id != alert.id);
            if alert.state != AlertState::Resolved {
                self.open.push(alert);
            }
        }
    }

    /// `firing high persisted`, …
    fn events(&self) -> Vec<String> {
        let severity = |severity| format!("{severity:?}").to_lowercase();
        let text = |t: &Transition| format!("{} {} {}", t.to.as_str(), severity(t.severity), t.reason.as_str());
        self.log.iter().map(text).collect()
    }
}

pub(super) fn pipeline() -> PipelineKey {
    PipelineKey::default()
}

pub(super) fn source(name: &str) -> SourceKey {
    name.parse().expect("a source")
}

/// A finding that says this of a source.
pub(super) fn finding(name: &str, rule: Rule, verdict: Verdict) -> Finding {
    let subject = Subject::source(pipeline(), source(name));
    let (title, message) = (format!("{name} is unwell"), format!("{verdict:?}"));
    Finding { rule, kind: AlertType::Quality, subject, verdict, title, message }
}

/// Geocoding with this many successes of 100: warning below 80, error below 60.
fn rate(successes: u64) -> Finding {
    let threshold = Threshold::new(80.0, 60.0).expect("ordered");
    let counts = Counts::new(if successes == 0 { 0 } else { 100 }, successes).expect("within bounds");
    Finding::threshold(pipeline(), "geocoding", threshold, counts, &Policy::default())
}

#[test]
fn low_rates_fire_escalate_and_recover() {
    let (pending, firing) = ("pending medium found", "firing medium persisted");
    let resolved = "resolved medium recovered";
    for (rates, expect, why) in [
        (&[100, 80][..], &[][..], "all is well"),
        (&[79], &[pending], "seen once"),
        (&[79, 79], &[pending, firing], "seen twice"),
        (&[79, 80], &[pending, "resolved medium vanished"], "gone before it fired"),
        (&[79, 80, 79], &[pending, "resolved medium vanished", pending], "twice, but not in a row"),
        (&[79, 79, 80, 81, 81], &[pending, firing], "between the threshold and two points above nothing changes"),
        (&[79, 79, 82], &[pending, firing], "well once"),
        (&[79, 79, 82, 82], &[pending, firing, resolved], "well twice"),
        (&[79, 79, 82, 81, 82], &[pending, firing], "well twice, but not in a row"),
        (&[79, 79, 90, 90, 79, 79], &[pending, firing, resolved, pending, firing], "a recurrence starts as pending"),
        (&[79, 79, 59], &[pending, firing], "graver once"),
        (&[79, 79, 59, 59], &[pending, firing, "firing high escalated"], "graver twice"),
        (&[79, 59, 59], &[pending, firing, "firing high escalated"], "graver since before it fired"),
        (&[59, 79], &["pending high found", firing], "it fires as what it was all the time"),
        (&[59, 59, 61, 61], &["pending high found", "firing high persisted"], "no two points above error"),
        (
            &[59, 59, 62, 62],
            &["pending high found", "firing high persisted", "firing medium eased"],
            "two points above error, twice",
        ),
        (&[59, 59, 62, 82], &["pending high found", "firing high persisted"], "two points above warning only once"),
        (
            &[59, 59, 62, 82, 81],
            &["pending high found", "firing high persisted", "firing medium eased"],
            "and not twice: it is eased",
        ),
        (
            &[59, 59, 62, 82, 82],
            &["pending high found", "firing high persisted", "resolved high recovered"],
            "and twice: it is over",
        ),
        (
            &[59, 59, 62, 62, 82, 82],
            &["pending high found", "firing high persisted", "firing medium eased", resolved],
            "step by step",
        ),
        (
            &[59, 59, 90, 90],
            &["pending high found", "firing high persisted", "resolved high recovered"],
            "straight from error",
        ),
        // 0 means too few attempts to evaluate.
        (&[79, 79, 0, 0, 0], &[pending, firing], "missing data does not resolve an alert"),
        (&[79, 0, 79], &[pending, firing], "and does not count"),
        (&[79, 79, 82, 0, 82], &[pending, firing, resolved], "nor break the row"),
    ] {
        let mut replay = Replay::new(Policy::default());
        for successes in rates {
            replay.evaluate(&[rate(*successes)]);
        }
        assert_eq!(replay.events(), expect, "{rates:?}: {why}");
    }
}

#[test]
fn required_evaluations_are_configurable() {
    for (needed, evaluations, expect) in [
        (0, 1, &["pending medium found", "firing medium persisted"][..]),
        (1, 1, &["pending medium found", "firing medium persisted"]),
        (3, 2, &["pending medium found"]),
        (3, 3, &["pending medium found", "firing medium persisted"]),
    ] {
        let mut replay = Replay::new(Policy { needed, ..Policy::default() });
        for _ in 0..evaluations {
            replay.evaluate(&[rate(79)]);
        }
        assert_eq!(replay.events(), expect, "{needed}, {evaluations}");
    }
}

#[test]
fn reported_run_resolves_the_overdue_alert_at_once() {
    let late = |now: Timestamp| Lateness::Late { expected_at: now - TimeDelta::hours(2), since: now };
    let on_time = |now: Timestamp| Lateness::OnTime { due: now, deadline: now };
    let mut replay = Replay::new(Policy::default());
    let silence = |punctuality| Finding::overdue(pipeline(), source("punch"), punctuality, &Policy::default());
    for _ in 0..2 {
        replay.evaluate(&[silence(late(replay.now))]);
    }
    replay.evaluate(&[silence(on_time(replay.now))]);
    let expect = ["pending medium found", "firing medium persisted", "resolved medium recovered"];
    assert_eq!(replay.events(), expect);
}

#[test]
fn each_severity_must_persist() {
    let mut replay = Replay::new(Policy::default());
    for severity in [Low, Low, Medium, Medium, High] {
        replay.evaluate(&[finding("punch", Rule::Threshold, Verdict::unhealthy(severity))]);
    }
    assert_eq!(replay.events()[2..], ["firing medium escalated"]);
    replay.evaluate(&[finding("punch", Rule::Threshold, Verdict::unhealthy(High))]);
    assert_eq!(replay.events()[3..], ["firing high escalated"]);
}

#[test]
fn alert_without_a_finding_is_resolved() {
    let mut replay = Replay::new(Policy::default());
    replay.evaluate(&[rate(79)]);
    replay.evaluate(&[]);
    for _ in 0..2 {
        replay.evaluate(&[rate(79)]);
    }
    replay.evaluate(&[]);
    assert_eq!(
        replay.events(),
        [
            "pending medium found",
            "resolved medium vanished",
            "pending medium found",
            "firing medium persisted",
            "resolved medium unwatched",
        ]
    );
}

#[test]
fn duplicate_findings_give_one_alert_of_the_worse_severity() {
    let mut replay = Replay::new(Policy::default());
    replay.evaluate(&[rate(79), rate(90), rate(59), rate(0)]);
    assert_eq!(replay.events(), ["pending high found"]);
    assert_eq!(replay.open.len(), 1);
}

#[test]
fn only_a_firing_alert_can_be_acknowledged() {
    let mut replay = Replay::new(Policy::default());
    let refused = |replay: &Replay| acknowledge(&replay.open[0], "Ada".into(), None, replay.now).err();
    replay.evaluate(&[rate(79)]);
    assert_eq!(refused(&replay), Some(CannotAcknowledge(AlertState::Pending)));
    replay.evaluate(&[rate(79)]);
    replay.acknowledge();
    assert_eq!(refused(&replay), Some(CannotAcknowledge(AlertState::Acknowledged)));
    assert_eq!(replay.open[0].acknowledged.as_ref().map(|by| by.author.as_str()), Some("Ada"));
    for successes in [79, 59, 59, 90, 90] {
        replay.evaluate(&[rate(successes)]);
    }
    assert_eq!(
        replay.events()[2..],
        ["acknowledged medium acknowledged", "acknowledged high escalated", "resolved high recovered"]
    );
}

#[test]
fn alert_has_the_newest_message_and_its_start() {
    let mut replay = Replay::new(Policy::default());
    for successes in [79, 79, 70, 59, 59] {
        replay.evaluate(&[rate(successes)]);
    }
    let alert = replay.open[0].to_alert();
    assert!(alert.message.contains("59 of 100 succeeded in the window (59 %); the threshold is 60 %"), "{alert:?}");
    // Since the second evaluation: an escalation does not change the start.
    assert_eq!(crate::domain::time::rfc3339(alert.timestamp), "2026-03-01T00:01:00Z");
    assert_eq!((alert.kind, alert.state, alert.severity), (AlertType::Quality, AlertState::Firing, High));
}

#[test]
fn anomaly_ends_after_two_normal_hours_or_a_day() {
    let now = Replay::new(Policy::default()).now;
    for (severity, normal_since, hours, expect) in [
        (High, 0, 0, Some(High)),
        (High, 1, 2, Some(High)),
        (High, 2, 3, None),
        (High, 0, 23, Some(High)),
        (High, 0, 24, None),
        (Low, 0, 0, None),
    ] {
        let anomaly = AnomalousSeries {
            kind: AnomalyType::Volume,
            source: Some(source("punch")),
            series: "articles".into(),
            name: "articles".into(),
            severity,
            description: "3 articles where 40 were expected".into(),
            at: now - TimeDelta::hours(hours),
            normal_since,
        };
        let finding = Finding::anomaly(pipeline(), anomaly, now);
        assert_eq!(finding.verdict.severity(), expect, "{severity:?}, {normal_since} normal, {hours} h");
        assert_eq!(
            (finding.title.as_str(), finding.kind),
            (r#"Unusual number of articles from source "punch" of pipeline "default""#, AlertType::Volume)
        );
    }
}

#[test]
fn other_rules_give_findings() {
    let policy = Policy { dead_feed: High, server: Low, ..Policy::default() };
    let dead = DeadFeed { count: "articles".into(), last_non_empty: None, runs: 40, expected: 12.34 };
    let dead = Finding::dead_feed(pipeline(), source("punch"), Some(dead), &policy);
    assert_eq!((dead.verdict, dead.kind), (Verdict::unhealthy(High), AlertType::Volume));
    assert!(dead.message.starts_with("40 runs returned no data; 12.3 articles were"), "{}", dead.message);
    assert_eq!(Finding::dead_feed(pipeline(), source("punch"), None, &policy).verdict, Verdict::OK);
    let unknown = Finding::overdue(pipeline(), source("punch"), Lateness::Unknown, &policy);
    assert_eq!(unknown.verdict, Verdict::OK);
    let notifications =
        |problem: Option<&str>| SelfCheck { component: "notifications", problem: problem.map(Into::into) };
    let server = Finding::server(notifications(Some("3 receivers fail")), &policy);
    assert_eq!((server.verdict, server.kind), (Verdict::unhealthy(Low), AlertType::Server));
    assert_eq!(Finding::server(notifications(None), &policy).verdict, Verdict::OK);
}

#[test]
fn margin_is_limited_to_100_percent() {
    let check = |warning, successes| {
        let threshold = Threshold::new(warning, 60.0).expect("ordered");
        Verdict::of_rate(threshold, Counts::new(100, successes).expect("within bounds"), 2.0)
    };
    assert_eq!(check(99.0, 100), Verdict::OK);
    assert_eq!(check(99.0, 99), Verdict::Known { severity: None, not_recovered_from: Some(Medium) });
    assert_eq!(check(100.0, 100), Verdict::OK);
}

#[test]
fn fingerprints_depend_on_all_parts_and_are_stable() {
    let of = |rule, kind, source: Option<&str>, check: Option<&str>| {
        let source = source.map(|name| name.parse().expect("a source"));
        let subject = Subject { pipeline: Some(pipeline()), source, check: check.map(Into::into) };
        Fingerprint::of(rule, kind, &subject)
    };
    let all = [
        of(Rule::Threshold, AlertType::Quality, None, None),
        of(Rule::Anomaly, AlertType::Quality, None, None),
        of(Rule::Anomaly, AlertType::Volume, None, None),
        of(Rule::Anomaly, AlertType::Volume, Some("a"), None),
        of(Rule::Anomaly, AlertType::Volume, None, Some("a")),
        of(Rule::Anomaly, AlertType::Volume, None, Some("")),
        of(Rule::Anomaly, AlertType::Volume, Some("a"), Some("bc")),
        of(Rule::Anomaly, AlertType::Volume, Some("ab"), Some("c")),
        Fingerprint::of(Rule::Server, AlertType::Server, &Subject::server("notifications")),
    ];
    let distinct: std::collections::HashSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    // Later versions must recognise stored values.
    let stored = Fingerprint::from_stored("b0fc4bb2f6e34eb94e1c670b05d8da5d");
    assert_eq!(of(Rule::Overdue, AlertType::Overdue, Some("punch"), None), stored);
}

#[test]
fn active_alerts_affect_the_status() {
    use AlertState::{Acknowledged, Firing, Pending, Resolved};
    for (alerts, expect) in [
        (vec![], Health::Pending),
        (vec![(Pending, High), (Resolved, High)], Health::Pending),
        (vec![(Firing, Low)], Health::Pending),
        (vec![(Firing, Medium), (Pending, High)], Health::Warning),
        (vec![(Acknowledged, Medium)], Health::Warning),
        (vec![(Firing, Medium), (Acknowledged, High)], Health::Error),
    ] {
        assert_eq!(health_of(alerts.clone()), expect, "{alerts:?}");
    }
}

#[test]
fn silence_covers_matching_alerts_until_it_ends() {
    let mut replay = Replay::new(Policy::default());
    replay.evaluate(&[finding("punch", Rule::Overdue, Verdict::unhealthy(Medium))]);
    let (alert, now) = (&replay.open[0], replay.now);
    let labels = Labels::from([("team".to_owned(), "maps".to_owned())]);
    let minutes = |from: i64, until: i64| (now + TimeDelta::minutes(from), now + TimeDelta::minutes(until));
    let of = |rule: &str, pipeline: &str, source: &str, label: &str| Matcher {
        rule: (!rule.is_empty()).then(|| rule.parse().expect("a rule")),
        pipeline: (!pipeline.is_empty()).then(|| pipeline.parse().expect("a pipeline")),
        source: (!source.is_empty()).then(|| source.parse().expect("a source")),
        label: (!label.is_empty()).then(|| label.parse().expect("a label")),
    };
    for (matcher, span, expect) in [
        (of("overdue", "", "", ""), minutes(-1, 1), true),
        (of("dead_feed", "", "", ""), minutes(-1, 1), false),
        (of("", "default", "", ""), minutes(-1, 1), true),
        (of("", "other", "", ""), minutes(-1, 1), false),
        (of("", "", "punch", ""), minutes(-1, 1), true),
        (of("", "", "guardian", ""), minutes(-1, 1), false),
        (of("", "", "", "team=maps"), minutes(-1, 1), true),
        (of("", "", "", "team=news"), minutes(-1, 1), false),
        (of("", "", "", "owner=maps"), minutes(-1, 1), false),
        (of("overdue", "default", "punch", "team=maps"), minutes(-1, 1), true),
        (of("overdue", "default", "guardian", "team=maps"), minutes(-1, 1), false),
        (of("overdue", "", "", ""), minutes(0, 1), true),
        (of("overdue", "", "", ""), minutes(-1, 0), false),
        (of("overdue", "", "", ""), minutes(1, 2), false),
    ] {
        let silence = Silence::new(Uuid::nil(), matcher, span, "Ada", "moving").expect("a silence");
        assert_eq!(silence.covers(alert, &labels, now), expect, "{silence:?}");
    }
    let new = |matcher, span, author, reason| Silence::new(Uuid::nil(), matcher, span, author, reason).err();
    let by_rule = || of("overdue", "", "", "");
    assert_eq!(new(Matcher::default(), minutes(0, 1), "Ada", "x"), Some(InvalidSilence::MatchesAll));
    assert_eq!(new(by_rule(), minutes(1, 1), "Ada", "x"), Some(InvalidSilence::EndsBeforeItBegins));
    assert_eq!(new(by_rule(), minutes(0, 1), " ", "x"), Some(InvalidSilence::NoAuthor));
    assert_eq!(new(by_rule(), minutes(0, 1), "Ada", ""), Some(InvalidSilence::NoReason));
    assert_eq!("team".parse::<Label>(), Err(InvalidLabel));
    assert_eq!("=maps".parse::<Label>(), Err(InvalidLabel));
    assert_eq!("team = a=b".parse::<Label>().map(|label| label.to_string()), Ok("team=a=b".into()));
}

#[test]
fn subjects_are_displayed_from_part_to_whole() {
    for (subject, expect) in [
        (Subject::check(pipeline(), "geocoding"), "geocoding in default"),
        (Subject::source(pipeline(), source("punch")), "punch in default"),
        (Subject::server("notifications"), "notifications"),
    ] {
        assert_eq!(subject.to_string(), expect);
    }
}
