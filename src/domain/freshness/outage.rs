use chrono::TimeDelta;

use crate::domain::time::Timestamp;

/// The default startup grace. After a start, no source becomes late for this long: reporters that could not reach the
/// server must retry first.
pub const STARTUP_GRACE: TimeDelta = TimeDelta::minutes(5);

/// A period in which no server ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outage {
    /// When the last server was last alive.
    pub from: Timestamp,
    /// When a server ran again.
    pub to: Timestamp,
}

/// All periods in which no server ran, including the time before the first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outages {
    /// In order and disjoint.
    outages: Vec<Outage>,
    startup_grace: TimeDelta,
}

impl Outages {
    /// Accepts outages in any order and overlapping. Those that end before they begin are dropped.
    pub fn new(outages: impl IntoIterator<Item = Outage>, startup_grace: TimeDelta) -> Self {
        let mut given: Vec<Outage> = outages.into_iter().filter(|outage| outage.from < outage.to).collect();
        given.sort_unstable();
        let mut outages: Vec<Outage> = Vec::with_capacity(given.len());
        for outage in given {
            match outages.last_mut() {
                Some(last) if outage.from <= last.to => last.to = last.to.max(outage.to),
                _ => outages.push(outage),
            }
        }
        Self { outages, startup_grace }
    }

    /// The same outages, with another startup grace.
    #[must_use]
    pub fn with_startup_grace(&self, startup_grace: TimeDelta) -> Self {
        Self { startup_grace, ..self.clone() }
    }

    pub fn none() -> Self {
        Self { outages: Vec::new(), startup_grace: TimeDelta::zero() }
    }

    /// The last outage, except the time before the first start.
    pub fn last(&self) -> Option<Outage> {
        self.outages.last().copied().filter(|outage| outage.from > Timestamp::UNIX_EPOCH)
    }

    /// The instant at which `span` of running time has passed since `from`.
    ///
    /// Time does not count while no server runs, and a deadline that had not passed when the server stopped does not pass
    /// within the startup grace. A deadline that had passed is unchanged, so that a restart neither resolves an alert nor raises
    /// it again.
    pub(super) fn deadline(&self, from: Timestamp, span: TimeDelta) -> Timestamp {
        let mut at = from + span;
        for outage in &self.outages {
            if outage.from >= at {
                break;
            }
            if outage.to > from {
                at += outage.to - outage.from.max(from);
            }
            at = at.max(outage.to + self.startup_grace);
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + TimeDelta::minutes(minutes)
    }

    fn outages(list: &[(i64, i64)], startup_grace: i64) -> Outages {
        let list = list.iter().map(|(from, to)| Outage { from: at(*from), to: at(*to) });
        Outages::new(list, TimeDelta::minutes(startup_grace))
    }

    #[test]
    fn outages_extend_deadlines() {
        for (list, startup_grace, expect, why) in [
            (&[][..], 5, 160, "never down"),
            (&[(110, 120)], 5, 170, "down for ten minutes"),
            (&[(90, 120)], 5, 180, "down already at the beginning"),
            (&[(10, 20)], 5, 160, "long before"),
            (&[(160, 200)], 5, 160, "after it had passed"),
            (&[(159, 200)], 5, 205, "a minute before it would have passed: start-up grace"),
            (&[(159, 200)], 0, 201, "a minute before, without a grace"),
            (&[(110, 120), (165, 175)], 5, 180, "an outage within what the other added"),
            (&[(165, 175), (110, 120), (115, 118), (9, 3)], 5, 180, "any order, overlapping, and upside down"),
            (&[(90, 99)], 90, 189, "the grace of a start just before"),
        ] {
            let deadline = outages(list, startup_grace).deadline(at(100), TimeDelta::minutes(60));
            assert_eq!(deadline, at(expect), "{why}");
        }
        let ever = Outage { from: Timestamp::MIN_UTC, to: at(300) };
        let before_the_first_start = Outages::new([ever], TimeDelta::minutes(5));
        assert_eq!(before_the_first_start.deadline(at(100), TimeDelta::minutes(60)), at(360));
    }

    #[test]
    fn time_before_the_first_start_is_not_an_outage() {
        assert_eq!(outages(&[(0, 300)], 5).last(), None);
        let last = Outage { from: at(400), to: at(420) };
        assert_eq!(outages(&[(400, 420), (0, 300)], 5).last(), Some(last));
    }

    proptest! {
        #[test]
        fn deadline_counts_running_time_only(
            list in prop::collection::vec((0i64..500, 0i64..60), 0..8), from in 0i64..500, span in 1i64..200,
        ) {
            let list: Vec<(i64, i64)> = list.into_iter().map(|(start, long)| (start, start + long)).collect();
            let all = outages(&list, 0);
            let deadline = all.deadline(at(from), TimeDelta::minutes(span));
            let minutes = (deadline - Timestamp::UNIX_EPOCH).num_minutes();
            let down = (from..minutes).filter(|minute| list.iter().any(|(a, b)| a <= minute && minute < b)).count();
            prop_assert_eq!(minutes - from - i64::try_from(down).unwrap(), span, "running time");
        }
    }
}
