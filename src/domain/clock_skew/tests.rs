use proptest::prelude::*;

use super::*;

/// The proper time, in seconds after the begin of a test.
fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + TimeDelta::days(20_000) + TimeDelta::seconds(seconds)
}

/// What the machine shows after so many seconds when its clock is so far ahead.
fn reading(seconds: i64, ahead: i64) -> Reading {
    Reading { wall: at(seconds + ahead), steady: TimeDelta::seconds(seconds) }
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

/// The skew that is found, in seconds.
fn skew(judge: &mut ClockJudge, reading: Reading) -> Option<i64> {
    judge.judge(reading).skew.map(|skew| skew.ahead.num_seconds())
}

#[test]
fn more_than_half_a_minute_against_the_database_is_a_skew() {
    for ahead in [-120 * DAY, -2 * HOUR, -5 * MINUTE, -40, -31, -30, 0, 30, 31, 40, 5 * MINUTE, 2 * HOUR, 120 * DAY] {
        let mut judge = ClockJudge::default();
        judge.follow_database(at(0), reading(0, ahead), reading(0, ahead));
        for after in [0, 1, 3, HOUR, 2 * HOUR] {
            let judgement = judge.judge(reading(after, ahead));
            let expect = (ahead.abs() > 30).then_some(ahead);
            assert_eq!(judgement.skew.map(|skew| skew.ahead.num_seconds()), expect, "{ahead} s after {after} s");
            let now = if expect.is_some() { at(after) } else { at(after + ahead) };
            assert_eq!(judgement.now, now, "a skewed server works with the database's time: {ahead} s after {after} s");
        }
    }
}

#[test]
fn a_clock_that_is_set_is_found_at_once_and_trusted_again_when_it_is_set_right() {
    for shared in [true, false] {
        for ahead in [-2 * HOUR, -5 * MINUTE, 40, 2 * HOUR, 120 * DAY] {
            let mut judge = ClockJudge::default();
            if shared {
                judge.follow_database(at(0), reading(0, 0), reading(0, 0));
            } else {
                judge.follow_steady_clock(reading(0, 0), Some(at(-3)));
            }
            for (after, set, expect) in
                [(9, 0, None), (10, ahead, Some(ahead)), (20, ahead, Some(ahead)), (21, 0, None)]
            {
                assert_eq!(
                    skew(&mut judge, reading(after, set)),
                    expect,
                    "{ahead} s, shared: {shared}, after {after} s"
                );
                let now = judge.judge(reading(after, set)).now;
                assert_eq!(now, at(after), "the time goes on: {ahead} s, shared: {shared}, after {after} s");
            }
        }
    }
}

#[test]
fn a_slow_answer_of_the_database_accuses_nobody() {
    let mut judge = ClockJudge::default();
    // The answer took two minutes: the database's time is that of any moment in between.
    judge.follow_database(at(119), reading(0, 0), reading(120, 0));
    assert_eq!(skew(&mut judge, reading(121, 0)), None);
    assert_eq!(skew(&mut judge, reading(122, HOUR)), Some(HOUR - 59), "what is certain is found all the same");
    // An exact answer is kept for a minute where a vague one does not contradict it.
    judge.follow_database(at(130), reading(130, 0), reading(130, 0));
    judge.follow_database(at(150), reading(140, 0), reading(160, 0));
    assert_eq!(skew(&mut judge, reading(161, 31)), Some(31));
    // The database's clock was set.
    judge.follow_database(at(HOUR), reading(162, 0), reading(164, 0));
    assert_eq!(skew(&mut judge, reading(165, 0)), Some(163 - HOUR));
}

#[test]
fn a_server_of_its_own_believes_a_clock_that_runs_steadily_for_an_hour() {
    let mut judge = ClockJudge::default();
    judge.follow_steady_clock(reading(0, 0), None);
    assert_eq!(skew(&mut judge, reading(5 * HOUR, 0)), None);
    let set = 5 * HOUR + 1;
    for (after, expect) in [(set, Some(DAY)), (set + HOUR - 1, Some(DAY)), (set + HOUR, None), (set + 2 * HOUR, None)] {
        assert_eq!(skew(&mut judge, reading(after, DAY)), expect, "{after} s");
    }
    assert_eq!(skew(&mut judge, reading(set + 3 * HOUR, 0)), Some(-DAY), "and then it is set back");
}

#[test]
fn rows_of_the_future_are_a_skew_until_the_clock_reaches_them_or_an_hour_has_passed() {
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
        let mut judge = ClockJudge::default();
        judge.follow_steady_clock(reading(0, 0), Some(at(newest)));
        for (after, ahead, expect) in steps {
            assert_eq!(skew(&mut judge, reading(*after, *ahead)), *expect, "{why}: after {after} s");
        }
    }
}

#[test]
fn a_jump_is_confirmed_after_an_hour() {
    // Where the database's clock jumps along with the server's, no comparison finds it.
    let jump = 120 * DAY;
    let mut judge = ClockJudge::default();
    judge.follow_database(at(0), reading(0, 0), reading(0, 0));
    assert_eq!(judge.confirmed(reading(0, 0), None), at(0), "an empty database");
    let mut known = at(0);
    for (after, ahead, expect) in [
        (3, 0, 3),
        (2 * HOUR, 0, 2 * HOUR),
        (2 * HOUR + 3, jump, 2 * HOUR + 3),
        (3 * HOUR + 2, jump, 3 * HOUR + 2),
        (3 * HOUR + 3, jump, 3 * HOUR + 3 + jump),
        (3 * HOUR + 6, 0, 3 * HOUR + 6),
    ] {
        judge.follow_database(at(after + ahead), reading(after, ahead), reading(after, ahead));
        known = judge.confirmed(reading(after, ahead), Some(known));
        assert_eq!(known, at(expect), "after {after} s");
    }
    // A server that starts again and again with a clock that is ahead confirms no more than it runs.
    for start in 0..5 {
        let mut judge = ClockJudge::default();
        let begin = 4 * HOUR + start * MINUTE;
        judge.follow_steady_clock(reading(begin, jump), Some(at(begin)));
        judge.confirmed(reading(begin, jump), Some(known));
        let later = judge.confirmed(reading(begin + 50, jump), Some(known));
        assert_eq!(later, known + TimeDelta::seconds(50));
        known = later;
    }
}

proptest! {
    /// However the wall clock is set, a server that can ask the database is never off by more than what is tolerated.
    #[test]
    fn the_time_of_a_shared_database_is_never_left(
        steps in prop::collection::vec((1i64..100_000, -200 * DAY..200 * DAY, 0i64..5), 1..50),
    ) {
        let mut judge = ClockJudge::default();
        judge.follow_database(at(0), reading(0, 0), reading(0, 0));
        let mut now = 0;
        for (passed, ahead, answer) in steps {
            now += passed;
            let judgement = judge.judge(reading(now, ahead));
            prop_assert!((judgement.now - at(now)).abs() <= TOLERATED);
            prop_assert_eq!(judgement.skew.is_some(), ahead.abs() > 30);
            judge.follow_database(at(now + answer / 2), reading(now, ahead), reading(now + answer, ahead));
            now += answer;
        }
    }

    /// However the clock is set, the confirmed time gains nothing on the steady clock within an hour after it was set.
    #[test]
    fn the_confirmed_time_does_not_jump(
        shared in any::<bool>(), steps in prop::collection::vec((1i64..3_000, 40i64..200 * DAY), 2..50),
    ) {
        let mut judge = ClockJudge::default();
        judge.follow_steady_clock(reading(0, 0), None);
        let (mut now, mut known, mut total) = (0, at(0), 0);
        for (passed, ahead) in steps {
            now += passed;
            // Each time it is set further ahead, before an hour has passed.
            total += ahead;
            if shared {
                judge.follow_database(at(now + total), reading(now, total), reading(now, total));
            }
            known = judge.confirmed(reading(now, total), Some(known));
            prop_assert!(known <= at(now));
        }
    }
}
