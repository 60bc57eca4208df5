//! Whether the time of a server's clock can be trusted. A judge compares it with a reference: with the database's clock
//! where servers share one, otherwise with the steady clock of the machine and the newest row.

use std::fmt;

use chrono::TimeDelta;

use crate::domain::time::Timestamp;

/// A larger difference between the clock and its reference is a skew.
pub const TOLERATED: TimeDelta = TimeDelta::seconds(30);
/// A time that was set is believed when the clock runs steadily for this long afterwards.
pub const CONFIRMED_AFTER: TimeDelta = TimeDelta::hours(1);
/// An exact observation of the database's clock is preferred to newer and vaguer ones for this long.
const PREFERRED_FOR: TimeDelta = TimeDelta::minutes(1);

/// What the clocks of the machine show at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock, which can be set.
    pub wall: Timestamp,
    /// The steady clock, which cannot: the span since an arbitrary moment.
    pub steady: TimeDelta,
}

/// What a clock is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The clock of the database that servers share.
    Database,
    /// The steady clock of the same machine: the wall clock was set while the server ran.
    SteadyClock,
    /// The newest row of the database, which is in the future.
    NewestRow,
}

/// A clock that is wrong, as far as can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// How far the clock is ahead; negative when it is behind.
    pub ahead: TimeDelta,
    /// What it was compared with.
    pub against: Against,
}

/// The judge's opinion of a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The time to work with: the clock's own, and the reference's while the clock is skewed.
    pub now: Timestamp,
    /// How wrong the clock is, if it is.
    pub skew: Option<Skew>,
    /// How far the clock is ahead of its reference, tolerated or not; `None` while it has no reference.
    pub ahead: Option<TimeDelta>,
}

/// Judges one server's clock.
#[derive(Debug, Clone, Default)]
pub struct ClockJudge {
    reference: Option<Reference>,
    /// How the wall clock runs, and how the time that was judged does.
    wall: Course,
    now: Course,
    /// When the confirmed time was last asked for, by the steady clock.
    asked: Option<TimeDelta>,
}

/// An instant that is known to have been at a moment of the steady clock.
#[derive(Debug, Clone, Copy)]
struct Reference {
    instant: Timestamp,
    at: TimeDelta,
    /// How far off the instant may be.
    within: TimeDelta,
    against: Against,
}

/// Since when a time has not jumped against the steady clock.
#[derive(Debug, Clone, Copy, Default)]
struct Course(Option<(TimeDelta, TimeDelta)>);

impl Course {
    /// For how long, now that it shows this.
    fn steady_for(&mut self, time: Timestamp, steady: TimeDelta) -> TimeDelta {
        let offset = time - Timestamp::UNIX_EPOCH - steady;
        match self.0 {
            Some((known, since)) if (offset - known).abs() <= TOLERATED => steady - since,
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
            // Nothing is known but that it is later.
            Against::NewestRow => self.instant,
            Against::Database | Against::SteadyClock => self.instant + (steady - self.at),
        }
    }
}

impl ClockJudge {
    /// From here on the wall clock has to run as the steady clock does, and must not be behind the newest row.
    pub fn follow_steady_clock(&mut self, reading: Reading, newest_row: Option<Timestamp>) {
        let own = Reference::own(reading);
        let row = newest_row.filter(|row| *row - reading.wall > TOLERATED);
        let row = row.map(|instant| Reference { instant, against: Against::NewestRow, ..own });
        self.reference = Some(row.unwrap_or(own));
        self.judge(reading);
    }

    /// The database was asked for its time, which was `database` at some moment between two readings. An exact observation
    /// is kept for a minute, unless a newer one contradicts it.
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

    /// What time it is, and whether the clock is wrong.
    ///
    /// On a database of its own a server cannot know which of two clocks is right. It believes its wall clock again when
    /// that has run steadily for an hour.
    pub fn judge(&mut self, reading: Reading) -> Judgement {
        let is_steady = self.wall.steady_for(reading.wall, reading.steady) >= CONFIRMED_AFTER;
        let ahead = self.reference.map(|reference| reading.wall - reference.expects(reading.steady));
        let mut skew = self.skew(reading);
        let believes_itself = match self.reference.map(|reference| reference.against) {
            Some(Against::SteadyClock) => is_steady,
            Some(Against::NewestRow) => is_steady || skew.is_none(),
            Some(Against::Database) | None => false,
        };
        if believes_itself {
            self.reference = Some(Reference::own(reading));
            skew = None;
        }
        let expected = self.reference.filter(|_| skew.is_some());
        let now = expected.map_or(reading.wall, |reference| reference.expects(reading.steady));
        self.now.steady_for(now, reading.steady);
        Judgement { now, skew, ahead }
    }

    /// Whether the time has not jumped for an hour.
    pub fn is_confirmed(&mut self, reading: Reading) -> bool {
        let now = self.judge(reading).now;
        self.now.steady_for(now, reading.steady) >= CONFIRMED_AFTER
    }

    /// A time that has been confirmed, which is what may be destroyed by: the present one after an hour without a jump,
    /// before that the one that was `known` to be confirmed and what has passed of the steady clock since.
    pub fn confirmed(&mut self, reading: Reading, known: Option<Timestamp>) -> Timestamp {
        let is_confirmed = self.is_confirmed(reading);
        let now = self.judge(reading).now;
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
            Against::NewestRow => -ahead > TOLERATED,
            Against::Database | Against::SteadyClock => ahead.abs() - reference.within > TOLERATED,
        };
        is_skewed.then_some(Skew { ahead, against: reference.against })
    }
}

/// How long a span is, in either direction, to the nearest second.
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
            Against::SteadyClock => "the machine's steady clock: it was set while the server ran",
            Against::NewestRow => "the newest row of the database",
        };
        write!(f, "{seconds} s {direction} {against}")
    }
}

#[cfg(test)]
mod tests;
