use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;

use crate::domain::freshness::Schedule;
use crate::domain::time::Timestamp;

/// The longest period and the longest grace: a yearly feed with a month to spare.
const MAX_SPAN: TimeDelta = TimeDelta::days(400);
/// What stands before a pattern to name its time zone, as in crontab(5) of cronie.
const ZONE_PREFIX: &str = "CRON_TZ=";

/// How often a source is expected to run.
///
/// As text, in reports and in the database alike: seconds (`3600`), a duration (`1h 30m`), or five fields of cron
/// (`0 6 * * *`, `@daily`) in UTC unless `CRON_TZ=Africa/Lagos ` stands before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expectation {
    /// Within this long of the run before.
    Every(TimeDelta),
    /// At these times of the clock on somebody's wall.
    Cron(Schedule),
}

/// How long after it is due a run may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(TimeDelta);

/// A text that is no expectation, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadExpectation {
    /// Neither of the two.
    #[error(
        "neither a duration (`3600`, `1h 30m`) nor cron of five fields (`0 6 * * *`, `CRON_TZ=Africa/Lagos 0 6 * * *`)"
    )]
    Unreadable,
    /// A duration out of range.
    #[error("a duration is whole seconds, at least {min} s and at most 400 days")]
    OutOfRange {
        /// The least, in seconds.
        min: u8,
    },
    /// A time zone that the IANA database does not have.
    #[error("no time zone of the IANA database: `{0}`")]
    NoSuchZone(String),
    /// A pattern that cannot be read.
    #[error("no cron pattern of five fields: {0}")]
    BadPattern(String),
    /// A pattern of days that no calendar has.
    #[error("this cron pattern never comes due; check its day of the month, month and weekday")]
    NeverDue,
}

impl Expectation {
    /// When a run is due after `base`. `None` where the calendar ends.
    pub fn next_due(&self, base: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(period) => base.checked_add_signed(*period),
            Self::Cron(schedule) => schedule.next_after(base),
        }
    }
}

impl FromStr for Expectation {
    type Err = BadExpectation;

    fn from_str(text: &str) -> Result<Self, BadExpectation> {
        let text = text.trim();
        if let Some(span) = read_duration(text) {
            return in_range(span, 1).map(Self::Every);
        }
        let (zone, pattern) = match text.strip_prefix(ZONE_PREFIX) {
            Some(rest) => rest.split_once(char::is_whitespace).ok_or(BadExpectation::Unreadable)?,
            None => ("UTC", text),
        };
        if !pattern.starts_with('@') && pattern.split_whitespace().count() < 5 {
            return Err(BadExpectation::Unreadable);
        }
        Schedule::new(pattern, zone).map(Self::Cron)
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(period) => write!(f, "{}", period.num_seconds()),
            Self::Cron(schedule) => write!(f, "{ZONE_PREFIX}{} {}", schedule.zone(), schedule.pattern()),
        }
    }
}

impl Grace {
    /// `None` unless it is 0 to 400 days.
    pub fn new(span: TimeDelta) -> Option<Self> {
        (TimeDelta::zero() <= span && span <= MAX_SPAN).then_some(Self(span))
    }

    /// What is granted where nothing was set: half of the period, at least a minute and at most an hour. A run of cron
    /// is due when it begins and known when it has ended, so the grace has to hold its duration.
    pub fn of_period(period: TimeDelta) -> Self {
        Self((period / 2).clamp(TimeDelta::minutes(1), TimeDelta::hours(1)))
    }

    /// How long.
    pub fn get(self) -> TimeDelta {
        self.0
    }
}

impl FromStr for Grace {
    type Err = BadExpectation;

    fn from_str(text: &str) -> Result<Self, BadExpectation> {
        let span = read_duration(text.trim()).ok_or(BadExpectation::Unreadable)?;
        in_range(span, 0).map(Self)
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.num_seconds())
    }
}

/// Seconds, or what humantime reads.
fn read_duration(text: &str) -> Option<std::time::Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are a duration all the same, and one that is too long.
        return Some(std::time::Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    humantime::parse_duration(text).ok()
}

fn in_range(span: std::time::Duration, min: u8) -> Result<TimeDelta, BadExpectation> {
    TimeDelta::from_std(span)
        .ok()
        .filter(|span| span.subsec_nanos() == 0)
        .filter(|span| TimeDelta::seconds(min.into()) <= *span && *span <= MAX_SPAN)
        .ok_or(BadExpectation::OutOfRange { min })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{parse_rfc3339, rfc3339};
    use proptest::prelude::*;

    #[test]
    fn an_expectation_is_a_duration_or_cron() {
        let bad_pattern = |text: &str| matches!(text.parse::<Expectation>(), Err(BadExpectation::BadPattern(_)));
        for (text, expect) in [
            ("3600", Ok("3600")),
            (" 1h ", Ok("3600")),
            ("1h 30m", Ok("5400")),
            ("400days", Ok("34560000")),
            ("0 6 * * *", Ok("CRON_TZ=UTC 0 6 * * *")),
            ("CRON_TZ=Africa/Lagos 0  6 * * MON-FRI", Ok("CRON_TZ=Africa/Lagos 0 6 * * MON-FRI")),
            ("@daily", Ok("CRON_TZ=UTC @daily")),
            ("0", Err(BadExpectation::OutOfRange { min: 1 })),
            ("401days", Err(BadExpectation::OutOfRange { min: 1 })),
            ("99999999999999999999999", Err(BadExpectation::OutOfRange { min: 1 })),
            ("1500ms", Err(BadExpectation::OutOfRange { min: 1 })),
            ("", Err(BadExpectation::Unreadable)),
            ("-5", Err(BadExpectation::Unreadable)),
            ("often", Err(BadExpectation::Unreadable)),
            ("* * * *", Err(BadExpectation::Unreadable)),
            ("CRON_TZ=UTC", Err(BadExpectation::Unreadable)),
            ("CRON_TZ=Mars/Olympus 0 6 * * *", Err(BadExpectation::NoSuchZone("Mars/Olympus".into()))),
            ("0 0 30 2 *", Err(BadExpectation::NeverDue)),
        ] {
            assert_eq!(text.parse::<Expectation>().map(|read| read.to_string()), expect.map(str::to_owned), "{text:?}");
        }
        for text in ["60 6 * * *", "0 0 6 * * *", "a b c d e", "@sometimes", "0 6 * * ü", "0 6 * * * 2026 7"] {
            assert!(bad_pattern(text), "{text:?}: {:?}", text.parse::<Expectation>());
        }
    }

    #[test]
    fn grace_is_a_duration_and_may_be_none() {
        for (text, expect) in [("0", Some(0)), ("10m", Some(600)), ("90", Some(90)), ("500 days", None), ("x", None)] {
            let grace = text.parse::<Grace>().ok().map(|grace| grace.get().num_seconds());
            assert_eq!(grace, expect, "{text}");
        }
        for (period, grace) in [(60, 60), (600, 300), (3600, 1800), (86_400, 3600)] {
            assert_eq!(Grace::of_period(TimeDelta::seconds(period)).get().num_seconds(), grace, "{period}");
        }
    }

    /// Berlin 2026: 02:00 → 03:00 on March 29th, 03:00 → 02:00 on October 25th. New York 2026: March 8th, November 1st.
    #[test]
    fn a_skipped_hour_is_due_once_and_a_repeated_one_too() {
        for (text, after, due) in [
            // Spring: half past two does not exist, and is due right after the gap; the day after at its time.
            (
                "CRON_TZ=Europe/Berlin 30 2 * * *",
                "2026-03-28T00:00:00Z",
                ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"],
            ),
            (
                "CRON_TZ=America/New_York 30 2 * * *",
                "2026-03-07T00:00:00Z",
                ["2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"],
            ),
            // The hour before the gap and the one behind it are due once.
            (
                "CRON_TZ=Europe/Berlin 0 1 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T00:00:00Z", "2026-03-29T23:00:00Z", "2026-03-30T23:00:00Z"],
            ),
            (
                "CRON_TZ=Europe/Berlin 0 3 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z", "2026-03-31T01:00:00Z"],
            ),
            // Autumn: half past two comes twice, and is due at the first.
            (
                "CRON_TZ=Europe/Berlin 30 2 * * *",
                "2026-10-24T12:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"],
            ),
            (
                "CRON_TZ=America/New_York 30 1 * * *",
                "2026-10-31T12:00:00Z",
                ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z", "2026-11-03T06:30:00Z"],
            ),
            // Every hour runs on by elapsed time through both.
            (
                "CRON_TZ=Europe/Berlin 0 * * * *",
                "2026-03-29T00:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z", "2026-03-29T03:00:00Z"],
            ),
            (
                "CRON_TZ=Europe/Berlin 0 * * * *",
                "2026-10-24T23:00:00Z",
                ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"],
            ),
            // Lagos never sets its clocks.
            (
                "CRON_TZ=Africa/Lagos 30 2 * * *",
                "2026-03-28T12:00:00Z",
                ["2026-03-29T01:30:00Z", "2026-03-30T01:30:00Z", "2026-03-31T01:30:00Z"],
            ),
        ] {
            let expectation: Expectation = text.parse().unwrap();
            let mut base = parse_rfc3339(after).unwrap();
            for expect in due {
                base = expectation.next_due(base).unwrap();
                assert_eq!(rfc3339(base), expect, "{text} after {after}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again_and_nothing_panics(text in "(CRON_TZ=[A-Z][a-z]{2,3} )?[0-9*/,@LW#a-z -]{0,20}") {
            if let Ok(read) = text.parse::<Expectation>() {
                prop_assert_eq!(read.to_string().parse::<Expectation>(), Ok(read));
            }
        }

        /// Around the nights when clocks are set: due instants rise, and a daily time is due once a day.
        #[test]
        fn a_daily_time_is_due_once_a_day(
            hour in 0u32..24, minute in 0u32..60, day in 0i64..730,
            zone in prop::sample::select(vec![
                "Europe/Berlin", "America/New_York", "Africa/Lagos", "Australia/Lord_Howe", "America/Santiago",
            ]),
        ) {
            let schedule = Schedule::new(&format!("{minute} {hour} * * *"), zone).unwrap();
            let first = parse_rfc3339("2025-12-31T12:00:00Z").unwrap() + TimeDelta::days(day);
            let one = schedule.next_after(first).unwrap();
            let two = schedule.next_after(one).unwrap();
            let gap = two - one;
            prop_assert!(TimeDelta::hours(22) < gap && gap < TimeDelta::hours(26), "{one} {two}");
            // Asking in between changes nothing.
            prop_assert_eq!(schedule.next_after(one + gap / 2), Some(two));
        }
    }
}
