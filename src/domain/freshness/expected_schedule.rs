use std::fmt;
use std::str::FromStr;

use chrono::TimeDelta;

use crate::domain::freshness::Schedule;
use crate::domain::time::Timestamp;

/// The longest period and the longest grace: a yearly feed with a month to spare.
const MAX_SPAN: TimeDelta = TimeDelta::days(400);
/// Precedes a pattern's time zone, as in crontab(5) of cronie.
const ZONE_PREFIX: &str = "CRON_TZ=";

/// When a source is expected to run.
///
/// As text: seconds (`3600`), a duration (`1h 30m`), or a cron pattern of five fields (`0 6 * * *`, `@daily`), in UTC unless
/// prefixed with `CRON_TZ=Africa/Lagos `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpectedSchedule {
    /// Within this time of the previous run.
    Every(TimeDelta),
    /// At these times in a time zone.
    Cron(Schedule),
}

/// The time after which a due run is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace(TimeDelta);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    #[error(
        "expected a duration (`3600`, `1h 30m`) or a cron pattern of five fields (`0 6 * * *`, `CRON_TZ=Africa/Lagos 0 6 * * *`)"
    )]
    Unreadable,
    #[error("expected a duration in whole seconds, from {min} s to 400 days")]
    OutOfRange {
        /// In seconds.
        min: u8,
    },
    #[error("`{0}` is not a time zone of the IANA database")]
    NoSuchZone(String),
    #[error("invalid cron pattern: {0}; expected five fields")]
    BadPattern(String),
    #[error("this cron pattern never matches; check its day of the month, month and weekday")]
    NeverDue,
}

impl ExpectedSchedule {
    /// The first due time after `base`. `None` at the end of the calendar.
    pub fn next_due(&self, base: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Every(period) => base.checked_add_signed(*period),
            Self::Cron(schedule) => schedule.next_after(base),
        }
    }
}

impl FromStr for ExpectedSchedule {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let text = text.trim();
        if let Some(span) = read_duration(text) {
            return in_range(span, 1).map(Self::Every);
        }
        let (zone, pattern) = match text.strip_prefix(ZONE_PREFIX) {
            Some(rest) => rest.split_once(char::is_whitespace).ok_or(InvalidSchedule::Unreadable)?,
            None => ("UTC", text),
        };
        if !pattern.starts_with('@') && pattern.split_whitespace().count() < 5 {
            return Err(InvalidSchedule::Unreadable);
        }
        Schedule::new(pattern, zone).map(Self::Cron)
    }
}

impl fmt::Display for ExpectedSchedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Every(period) => write!(f, "{}", period.num_seconds()),
            Self::Cron(schedule) => write!(f, "{ZONE_PREFIX}{} {}", schedule.zone(), schedule.pattern()),
        }
    }
}

impl Grace {
    /// `None` unless `span` is from 0 to 400 days.
    pub fn new(span: TimeDelta) -> Option<Self> {
        (TimeDelta::zero() <= span && span <= MAX_SPAN).then_some(Self(span))
    }

    /// The default: half of the period, at least a minute and at most an hour. A cron time is when a run starts, and the run is
    /// reported when it has ended, so the grace must cover its duration.
    pub fn of_period(period: TimeDelta) -> Self {
        Self((period / 2).clamp(TimeDelta::minutes(1), TimeDelta::hours(1)))
    }

    pub fn get(self) -> TimeDelta {
        self.0
    }
}

impl FromStr for Grace {
    type Err = InvalidSchedule;

    fn from_str(text: &str) -> Result<Self, InvalidSchedule> {
        let span = read_duration(text.trim()).ok_or(InvalidSchedule::Unreadable)?;
        in_range(span, 0).map(Self)
    }
}

impl fmt::Display for Grace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.num_seconds())
    }
}

/// Seconds, or a duration in humantime's syntax.
fn read_duration(text: &str) -> Option<std::time::Duration> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that overflow are a duration that is too long.
        return Some(std::time::Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    humantime::parse_duration(text).ok()
}

fn in_range(span: std::time::Duration, min: u8) -> Result<TimeDelta, InvalidSchedule> {
    TimeDelta::from_std(span)
        .ok()
        .filter(|span| span.subsec_nanos() == 0)
        .filter(|span| TimeDelta::seconds(min.into()) <= *span && *span <= MAX_SPAN)
        .ok_or(InvalidSchedule::OutOfRange { min })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{parse_rfc3339, rfc3339};
    use proptest::prelude::*;

    #[test]
    fn schedule_is_a_duration_or_a_cron_pattern() {
        let bad_pattern = |text: &str| matches!(text.parse::<ExpectedSchedule>(), Err(InvalidSchedule::BadPattern(_)));
        for (text, expect) in [
            ("3600", Ok("3600")),
            (" 1h ", Ok("3600")),
            ("1h 30m", Ok("5400")),
            ("400days", Ok("34560000")),
            ("0 6 * * *", Ok("CRON_TZ=UTC 0 6 * * *")),
            ("CRON_TZ=Africa/Lagos 0  6 * * MON-FRI", Ok("CRON_TZ=Africa/Lagos 0 6 * * MON-FRI")),
            ("@daily", Ok("CRON_TZ=UTC @daily")),
            ("0", Err(InvalidSchedule::OutOfRange { min: 1 })),
            ("401days", Err(InvalidSchedule::OutOfRange { min: 1 })),
            ("99999999999999999999999", Err(InvalidSchedule::OutOfRange { min: 1 })),
            ("1500ms", Err(InvalidSchedule::OutOfRange { min: 1 })),
            ("", Err(InvalidSchedule::Unreadable)),
            ("-5", Err(InvalidSchedule::Unreadable)),
            ("often", Err(InvalidSchedule::Unreadable)),
            ("* * * *", Err(InvalidSchedule::Unreadable)),
            ("CRON_TZ=UTC", Err(InvalidSchedule::Unreadable)),
            ("CRON_TZ=Mars/Olympus 0 6 * * *", Err(InvalidSchedule::NoSuchZone("Mars/Olympus".into()))),
            ("0 0 30 2 *", Err(InvalidSchedule::NeverDue)),
        ] {
            assert_eq!(
                text.parse::<ExpectedSchedule>().map(|read| read.to_string()),
                expect.map(str::to_owned),
                "{text:?}"
            );
        }
        for text in ["60 6 * * *", "0 0 6 * * *", "a b c d e", "@sometimes", "0 6 * * ü", "0 6 * * * 2026 7"] {
            assert!(bad_pattern(text), "{text:?}: {:?}", text.parse::<ExpectedSchedule>());
        }
    }

    #[test]
    fn grace_is_a_duration_and_may_be_zero() {
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
    fn skipped_and_repeated_hours_are_due_once() {
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
            let expectation: ExpectedSchedule = text.parse().unwrap();
            let mut base = parse_rfc3339(after).unwrap();
            for expect in due {
                base = expectation.next_due(base).unwrap();
                assert_eq!(rfc3339(base), expect, "{text} after {after}");
            }
        }
    }

    proptest! {
        #[test]
        fn text_round_trips_and_parsing_never_panics(text in "(CRON_TZ=[A-Z][a-z]{2,3} )?[0-9*/,@LW#a-z -]{0,20}") {
            if let Ok(read) = text.parse::<ExpectedSchedule>() {
                prop_assert_eq!(read.to_string().parse::<ExpectedSchedule>(), Ok(read));
            }
        }

        /// Around the nights when clocks are set: due instants rise, and a daily time is due once a day.
        #[test]
        fn daily_time_is_due_once_a_day(
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
