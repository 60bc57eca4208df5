//! Detects a wrong clock. A monitor compares the server's clock with a reference: the clock of a shared database server,
//! otherwise the machine's steady clock and the newest row.

use std::fmt;

use chrono::TimeDelta;

use crate::domain::time::Timestamp;

/// The tolerated difference between the clock and its reference.
pub const MAX_SKEW: TimeDelta = TimeDelta::seconds(30);
/// After a jump, a clock is trusted again once it has run steadily for this long.
pub const CONFIRMED_AFTER: TimeDelta = TimeDelta::hours(1);
/// How long a precise observation of the database's clock is preferred to newer, less precise ones.
const PREFERRED_FOR: TimeDelta = TimeDelta::minutes(1);

/// The machine's clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, which can jump.
    pub wall: Timestamp,
    /// The steady clock, which cannot: the time since an arbitrary moment.
    pub steady: TimeDelta,
}

/// The reference of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The clock of a shared database server.
    Database,
    /// The machine's steady clock: the wall clock was changed while the server ran.
    SteadyClock,
    /// The newest row of the database, which lies in the future.
    NewestRow,
}

/// The error of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// Negative if the clock is behind.
    pub ahead: TimeDelta,
    pub against: Against,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockEstimate {
    /// The time to use: the clock's own, or the reference's while the clock is skewed.
    pub now: Timestamp,
    pub skew: Option<Skew>,
    /// The difference to the reference, tolerated or not; `None` without a reference.
    pub ahead: Option<TimeDelta>,
}

/// Monitors one server's clock.
#[derive(Debug, Clone, Default)]
pub struct ClockMonitor {
    reference: Option<Reference>,
    /// How steadily the wall clock and the estimated time run.
    wall: Course,
    now: Course,
    /// The steady clock when the confirmed time was last requested.
    asked: Option<TimeDelta>,
}

/// A known instant at a moment of the steady clock.
#[derive(Debug, Clone, Copy)]
struct Reference {
    instant: Timestamp,
    at: TimeDelta,
    /// The uncertainty of the instant.
    within: TimeDelta,
    against: Against,
}

/// How long a time has run without a jump against the steady clock.
#[derive(Debug, Clone, Copy, Default)]
struct Course(Option<(TimeDelta, TimeDelta)>);

impl Course {
    fn steady_for(&mut self, time: Timestamp, steady: TimeDelta) -> TimeDelta {
        let offset = time - Timestamp::UNIX_EPOCH - steady;
        match self.0 {
            Some((known, since)) if (offset - known).abs() <= MAX_SKEW => steady - since,
            _ => {
                self.0 = Some((offset, steady));
                TimeDelta::zero()
            }
        }
    }
}

impl Reference {
    fn own(reading: Reading) -> Self {
        let (instant, at) = (reading.wall, reading.steady);
        Self { instant, at, within: TimeDelta::zero(), against: Against::SteadyClock }
    }

    fn expects(&self, steady: TimeDelta) -> Timestamp {
        match self.against {
            // It is only known that the time is later.
            Against::NewestRow => self.instant,
            Against::Database | Against::SteadyClock => self.instant + (steady - self.at),
        }
    }
}

impl ClockMonitor {
    /// Without a database server: from now on the wall clock must run like the steady clock, and must not be behind the newest
    /// row.
    pub fn follow_steady_clock(&mut self, reading: Reading, newest_row: Option<Timestamp>) {
        let own = Reference::own(reading);
        let row = newest_row.filter(|row| *row - reading.wall > MAX_SKEW);
        let row = row.map(|instant| Reference { instant, against: Against::NewestRow, ..own });
        self.reference = Some(row.unwrap_or(own));
        self.estimate(reading);
    }

    /// Records the database's time at some moment between two readings. A precise observation is kept for a minute, unless a
    /// newer one contradicts it.
    pub fn follow_database(&mut self, database: Timestamp, asked: Reading, answered: Reading) {
        let within = (answered.steady - asked.steady).abs() / 2;
        let seen = Reference { instant: database, at: asked.steady + within, within, against: Against::Database };
        let kept = self.reference.filter(|kept| {
            let contradiction = (kept.expects(seen.at) - seen.instant).abs() - kept.within - seen.within;
            kept.against == Against::Database
                && kept.within < seen.within
                && seen.at - kept.at <= PREFERRED_FOR
                && contradiction <= TimeDelta::zero()
        });
        self.reference = Some(kept.unwrap_or(seen));
    }

    /// Estimates the time and the clock's error.
    ///
    /// Without a database server it is unknown which of two clocks is right. The wall clock is trusted again after it has run
    /// steadily for an hour.
    pub fn estimate(&mut self, reading: Reading) -> ClockEstimate {
        let is_steady = self.wall.steady_for(reading.wall, reading.steady) >= CONFIRMED_AFTER;
        let ahead = self.reference.map(|reference| reading.wall - reference.expects(reading.steady));
        let mut skew = self.skew(reading);
        let is_trusted_again = match self.reference.map(|reference| reference.against) {
            Some(Against::SteadyClock) => is_steady,
            Some(Against::NewestRow) => is_steady || skew.is_none(),
            Some(Against::Database) | None => false,
        };
        if is_trusted_again {
            self.reference = Some(Reference::own(reading));
            skew = None;
        }
        let expected = self.reference.filter(|_| skew.is_some());
        let now = expected.map_or(reading.wall, |reference| reference.expects(reading.steady));
        self.now.steady_for(now, reading.steady);
        ClockEstimate { now, skew, ahead }
    }

    /// Whether the time has run without a jump for an hour.
    pub fn is_confirmed(&mut self, reading: Reading) -> bool {
        let now = self.estimate(reading).now;
        self.now.steady_for(now, reading.steady) >= CONFIRMED_AFTER
    }

    /// A confirmed time, which decides what may be deleted: the present time after an hour without a jump, before that `known`,
    /// an earlier confirmed time, plus the time passed on the steady clock.
    pub fn confirmed(&mut self, reading: Reading, known: Option<Timestamp>) -> Timestamp {
        let is_confirmed = self.is_confirmed(reading);
        let now = self.estimate(reading).now;
        let passed = self.asked.map_or(TimeDelta::zero(), |asked| (reading.steady - asked).max(TimeDelta::zero()));
        self.asked = Some(reading.steady);
        match known {
            Some(known) if !is_confirmed => now.min(known + passed),
            _ => now,
        }
    }

    fn skew(&self, reading: Reading) -> Option<Skew> {
        let reference = self.reference?;
        let ahead = reading.wall - reference.expects(reading.steady);
        let is_skewed = match reference.against {
            Against::NewestRow => -ahead > MAX_SKEW,
            Against::Database | Against::SteadyClock => ahead.abs() - reference.within > MAX_SKEW,
        };
        is_skewed.then_some(Skew { ahead, against: reference.against })
    }
}

fn whole_seconds(span: TimeDelta) -> i64 {
    (span.abs() + TimeDelta::milliseconds(500)).num_seconds()
}

impl fmt::Display for Skew {
    /// `7200 s ahead of the database's clock`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = whole_seconds(self.ahead);
        let direction = if self.ahead < TimeDelta::zero() { "behind" } else { "ahead of" };
        let against = match self.against {
            Against::Database => "the database's clock",
            Against::SteadyClock => "the machine's steady clock (it was changed while the server ran)",
            Against::NewestRow => "the newest row of the database",
        };
        write!(f, "{seconds} s {direction} {against}")
    }
}

#[cfg(test)]
#[path = "clock_skew_tests.rs"]
mod tests;
