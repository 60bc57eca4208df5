use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

fn failing(seconds: i64) -> Failing {
    let mut failing = Failing::default();
    failing.tried(false, at(seconds));
    failing.tried(false, at(seconds + 30));
    failing
}

/// `None` when it is well, else whether the sentence has this in it.
fn check(trouble: &Trouble, expect: Option<&str>, why: &str) {
    match (&trouble.wrong, expect) {
        (None, None) => {}
        (Some(wrong), Some(expect)) if wrong.contains(expect) => {}
        _ => panic!("{why}: {trouble:?}"),
    }
}

#[test]
fn what_fails_is_told_when_it_lasts() {
    let since = "since 2024-10-04T00:00:00Z";
    for (now, expect) in [(299, None), (300, Some(since)), (9_000, Some(since))] {
        let (failing, now) = (failing(0), at(now));
        check(&Trouble::closing(failing, now), expect, "closing");
        check(&Trouble::pruning(failing, now), expect, "pruning");
        let (took, every) = (TimeDelta::zero(), SLOW);
        check(&Trouble::evaluation(failing, &BTreeSet::new(), took, every, now), expect, "the evaluation");
    }
    let mut mended = failing(0);
    mended.tried(true, at(400));
    check(&Trouble::closing(mended, at(500)), None, "mended");
    mended.tried(false, at(500));
    check(&Trouble::closing(mended, at(799)), None, "failing anew");
}

#[test]
fn wrong_clocks_are_named_with_how_wrong_they_are() {
    use crate::domain::clock_skew::Against;

    let skew = |seconds, against| Some(Skew { ahead: TimeDelta::seconds(seconds), against });
    for (skew, expect) in [
        (None, None),
        (skew(-300, Against::Database), Some("is 300 s behind the database's clock. Until")),
        (skew(40, Against::SteadyClock), Some("is 40 s ahead of the machine's steady clock: it was set while")),
        (skew(-99, Against::NewestRow), Some("is 99 s behind the newest row of the database. Until")),
    ] {
        check(&Trouble::own_clock(skew), expect, "its own");
    }
}

#[test]
fn what_other_servers_report_is_told_with_how_many_they_are() {
    let report = |part: &str| Report { part: part.into(), wrong: "A is wrong.".into() };
    let own = |wrong: Option<&str>| Trouble { part: "clock", wrong: wrong.map(str::to_owned) };
    for (wrong, reports, expect) in [
        (None, &[][..], None),
        (None, &[report("commits")], None),
        (None, &[report("clock")], Some("Another server on this database reports: A is wrong.")),
        (None, &[report("clock"), report("commits"), report("clock")], Some("A is wrong. 1 more report the same.")),
        (Some("B is wrong."), &[report("clock")], Some("B is wrong.")),
    ] {
        check(&own(wrong).with_reports(reports), expect, "reported");
    }
}

#[test]
fn an_evaluation_that_does_not_come_is_told() {
    let late = TimeDelta::seconds(60);
    for (last, age, expect) in [
        (None, 60, None),
        (None, 61, Some("No evaluation has succeeded for 61 s; one is due within 60 s")),
        (Some(at(0)), 60, None),
        (Some(at(0)), 90, Some("was at 2024-10-04T00:00:00Z, 90 s ago; one is due within 60 s")),
    ] {
        check(&Trouble::no_evaluation(last, TimeDelta::seconds(age), late), expect, "late");
    }
}

#[test]
fn what_fails_is_named() {
    let failed = |count: u32| (0..count).map(|index| format!("p{index}")).collect::<BTreeSet<_>>();
    for (count, expect) in [(0, "00Z: alerts"), (1, "00Z of p0: alerts"), (5, "00Z of p0, p1, p2 and 2 more: alerts")] {
        let trouble = Trouble::evaluation(failing(0), &failed(count), TimeDelta::zero(), SLOW, at(300));
        check(&trouble, Some(expect), "named");
    }
}

#[test]
fn an_evaluation_that_does_not_keep_pace_is_told() {
    let late = Some("took 61 s and is due every 60 s");
    for (took, every, expect, why) in [
        (30, 30, None, "as long as there is"),
        (31, 30, Some("took 31 s and is due every 30 s"), "longer"),
        (29, 1, None, "nobody minds half a minute"),
        (60, 60, None, "rarer"),
        (61, 60, late, "rarer, and longer"),
    ] {
        let (took, every) = (TimeDelta::seconds(took), TimeDelta::seconds(every));
        check(&Trouble::evaluation(Failing::default(), &BTreeSet::new(), took, every, at(0)), expect, why);
    }
}

#[test]
fn a_time_without_an_evaluation_is_told_when_it_is_over() {
    let outage = Some(Outage { from: at(0), to: at(600) });
    let told = Some("from 2024-10-04T00:00:00Z to 2024-10-04T00:10:00Z");
    for (outage, now, expect) in [(None, 600, None), (outage, 600, told), (outage, 1_499, told), (outage, 1_500, None)]
    {
        check(&Trouble::outage(outage, at(now)), expect, "an outage");
    }
}

#[test]
fn notices_are_counted() {
    check(&Trouble::notifications(0, None), None, "none");
    check(
        &Trouble::notifications(2, Some(at(0))),
        Some("2 notifications could not be delivered, the oldest since 2024-"),
        "two",
    );
}
