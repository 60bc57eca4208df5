use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::domain::time::{parse_rfc3339, rfc3339};

const ZONES: [&str; 8] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Africa/Lagos",
    "Australia/Lord_Howe",
    "America/Santiago",
    "America/St_Johns",
    "Pacific/Apia",
];

fn instant(text: &str) -> Timestamp {
    parse_rfc3339(text).expect("an instant")
}

#[test]
fn patterns_that_never_match_are_rejected_quickly() {
    let never = [
        "0 0 30 2 *",
        "0 0 31 2 *",
        "0 0 30,31 2 *",
        "0 0 31 4,6,9,11 *",
        "0 0 31 4 *",
        "0 0 31 APR,JUN,SEP,NOV *",
        "* * 30-31 2 *",
        "*/5 * 31 4-4,6-6 *",
        "0 0 30W 2 *",
        "0 0 31W 4,6,9,11 *",
        "0 0 31 4 +MON",
        "0 0 30 2 +1-5",
        // The fifth of a weekday falls on the 29th to 31st.
        "0 0 1-28 * +1#5",
        "0 0 8-31 * +1#1",
        "0 0 1-21 * +5L",
        "0 0 29 2 +1#4",
        // Fields without a value.
        ", * * * *",
        "* , * * *",
        "0 0 , * +1",
        "0 0 * , *",
    ];
    let begun = Instant::now();
    let mut count = 0;
    let in_zones = never.iter().flat_map(|pattern| ZONES.map(|zone| (*pattern, zone)));
    for (pattern, zone) in in_zones {
        let refused = Schedule::new(pattern, zone).map(drop);
        assert_eq!(refused, Err(InvalidSchedule::NeverDue), "{zone} {pattern}");
        count += 1;
    }
    assert!(count > 150);
    // An unoptimised build on a busy machine takes a second; a search without a horizon takes minutes.
    assert!(begun.elapsed() < Duration::from_secs(20), "{count} patterns in {:?}", begun.elapsed());
}

#[test]
fn rare_patterns_match() {
    for (pattern, after, due) in [
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 29 2 *", "2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"),
        ("0 0 29 2 +MON", "2026-01-01T00:00:00Z", "2044-02-29T00:00:00Z"),
        ("0 0 29 2 +MON", "2072-02-29T00:00:00Z", "2112-02-29T00:00:00Z"),
        ("0 0 29W 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 * 2 0#5", "2026-01-01T00:00:00Z", "2032-02-29T00:00:00Z"),
        ("0 0 31 1,4 *", "2026-02-01T00:00:00Z", "2027-01-31T00:00:00Z"),
        ("0 0 L 2 *", "2026-01-01T00:00:00Z", "2026-02-28T00:00:00Z"),
        ("0 0 LW 2 *", "2026-01-01T00:00:00Z", "2026-02-27T00:00:00Z"),
        ("0 0 30 2 MON", "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z"),
        ("30 6 * * FRI#L", "2026-01-01T00:00:00Z", "2026-01-30T06:30:00Z"),
    ] {
        let schedule = Schedule::new(pattern, "UTC").unwrap_or_else(|error| panic!("{pattern}: {error}"));
        assert_eq!(schedule.next_after(instant(after)).map(rfc3339).as_deref(), Some(due), "{pattern}");
    }
}

#[test]
fn search_ends_with_the_calendar() {
    for zone in ZONES {
        let schedule = Schedule::new("0 0 29 2 *", zone).expect("a pattern");
        assert_eq!(schedule.next_after(Timestamp::MAX_UTC), None);
        assert!(schedule.next_after(Timestamp::MIN_UTC + TimeDelta::days(400)).is_some());
    }
}

/// A clock that goes back over midnight repeats the end of a day and the beginning of the next one.
#[test]
fn minute_patterns_continue_when_the_clock_is_set_back() {
    for (zone, before) in [
        ("America/St_Johns", "2008-11-02T01:00:00Z"),
        ("Europe/Berlin", "2026-10-24T23:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T13:00:00Z"),
    ] {
        let schedule = Schedule::new("*/10 * * * *", zone).expect("a pattern");
        let mut at = instant(before);
        for _ in 0..36 {
            let next = schedule.next_after(at).expect("due");
            assert_eq!(next - at, TimeDelta::minutes(10), "{zone} after {at}");
            at = next;
        }
    }
}

fn field(values: std::ops::Range<u32>) -> impl Strategy<Value = String> {
    prop_oneof![
        3 => values.clone().prop_map(|value| value.to_string()),
        2 => Just("*".to_owned()),
        1 => (values.clone(), values).prop_map(|(one, two)| format!("{one},{two}")),
        1 => (2u32..20).prop_map(|step| format!("*/{step}")),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let weekday = prop_oneof![3 => Just("*".to_owned()), 1 => field(0..7), 1 => (0u32..7, 1u32..5).prop_map(|(day, nth)| format!("{day}#{nth}"))];
    (field(0..60), field(0..24), field(1..29), field(1..13), weekday)
        .prop_map(|(minute, hour, day, month, weekday)| format!("{minute} {hour} {day} {month} {weekday}"))
}

proptest! {
    /// croner searches second by second; this search finds what it finds.
    #[test]
    fn due_instants_match_croner(
        pattern in pattern(), zone in prop::sample::select(&ZONES[..]), minutes in 0i64..(25 * 366 * 24 * 60), seconds in 0i64..60,
    ) {
        let Ok(schedule) = Schedule::new(&pattern, zone) else { return Ok(()) };
        let base = instant("2005-01-01T00:00:00Z") + TimeDelta::minutes(minutes) + TimeDelta::seconds(seconds);
        let found = schedule.cron.find_next_occurrence(&base.with_timezone(&schedule.zone), false);
        prop_assert_eq!(schedule.next_after(base), found.ok().map(|due| due.to_utc()), "{} {} after {}", zone, pattern, base);
    }

    /// The same in the hours around a clock that is set.
    #[test]
    fn due_instants_match_croner_at_clock_changes(
        minute in field(0..60), hour in field(0..4), change in 0usize..8, minutes in 0i64..(48 * 60),
    ) {
        let (zone, around) = [
            ("Europe/Berlin", "2026-03-28T00:00:00Z"), ("Europe/Berlin", "2026-10-24T00:00:00Z"),
            ("America/New_York", "2026-03-07T05:00:00Z"), ("America/New_York", "2026-10-31T05:00:00Z"),
            ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"), ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
            ("America/Santiago", "2026-04-04T12:00:00Z"), ("America/Santiago", "2026-09-05T12:00:00Z"),
        ][change];
        let schedule = Schedule::new(&format!("{minute} {hour} * * *"), zone).expect("a pattern");
        let base = instant(around) + TimeDelta::minutes(minutes);
        let found = schedule.cron.find_next_occurrence(&base.with_timezone(&schedule.zone), false);
        prop_assert_eq!(schedule.next_after(base), found.ok().map(|due| due.to_utc()), "{} after {}", zone, base);
    }
}
