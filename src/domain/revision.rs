use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use crate::domain::time::Timestamp;

/// Rises with every change of a pipeline's data, also across restarts, servers and a re-created database: it is at least the
/// change's Unix time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(i64);

impl Revision {
    /// The revision of a change at `now` that follows `previous`.
    pub fn after(previous: Option<Self>, now: Timestamp) -> Self {
        let next = previous.map_or(0, |revision| revision.0 + 1);
        Self(next.max(now.timestamp_millis()))
    }

    pub fn get(self) -> i64 {
        self.0
    }

    pub fn from_stored(number: i64) -> Self {
        Self(number)
    }
}

impl FromStr for Revision {
    type Err = ParseIntError;

    /// Parses decimal digits.
    fn from_str(digits: &str) -> Result<Self, ParseIntError> {
        digits.parse().map(Self)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn revisions_rise_even_if_the_clock_does_not() {
        let at = |millis| DateTime::from_timestamp_millis(millis).expect("in range");
        for (previous, now, expect) in [
            (None, 1_769_614_245_123, 1_769_614_245_123),
            (Some(1_000), 1_769_614_245_123, 1_769_614_245_123),
            (Some(1_769_614_245_123), 1_769_614_245_123, 1_769_614_245_124),
            (Some(1_769_614_245_123), 5, 1_769_614_245_124),
        ] {
            assert_eq!(Revision::after(previous.map(Revision), at(now)), Revision(expect));
        }
    }
}
