use proptest::prelude::*;

use super::*;

/// The proper time, in seconds after the begin of a test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

/// The machine's clocks after this many seconds, with the wall clock this far ahead.
fn reading(seconds: i64, ahead: i64) -> Reading {
    Reading { wall: at(seconds + ahead), steady: TimeDelta::seconds(seconds) }
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The skew that is found, in seconds.
fn skew(monitor: &mut ClockMonitor, reading: Reading) -> Option<i64> {
    monitor.estimate(reading).skew.map(|skew| skew.ahead.num_seconds())
}

#[test]
fn more_than_30_seconds_against_the_database_is_a_skew() {
    for ahead in [-120 * DAY, -2 * HOUR, -5 * MINUTE, -40, -31, -30, 0, 30, 31, 40, 5 * MINUTE, 2 * HOUR, 120 * DAY] {
        let mut monitor = ClockMonitor::default();
        monitor.follow_database(at(0), reading(0, ahead), reading(0, ahead));
        for after in [0, 1, 3, HOUR, 2 * HOUR] {
            let estimate = monitor.estimate(reading(after, ahead));
            let expect = (ahead.abs() > 30).then_some(ahead);
            assert_eq!(estimate.skew.map(|skew| skew.ahead.num_seconds()), expect, "{ahead} s after {after} s");
            let now = if expect.is_some() { at(after) } else { at(after + ahead) };
            assert_eq!(estimate.now, now, "a skewed server works with the database's time: {ahead} s after {after} s");
        }
    }
}

#[test]
fn clock_jump_is_detected_at_once_and_trusted_after_correction() {
    for shared in [true, false] {
        for ahead in [-2 * HOUR, -5 * MINUTE, 40, 2 * HOUR, 120 * DAY] {
            let mut monitor = ClockMonitor::default();
            if shared {
                monitor.follow_database(at(0), reading(0, 0), reading(0, 0));
            } else {
                monitor.follow_steady_clock(reading(0, 0), Some(at(-3)));
            }
            for (after, set, expect) in
                [(9, 0, None), (10, ahead, Some(ahead)), (20, ahead, Some(ahead)), (21, 0, None)]
            {
                assert_eq!(
                    skew(&mut monitor, reading(after, set)),
                    expect,
                    "{ahead} s, shared: {shared}, after {after} s"
                );
                let now = monitor.estimate(reading(after, set)).now;
                assert_eq!(now, at(after), "time continues: {ahead} s, shared: {shared}, after {after} s");
            }
        }
    }
}

#[test]
fn slow_database_response_is_not_a_skew() {
    let mut monitor = ClockMonitor::default();
    // The answer took two minutes: the database's time is that of any moment in between.
    monitor.follow_database(at(119), reading(0, 0), reading(120, 0));
    assert_eq!(skew(&mut monitor, reading(121, 0)), None);
    assert_eq!(skew(&mut monitor, reading(122, HOUR)), Some(HOUR - 59), "a certain skew is found");
    // An exact answer is kept for a minute where a vague one does not contradict it.
    monitor.follow_database(at(130), reading(130, 0), reading(130, 0));
    monitor.follow_database(at(150), reading(140, 0), reading(160, 0));
    assert_eq!(skew(&mut monitor, reading(161, 31)), Some(31));
    // The database's clock was set.
    monitor.follow_database(at(HOUR), reading(162, 0), reading(164, 0));
    assert_eq!(skew(&mut monitor, reading(165, 0)), Some(163 - HOUR));
}

#[test]
fn steady_clock_is_trusted_after_an_hour_without_a_database_server() {
    let mut monitor = ClockMonitor::default();
    monitor.follow_steady_clock(reading(0, 0), None);
    assert_eq!(skew(&mut monitor, reading(5 * HOUR, 0)), None);
    let set = 5 * HOUR + 1;
    for (after, expect) in [(set, Some(DAY)), (set + HOUR - 1, Some(DAY)), (set + HOUR, None), (set + 2 * HOUR, None)] {
        assert_eq!(skew(&mut monitor, reading(after, DAY)), expect, "{after} s");
    }
    assert_eq!(skew(&mut monitor, reading(set + 3 * HOUR, 0)), Some(-DAY), "and then it is set back");
}

#[test]
fn future_rows_are_a_skew_until_reached_or_for_an_hour() {
    for (newest, steps, why) in [
        (-10 * DAY, &[(0, 0, None), (10, 0, None)][..], "a long downtime"),
        (30, &[(0, 0, None), (10, 0, None)], "tolerated"),
        (50, &[(0, 0, Some(-50)), (19, 0, Some(-31)), (20, 0, None), (60, 0, None)], "soon reached"),
        (
            2 * HOUR,
            &[(0, 0, Some(-2 * HOUR)), (9, 0, Some(9 - 2 * HOUR)), (10, 2 * HOUR, None), (99, 2 * HOUR, None)],
            "set",
        ),
        (2 * HOUR, &[(0, 0, Some(-2 * HOUR)), (HOUR - 1, 0, Some(-1 - HOUR)), (HOUR, 0, None)], "confirmed"),
    ] {
        let mut monitor = ClockMonitor::default();
        monitor.follow_steady_clock(reading(0, 0), Some(at(newest)));
        for (after, ahead, expect) in steps {
            assert_eq!(skew(&mut monitor, reading(*after, *ahead)), *expect, "{why}: after {after} s");
        }
    }
}

#[test]
fn jump_is_confirmed_after_an_hour() {
    // Where the database's clock jumps along with the server's, no comparison finds it.
    let jump = 120 * DAY;
    let mut monitor = ClockMonitor::default();
    monitor.follow_database(at(0), reading(0, 0), reading(0, 0));
    assert_eq!(monitor.confirmed(reading(0, 0), None), at(0), "an empty database");
    let mut known = at(0);
    for (after, ahead, expect) in [
        (3, 0, 3),
        (2 * HOUR, 0, 2 * HOUR),
        (2 * HOUR + 3, jump, 2 * HOUR + 3),
        (3 * HOUR + 2, jump, 3 * HOUR + 2),
        (3 * HOUR + 3, jump, 3 * HOUR + 3 + jump),
        (3 * HOUR + 6, 0, 3 * HOUR + 6),
    ] {
        monitor.follow_database(at(after + ahead), reading(after, ahead), reading(after, ahead));
        known = monitor.confirmed(reading(after, ahead), Some(known));
        assert_eq!(known, at(expect), "after {after} s");
    }
    // A server that starts again and again with a clock that is ahead confirms no more than it runs.
    for start in 0..5 {
        let mut monitor = ClockMonitor::default();
        let begin = 4 * HOUR + start * MINUTE;
        monitor.follow_steady_clock(reading(begin, jump), Some(at(begin)));
        monitor.confirmed(reading(begin, jump), Some(known));
        let later = monitor.confirmed(reading(begin + 50, jump), Some(known));
        assert_eq!(later, known + TimeDelta::seconds(50));
        known = later;
    }
}

proptest! {
    /// However the wall clock is set, a server that can reach the database is never off by more than the tolerance.
    #[test]
    fn time_of_a_shared_database_stays_the_reference(
        steps in prop::collection::vec((1i64..100_000, -200 * DAY..200 * DAY, 0i64..5), 1..50),
    ) {
        let mut monitor = ClockMonitor::default();
        monitor.follow_database(at(0), reading(0, 0), reading(0, 0));
        let mut now = 0;
        for (passed, ahead, answer) in steps {
            now += passed;
            let estimate = monitor.estimate(reading(now, ahead));
            prop_assert!((estimate.now - at(now)).abs() <= MAX_SKEW);
            prop_assert_eq!(estimate.skew.is_some(), ahead.abs() > 30);
            monitor.follow_database(at(now + answer / 2), reading(now, ahead), reading(now + answer, ahead));
            now += answer;
        }
    }

    /// However the clock is set, the confirmed time gains nothing on the steady clock within an hour after it was set.
    #[test]
    fn confirmed_time_does_not_jump(
        shared in any::<bool>(), steps in prop::collection::vec((1i64..3_000, 40i64..200 * DAY), 2..50),
    ) {
        let mut monitor = ClockMonitor::default();
        monitor.follow_steady_clock(reading(0, 0), None);
        let (mut now, mut known, mut total) = (0, at(0), 0);
        for (passed, ahead) in steps {
            now += passed;
            // Each time it is set further ahead, before an hour has passed.
            total += ahead;
            if shared {
                monitor.follow_database(at(now + total), reading(now, total), reading(now, total));
            }
            known = monitor.confirmed(reading(now, total), Some(known));
            prop_assert!(known <= at(now));
        }
    }
}
