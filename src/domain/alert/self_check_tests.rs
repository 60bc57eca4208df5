use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

fn failing(seconds: i64) -> FailureStreak {
    let mut failing = FailureStreak::default();
    failing.record(false, at(seconds));
    failing.record(false, at(seconds + 30));
    failing
}

/// Expects no problem, or one whose message contains a text.
fn check(check: &SelfCheck, expect: Option<&str>, why: &str) {
    match (&check.problem, expect) {
        (None, None) => {}
        (Some(problem), Some(expect)) if problem.contains(expect) => {}
        _ => panic!("{why}: {check:?}"),
    }
}

#[test]
fn failures_are_reported_once_they_last() {
    let since = "since 2024-10-04T00:00:00Z";
    for (now, expect) in [(299, None), (300, Some(since)), (9_000, Some(since))] {
        let (failing, now) = (failing(0), at(now));
        check(&SelfCheck::closing(failing, now), expect, "closing");
        check(&SelfCheck::pruning(failing, now), expect, "pruning");
        let (took, every) = (TimeDelta::zero(), SLOW);
        check(&SelfCheck::evaluation(failing, &BTreeSet::new(), took, every, now), expect, "the evaluation");
    }
    let mut mended = failing(0);
    mended.record(true, at(400));
    check(&SelfCheck::closing(mended, at(500)), None, "mended");
    mended.record(false, at(500));
    check(&SelfCheck::closing(mended, at(799)), None, "a new failure");
}

#[test]
fn clock_skew_is_reported_with_its_size() {
    use crate::domain::clock_skew::Against;

    let skew = |seconds, against| Some(Skew { ahead: TimeDelta::seconds(seconds), against });
    for (skew, expect) in [
        (None, None),
        (skew(-300, Against::Database), Some("is 300 s behind the database's clock. Until")),
        (skew(40, Against::SteadyClock), Some("is 40 s ahead of the machine's steady clock (it was changed while")),
        (skew(-99, Against::NewestRow), Some("is 99 s behind the newest row of the database. Until")),
    ] {
        check(&SelfCheck::own_clock(skew), expect, "its own");
    }
}

#[test]
fn problems_of_other_servers_are_counted() {
    let report = |component: &str| PeerReport { component: component.into(), problem: "A is wrong.".into() };
    let own = |problem: Option<&str>| SelfCheck { component: "clock", problem: problem.map(str::to_owned) };
    for (problem, reports, expect) in [
        (None, &[][..], None),
        (None, &[report("commits")], None),
        (None, &[report("clock")], Some("Another server on this database reports: A is wrong.")),
        (None, &[report("clock"), report("commits"), report("clock")], Some("A is wrong. 1 more report the same.")),
        (Some("B is wrong."), &[report("clock")], Some("B is wrong.")),
    ] {
        check(&own(problem).with_reports(reports), expect, "reported");
    }
}

#[test]
fn missing_evaluation_is_reported() {
    let late = TimeDelta::seconds(60);
    for (last, age, expect) in [
        (None, 60, None),
        (None, 61, Some("Alert evaluation has not succeeded for 61 s; it is due within 60 s")),
        (Some(at(0)), 60, None),
        (Some(at(0)), 90, Some("succeeded at 2024-10-04T00:00:00Z, 90 s ago; it is due within 60 s")),
    ] {
        check(&SelfCheck::no_evaluation(last, TimeDelta::seconds(age), late), expect, "late");
    }
}

#[test]
fn failed_parts_are_named() {
    let failed = |count: u32| (0..count).map(|index| format!("p{index}")).collect::<BTreeSet<_>>();
    for (count, expect) in
        [(0, "evaluation has been"), (1, "evaluation of p0 has"), (5, "evaluation of p0, p1, p2 and 2 more has")]
    {
        let evaluation = SelfCheck::evaluation(failing(0), &failed(count), TimeDelta::zero(), SLOW, at(300));
        check(&evaluation, Some(expect), "named");
    }
}

#[test]
fn slow_evaluation_is_reported() {
    let late = Some("took 61 s but is due every 60 s");
    for (took, every, expect, why) in [
        (30, 30, None, "exactly the interval"),
        (31, 30, Some("took 31 s but is due every 30 s"), "longer"),
        (29, 1, None, "less than 30 s is never slow"),
        (60, 60, None, "a longer interval"),
        (61, 60, late, "a longer interval, exceeded"),
    ] {
        let (took, every) = (TimeDelta::seconds(took), TimeDelta::seconds(every));
        check(&SelfCheck::evaluation(FailureStreak::default(), &BTreeSet::new(), took, every, at(0)), expect, why);
    }
}

#[test]
fn outage_is_reported_after_its_end() {
    let outage = Some(Outage { from: at(0), to: at(600) });
    let reported = Some("from 2024-10-04T00:00:00Z to 2024-10-04T00:10:00Z");
    for (outage, now, expect) in
        [(None, 600, None), (outage, 600, reported), (outage, 1_499, reported), (outage, 1_500, None)]
    {
        check(&SelfCheck::outage(outage, at(now)), expect, "an outage");
    }
}

#[test]
fn undelivered_notifications_are_counted() {
    check(&SelfCheck::notifications(0, None), None, "none");
    check(
        &SelfCheck::notifications(2, Some(at(0))),
        Some("2 notifications are undelivered (the oldest since 2024-"),
        "two",
    );
}
