use std::fmt;
use std::sync::Arc;

use chrono::Utc;

use crate::domain::time::{Timestamp, to_micros};

/// What time it is. `app` hands it down, so that tests can have a time of their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's own time.
    pub fn system() -> Self {
        Self::new(Utc::now)
    }

    /// Any other time.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present instant, to the microsecond.
    pub fn now(&self) -> Timestamp {
        to_micros((self.0)())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
