use super::*;
use crate::domain::time::{parse_rfc3339, rfc3339};
use proptest::prelude::*;

fn instant(text: &str) -> Timestamp {
    parse_rfc3339(&format!("2026-{text}Z")).expect("an instant")
}

fn cadence(expectation: Option<&str>, last_run: Option<&str>) -> Cadence {
    Cadence {
        expected: expectation.map(|text| text.parse().expect("a schedule")),
        grace: None,
        inferred_interval: None,
        last_run: last_run.map(instant),
        since: instant("01-01T00:00:00"),
    }
}

/// `-` for unknown, the deadline when it is on time, and what it missed when it is late.
fn check(cadence: &Cadence, outages: &Outages, now: &str) -> String {
    match lateness(cadence, outages, instant(now)) {
        Lateness::Unknown => "-".into(),
        Lateness::OnTime { deadline, .. } => format!("by {}", &rfc3339(deadline)[5..16]),
        Lateness::Late { expected_at, since } => {
            format!("{} late since {}", &rfc3339(expected_at)[5..16], &rfc3339(since)[5..16])
        }
    }
}

#[test]
fn source_is_late_after_its_grace_period() {
    let hourly = || cadence(Some("1h"), Some("03-01T10:00:00"));
    let daily = || cadence(Some("CRON_TZ=Africa/Lagos 0 6 * * *"), Some("03-01T05:20:00"));
    for (cadence, now, expect) in [
        (hourly(), "03-01T10:00:00", "by 03-01T11:30"),
        (hourly(), "03-01T11:30:00", "by 03-01T11:30"),
        (hourly(), "03-01T11:30:01", "03-01T11:00 late since 03-01T11:30"),
        (hourly(), "03-09T00:00:00", "03-01T11:00 late since 03-01T11:30"),
        (
            Cadence { grace: Grace::new(TimeDelta::zero()), ..hourly() },
            "03-01T11:00:01",
            "03-01T11:00 late since 03-01T11:00",
        ),
        // Never ran: since it was registered.
        (cadence(Some("1h"), None), "01-01T01:30:00", "by 01-01T01:30"),
        (cadence(Some("1h"), None), "01-01T01:31:00", "01-01T01:00 late since 01-01T01:30"),
        // Enabled again after its last run.
        (Cadence { since: instant("03-02T00:00:00"), ..hourly() }, "03-02T01:00:00", "by 03-02T01:30"),
        // 06:00 in Lagos is 05:00 UTC.
        (daily(), "03-02T06:00:00", "by 03-02T06:00"),
        (daily(), "03-02T06:00:01", "03-02T05:00 late since 03-02T06:00"),
        (daily(), "03-05T00:00:00", "03-02T05:00 late since 03-02T06:00"),
        // A clock that is half a minute slow ends today's run before today's time.
        (cadence(Some("0 6 * * *"), Some("03-01T05:59:30")), "03-01T08:00:00", "by 03-02T07:00"),
        (cadence(Some("0 6 * * *"), Some("03-01T05:58:00")), "03-01T08:00:00", "03-01T06:00 late since 03-01T07:00"),
        // Without a schedule: inferred, or unknown.
        (cadence(None, Some("03-01T10:00:00")), "04-01T00:00:00", "-"),
        (
            Cadence { inferred_interval: Some(TimeDelta::hours(3)), ..cadence(None, Some("03-01T10:00:00")) },
            "03-01T13:00:00",
            "by 03-01T13:00",
        ),
        (
            Cadence { inferred_interval: Some(TimeDelta::hours(3)), ..cadence(None, Some("03-01T10:00:00")) },
            "03-01T13:00:01",
            "03-01T13:00 late since 03-01T13:00",
        ),
        // What was set wins over what was learned.
        (Cadence { inferred_interval: Some(TimeDelta::minutes(5)), ..hourly() }, "03-01T11:00:00", "by 03-01T11:30"),
    ] {
        assert_eq!(check(&cadence, &Outages::none(), now), expect, "{cadence:?} at {now}");
    }
}

#[test]
fn outages_do_not_make_sources_late() {
    let down = |from: &str, to: &str| Outages::new([Outage { from: instant(from), to: instant(to) }], STARTUP_GRACE);
    let hourly = || cadence(Some("1h"), Some("03-01T10:00:00"));
    let daily = || cadence(Some("0 6 * * *"), Some("02-28T06:10:00"));
    for (cadence, outages, now, expect) in [
        // Ten minutes down are ten minutes more.
        (hourly(), down("03-01T10:30:00", "03-01T10:40:00"), "03-01T11:40:00", "by 03-01T11:40"),
        // Down for a week: what was left of its hour and a half is left still.
        (hourly(), down("03-01T11:00:00", "03-08T11:00:00"), "03-08T11:20:00", "by 03-08T11:30"),
        // It would have been late a moment after the stop: the grace of the start.
        (hourly(), down("03-01T11:29:59", "03-02T00:00:00"), "03-02T00:05:00", "by 03-02T00:05"),
        // It was late before the stop, and stays so through the restart.
        (hourly(), down("03-01T12:00:00", "03-02T00:00:00"), "03-02T00:00:01", "03-01T11:00 late since 03-01T11:30"),
        // A due instant within the outage: its grace begins when the server is back.
        (daily(), down("03-01T05:00:00", "03-01T09:00:00"), "03-01T10:00:00", "by 03-01T10:00"),
        (daily(), down("03-01T05:00:00", "03-01T09:00:00"), "03-01T10:00:01", "03-01T06:00 late since 03-01T10:00"),
        // An outage before it was due costs nothing.
        (daily(), down("03-01T04:00:00", "03-01T05:00:00"), "03-01T07:00:00", "by 03-01T07:00"),
        // Several dates missed between evaluations count as one.
        (daily(), down("03-01T05:00:00", "03-04T09:00:00"), "03-04T10:00:01", "03-01T06:00 late since 03-04T10:00"),
    ] {
        assert_eq!(check(&cadence, &outages, now), expect, "{cadence:?}, {outages:?} at {now}");
    }
}

/// A source that runs at every time of its schedule is never late in the nights when clocks are set, and one that stops
/// is late once.
#[test]
fn clock_changes_neither_hide_nor_cause_lateness() {
    for (text, from, days) in [
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "03-27T00:00:00", 4),
        ("CRON_TZ=Europe/Berlin 30 2 * * *", "10-23T00:00:00", 4),
        ("CRON_TZ=Europe/Berlin 0 * * * *", "03-28T00:00:00", 2),
        ("CRON_TZ=Europe/Berlin 0 * * * *", "10-24T00:00:00", 2),
        ("CRON_TZ=America/New_York 30 2 * * *", "03-06T00:00:00", 4),
        ("CRON_TZ=America/New_York 30 1 * * *", "10-30T00:00:00", 4),
        ("CRON_TZ=America/New_York */15 1-3 * * *", "03-07T00:00:00", 2),
        ("CRON_TZ=Africa/Lagos 30 2 * * *", "03-27T00:00:00", 4),
    ] {
        let expectation: ExpectedSchedule = text.parse().unwrap();
        let (start, span) = (instant(from), TimeDelta::days(days));
        let mut cadence = cadence(Some(text), None);
        cadence.since = start;
        let mut now = start;
        while now < start + span {
            // Runs take a minute.
            let ran = expectation.next_due(cadence.last_run.unwrap_or(start)).filter(|due| *due + EARLY <= now);
            cadence.last_run = ran.map(|due| due + EARLY).or(cadence.last_run);
            let judged = lateness(&cadence, &Outages::none(), now);
            assert!(matches!(judged, Lateness::OnTime { .. }), "{text} at {now}: {judged:?}");
            now += TimeDelta::minutes(15);
        }
        // It stops: once late, it stays late for the same reason.
        let mut late: Vec<Lateness> = Vec::new();
        cadence.last_run = None;
        let mut now = start;
        while now < start + span {
            let judged = lateness(&cadence, &Outages::none(), now);
            if matches!(judged, Lateness::Late { .. }) {
                late.push(judged);
            }
            now += TimeDelta::minutes(15);
        }
        assert!(!late.is_empty(), "{text}: never found late");
        late.dedup();
        assert_eq!(late.len(), 1, "{text}: {late:?}");
    }
}

proptest! {
    /// Once late, a source stays late until it runs; a newer run never makes it later.
    #[test]
    fn lateness_ends_only_with_a_run(
        last in 0i64..10_000, later in 0i64..10_000, now in 0i64..100_000, waited in 0i64..100_000,
        down in 0i64..50_000, long in 0i64..5_000,
        expectation in prop::sample::select(vec!["90m", "10m", "CRON_TZ=Europe/Berlin 30 2 * * *", "*/20 * * * *"]),
    ) {
        let at = |minutes: i64| instant("03-20T00:00:00") + TimeDelta::minutes(minutes);
        let outages = Outages::new([Outage { from: at(down), to: at(down + long) }], STARTUP_GRACE);
        let one = Cadence { last_run: Some(at(last)), ..cadence(Some(expectation), None) };
        let is_late = |cadence: &Cadence, now| matches!(lateness(cadence, &outages, now), Lateness::Late { .. });
        if is_late(&one, at(now)) {
            prop_assert!(is_late(&one, at(now + waited)));
        }
        let two = Cadence { last_run: Some(at(last + later)), ..one.clone() };
        if is_late(&two, at(now)) {
            prop_assert!(is_late(&one, at(now)));
        }
    }
}
