//! Computes when a cron pattern is due. The search is bounded, so that a pattern that never matches costs no more than a rare
//! one.

use chrono::{DateTime, Datelike as _, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset as _};
use chrono::{TimeDelta, TimeZone as _, Timelike as _, Utc};
use chrono_tz::{GapInfo, Tz};
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, JobType, Weekday};

use crate::domain::freshness::InvalidSchedule;
use crate::domain::time::Timestamp;

/// The longest pattern, in characters.
const MAX_PATTERN: usize = 200;
/// The months within which every pattern that ever matches does so. Within 28 years each of the 14 kinds of year occurs, and a
/// century without its leap day adds 12: February 29th is a Monday in 2072, and then in 2112.
const HORIZON: Months = Months::new(41 * 12);
/// The longest time that a clock change repeats.
const REPEATED: TimeDelta = TimeDelta::hours(3);

/// A cron pattern of five fields in a time zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The given fields, separated by single spaces.
    pattern: String,
    /// Boxed, since it is large and most schedules are durations.
    cron: Box<Cron>,
    zone: Tz,
    /// One bit per hour and minute.
    hours: u32,
    minutes: u64,
    /// Whether it names one time of day, which is due once even on days with a clock change.
    has_one_time: bool,
}

impl Schedule {
    /// Parses five fields (or a nickname such as `@daily`) and the name of an IANA time zone.
    pub fn new(pattern: &str, zone: &str) -> Result<Self, InvalidSchedule> {
        let zone = zone.parse().map_err(|_| InvalidSchedule::NoSuchZone(zone.to_owned()))?;
        let pattern = pattern.split_whitespace().collect::<Vec<_>>().join(" ");
        if pattern.len() > MAX_PATTERN || !pattern.is_ascii() {
            return Err(InvalidSchedule::BadPattern(format!("more than {MAX_PATTERN} characters, or not ASCII")));
        }
        let cron: Cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&pattern)
            .map_err(|error| InvalidSchedule::BadPattern(error.to_string()))?;
        let schedule = Self {
            hours: cron.pattern.hours.values().into_iter().fold(0, |bits, hour| bits | 1 << hour),
            minutes: cron.pattern.minutes.values().into_iter().fold(0, |bits, minute| bits | 1 << minute),
            has_one_time: cron.determine_job_type() == JobType::FixedTime,
            pattern,
            cron: Box::new(cron),
            zone,
        };
        if schedule.hours == 0 || schedule.minutes == 0 {
            return Err(InvalidSchedule::NeverDue);
        }
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).map(|date| date.and_time(NaiveTime::MIN).and_utc());
        match first.and_then(|first| schedule.next_after(first)) {
            Some(_) => Ok(schedule),
            None => Err(InvalidSchedule::NeverDue),
        }
    }

    pub(super) fn pattern(&self) -> &str {
        &self.pattern
    }

    pub(super) fn zone(&self) -> Tz {
        self.zone
    }

    /// The first due instant after `base`, with the rules of Vixie cron: a time that a clock change skips is due right after
    /// the gap, a time that it repeats is due once, and patterns such as `*/5` or `0 *` continue by elapsed time.
    pub fn next_after(&self, base: Timestamp) -> Option<Timestamp> {
        let local = base.with_timezone(&self.zone);
        let later = base.checked_add_signed(REPEATED)?.with_timezone(&self.zone);
        if later.offset().fix().local_minus_utc() < local.offset().fix().local_minus_utc() {
            // The clock is about to be set back: the order of local times is not the order of instants.
            let days = local.date_naive().pred_opt()?.iter_days().take(3).filter(|date| self.is_on(*date));
            let instants = days.flat_map(|date| self.instants(date, NaiveDateTime::MIN));
            if let Some(due) = instants.filter(|due| *due > base).min() {
                return Some(due);
            }
        }
        let from = local.naive_local();
        let due = |date| self.instants(date, from).find(|due| *due > base);
        self.dates(from.date()).find_map(due)
    }

    /// The matching days from `first` on.
    fn dates(&self, first: NaiveDate) -> impl Iterator<Item = NaiveDate> {
        let next = |date: &NaiveDate| match self.cron.pattern.month_match(date.month()) {
            Ok(true) => date.succ_opt(),
            _ => date.with_day(1)?.checked_add_months(Months::new(1)),
        };
        let horizon = first.checked_add_months(HORIZON).unwrap_or(NaiveDate::MAX);
        let dates = std::iter::successors(Some(first), next).take_while(move |date| *date < horizon);
        dates.filter(|date| self.is_on(*date))
    }

    fn is_on(&self, date: NaiveDate) -> bool {
        let weekday = Weekday::from_days_from_sunday(date.weekday().num_days_from_sunday());
        let pattern = &self.cron.pattern;
        pattern.month_match(date.month()).unwrap_or(false)
            && pattern.day_match(date.year(), date.month(), date.day(), weekday).unwrap_or(false)
    }

    /// The matching instants of a day at or after a local time, in the order of local time.
    fn instants(&self, date: NaiveDate, from: NaiveDateTime) -> impl Iterator<Item = Timestamp> {
        let first_hour = if date == from.date() { from.hour() } else { 0 };
        let hours = (first_hour..24).filter(|hour| self.hours & 1 << hour != 0);
        let times = hours.flat_map(move |hour| {
            let minutes = (0..60).filter(|minute| self.minutes & 1 << minute != 0);
            minutes.filter_map(move |minute| date.and_hms_opt(hour, minute, 0))
        });
        times.filter(move |time| *time >= from).flat_map(|time| self.resolve(time))
    }

    /// The instants of a due local time.
    fn resolve(&self, time: NaiveDateTime) -> impl Iterator<Item = Timestamp> {
        let instants: [Option<DateTime<Tz>>; 2] = match self.zone.from_local_datetime(&time) {
            MappedLocalTime::Single(one) => [Some(one), None],
            MappedLocalTime::Ambiguous(first, _) if self.has_one_time => [Some(first), None],
            MappedLocalTime::Ambiguous(first, second) => [Some(first), Some(second)],
            MappedLocalTime::None if self.has_one_time => {
                let end = GapInfo::new(&time, &self.zone).and_then(|gap| gap.end);
                [end.filter(|end| self.is_on(end.date_naive())), None]
            }
            MappedLocalTime::None => [None, None],
        };
        instants.into_iter().flatten().map(|instant| instant.with_timezone(&Utc))
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
