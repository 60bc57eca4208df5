use std::fmt;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

use crate::domain::clock_skew::{ClockJudge, Reading, Skew};
use crate::domain::time::{Timestamp, to_micros};

/// What time it is, and whether that can be trusted. `app` hands it down, so that tests can have a time of their own.
///
/// Clones share what is known of the clock's skew. While the clock is skewed, [`Clock::now`] is the time of what it is
/// compared with.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> Sample + Send + Sync>,
    // A synchronous mutex: held for arithmetic only, never across an await.
    judge: Arc<Mutex<ClockJudge>>,
}

/// One look at the machine's clocks, or at those of a test.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    reading: Reading,
    /// How far this server's proper time is ahead of the world's, in which its database lives: zero but in tests.
    shift: TimeDelta,
}

impl Clock {
    /// The machine's own time.
    pub fn system() -> Self {
        let begin = steady();
        Self::of(move || Sample {
            reading: Reading { wall: Utc::now(), steady: steady() - begin },
            shift: TimeDelta::zero(),
        })
    }

    /// Any other time. It is never wrong, whatever the machine's clock shows.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::skewed(now, TimeDelta::zero)
    }

    /// A clock that is wrong: this far ahead of its proper time.
    pub fn skewed(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        ahead: impl Fn() -> TimeDelta + Send + Sync + 'static,
    ) -> Self {
        Self::of(move || {
            let now = now();
            let reading = Reading { wall: now + ahead(), steady: now - Timestamp::UNIX_EPOCH };
            Sample { reading, shift: now - Utc::now() }
        })
    }

    fn of(read: impl Fn() -> Sample + Send + Sync + 'static) -> Self {
        Self { read: Arc::new(read), judge: Arc::default() }
    }

    /// The present instant, to the microsecond.
    pub fn now(&self) -> Timestamp {
        let reading = self.sample().reading;
        to_micros(self.judge().judge(reading).now)
    }

    /// How wrong the clock is, if it is.
    pub fn skew(&self) -> Option<Skew> {
        let reading = self.sample().reading;
        self.judge().judge(reading).skew
    }

    /// How far the clock is ahead of what it is compared with, tolerated or not; `None` while nothing is known to compare it
    /// with.
    pub fn ahead(&self) -> Option<TimeDelta> {
        let reading = self.sample().reading;
        self.judge().judge(reading).ahead
    }

    /// The moment at which the database is asked for its time.
    pub(crate) fn sample(&self) -> Sample {
        (self.read)()
    }

    /// The database answered that this is its time.
    pub(crate) fn follow_database(&self, asked: Sample, database: Timestamp) {
        let answered = self.sample();
        self.judge().follow_database(database + answered.shift, asked.reading, answered.reading);
    }

    /// No other clock is known: this one is compared with the machine's steady clock, and with the newest row.
    pub(crate) fn follow_steady_clock(&self, newest_row: Option<Timestamp>) {
        let reading = self.sample().reading;
        self.judge().follow_steady_clock(reading, newest_row);
    }

    /// Whether the time has not jumped for an hour.
    pub(crate) fn is_confirmed(&self) -> bool {
        let reading = self.sample().reading;
        self.judge().is_confirmed(reading)
    }

    /// The time that is confirmed now, when another was `known` to be.
    pub(crate) fn confirmed(&self, known: Option<Timestamp>) -> Timestamp {
        let reading = self.sample().reading;
        to_micros(self.judge().confirmed(reading, known))
    }

    fn judge(&self) -> MutexGuard<'_, ClockJudge> {
        self.judge.lock()
    }
}

/// The machine's clock that is never set. It counts the time in which the machine sleeps, or waking up would look like a
/// wall clock that was set.
#[cfg(target_os = "linux")]
fn steady() -> TimeDelta {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    TimeDelta::seconds(time.tv_sec) + TimeDelta::nanoseconds(time.tv_nsec)
}

#[cfg(not(target_os = "linux"))]
fn steady() -> TimeDelta {
    use std::sync::LazyLock;
    use std::time::Instant;

    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    TimeDelta::from_std(BEGIN.elapsed()).unwrap_or(TimeDelta::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
