use std::fmt;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use parking_lot::{Mutex, MutexGuard};

use crate::domain::clock_skew::{ClockMonitor, Reading, Skew};
use crate::domain::time::{Timestamp, to_micros};

/// The time, and whether it can be trusted. Passed down by `app`, so that tests can use their own time.
///
/// Clones share the state of the clock monitor. While the clock is wrong, [`Clock::now`] is the time of its reference.
#[derive(Clone)]
pub struct Clock {
    read: Arc<dyn Fn() -> Sample + Send + Sync>,
    // A synchronous mutex: held for arithmetic only, never across an await.
    monitor: Arc<Mutex<ClockMonitor>>,
}

/// One reading of the machine's clocks, or of a test's.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    reading: Reading,
    /// The offset of a test's time from real time, which its database uses; zero outside tests.
    shift: TimeDelta,
}

impl Clock {
    /// The machine's time.
    pub fn system() -> Self {
        let start = steady();
        Self::of(move || Sample {
            reading: Reading { wall: Utc::now(), steady: steady() - start },
            shift: TimeDelta::zero(),
        })
    }

    /// Another time, which is never wrong.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::skewed(now, TimeDelta::zero)
    }

    /// A wrong clock, `ahead` of its time.
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
        Self { read: Arc::new(read), monitor: Arc::default() }
    }

    /// The present instant, with microseconds.
    pub fn now(&self) -> Timestamp {
        let reading = self.sample().reading;
        to_micros(self.monitor().estimate(reading).now)
    }

    /// The clock's error, if it is wrong.
    pub fn skew(&self) -> Option<Skew> {
        let reading = self.sample().reading;
        self.monitor().estimate(reading).skew
    }

    /// The difference to the reference, tolerated or not; `None` without a reference.
    pub fn ahead(&self) -> Option<TimeDelta> {
        let reading = self.sample().reading;
        self.monitor().estimate(reading).ahead
    }

    /// To be called before querying the database's time.
    pub(crate) fn sample(&self) -> Sample {
        (self.read)()
    }

    /// Records the database's time.
    pub(crate) fn follow_database(&self, asked: Sample, database: Timestamp) {
        let answered = self.sample();
        self.monitor().follow_database(database + answered.shift, asked.reading, answered.reading);
    }

    /// Without a database server: compares with the machine's steady clock and with the newest row.
    pub(crate) fn follow_steady_clock(&self, newest_row: Option<Timestamp>) {
        let reading = self.sample().reading;
        self.monitor().follow_steady_clock(reading, newest_row);
    }

    /// Whether the time has run without a jump for an hour.
    pub(crate) fn is_confirmed(&self) -> bool {
        let reading = self.sample().reading;
        self.monitor().is_confirmed(reading)
    }

    /// The confirmed time, given an earlier one.
    pub(crate) fn confirmed(&self, known: Option<Timestamp>) -> Timestamp {
        let reading = self.sample().reading;
        to_micros(self.monitor().confirmed(reading, known))
    }

    fn monitor(&self) -> MutexGuard<'_, ClockMonitor> {
        self.monitor.lock()
    }
}

/// The machine's steady clock. It includes the time the machine sleeps; otherwise waking up would look like a change of the wall
/// clock.
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
