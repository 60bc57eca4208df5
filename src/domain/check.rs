use std::collections::BTreeMap;

use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::name::Name;

/// Below this many attempts a check is not judged.
const MIN_ATTEMPTS: u64 = 5;
/// From this many attempts on the rate itself is judged, below it the Wilson upper bound.
const ENOUGH_ATTEMPTS: u64 = 20;

/// The two rates, in percent, below which a check is a warning or an error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    warning: f64,
    error: f64,
}

impl Threshold {
    /// `None` unless 0 ≤ error ≤ warning ≤ 100.
    pub fn new(warning: f64, error: f64) -> Option<Self> {
        (0.0 <= error && error <= warning && warning <= 100.0).then_some(Self { warning, error })
    }

    /// Below this a check is a warning, in percent.
    pub fn warning(self) -> f64 {
        self.warning
    }

    /// Below this a check is an error, in percent.
    pub fn error(self) -> f64 {
        self.error
    }

    /// How these counts are to be judged.
    pub fn judge(self, counts: Counts) -> Health {
        let judged = if counts.attempts() < MIN_ATTEMPTS {
            None
        } else if counts.attempts() < ENOUGH_ATTEMPTS {
            counts.wilson_upper()
        } else {
            counts.rate()
        };
        match judged {
            None => Health::Pending,
            Some(rate) if rate < self.error => Health::Error,
            Some(rate) if rate < self.warning => Health::Warning,
            Some(_) => Health::Healthy,
        }
    }
}

/// The name of a check.
pub type CheckName = Name;

impl CheckName {
    /// Events that got a place.
    pub const GEOCODING: Self = Self::constant("geocoding");
    /// Events that were found complete.
    pub const VALIDATION: Self = Self::constant("validation");
}

/// How each check is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    /// Of the checks that have their own.
    pub own: BTreeMap<CheckName, Threshold>,
    /// Of all others.
    pub others: Threshold,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            own: BTreeMap::from([
                (CheckName::GEOCODING, Threshold { warning: 80.0, error: 60.0 }),
                (CheckName::VALIDATION, Threshold { warning: 85.0, error: 70.0 }),
            ]),
            others: Threshold { warning: 80.0, error: 60.0 },
        }
    }
}

impl Thresholds {
    /// How this check is judged.
    pub fn of(&self, check: &CheckName) -> Threshold {
        self.own.get(check).copied().unwrap_or(self.others)
    }
}

/// The counts of all checks: the two built-in ones, and whichever others were reported.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quality {
    /// Events that got a place, of all.
    pub geocoding: Counts,
    /// Events that were found complete, of all.
    pub validation: Counts,
    /// Further checks.
    pub others: BTreeMap<CheckName, Counts>,
}

impl Quality {
    /// Every check with its counts: the built-in ones first, the others by name.
    pub fn checks(&self) -> impl Iterator<Item = (CheckName, Counts)> {
        let built_in = [(CheckName::GEOCODING, self.geocoding), (CheckName::VALIDATION, self.validation)];
        built_in.into_iter().chain(self.others.iter().map(|(name, counts)| (name.clone(), *counts)))
    }

    /// Whether there is anything to judge.
    pub fn has_attempt(&self) -> bool {
        self.checks().any(|(_, counts)| counts.attempts() > 0)
    }

    /// The worst of the checks.
    pub fn judge(&self, thresholds: &Thresholds) -> Health {
        Health::worst(self.checks().map(|(name, counts)| thresholds.of(&name).judge(counts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_judged_by_its_counts() {
        let geocoding = Thresholds::default().of(&CheckName::GEOCODING);
        for (attempts, successes, expect, why) in [
            (0, 0, Health::Pending, "no attempts"),
            (4, 0, Health::Pending, "fewer than 5 attempts"),
            (5, 5, Health::Healthy, "5 of 5"),
            (5, 3, Health::Healthy, "3 of 5: the upper bound is 88.2"),
            (5, 2, Health::Warning, "2 of 5: the upper bound is 76.9"),
            (5, 0, Health::Error, "0 of 5: the upper bound is 43.4"),
            (19, 11, Health::Warning, "11 of 19: the upper bound is 76.9"),
            (19, 13, Health::Healthy, "13 of 19: the upper bound is 84.6"),
            (20, 16, Health::Healthy, "80 is not below 80"),
            (20, 15, Health::Warning, "75"),
            (20, 12, Health::Warning, "60 is not below 60"),
            (20, 11, Health::Error, "55"),
            (100_000, 79_999, Health::Warning, "79.999 is judged unrounded"),
        ] {
            let counts = Counts::new(attempts, successes).expect("within bounds");
            assert_eq!(geocoding.judge(counts), expect, "{why}");
        }
    }

    #[test]
    fn thresholds_are_ordered_percentages() {
        for (warning, error, good) in [
            (80.0, 60.0, true),
            (60.0, 60.0, true),
            (60.0, 80.0, false),
            (101.0, 60.0, false),
            (80.0, -1.0, false),
            (f64::NAN, 1.0, false),
        ] {
            assert_eq!(Threshold::new(warning, error).is_some(), good, "{warning}, {error}");
        }
    }

    #[test]
    fn every_check_is_judged_by_its_own_threshold() {
        let deduplication: CheckName = "deduplication".parse().expect("a name");
        let strict = Threshold::new(99.0, 90.0).expect("percentages");
        let mut thresholds = Thresholds::default();
        for (own, passes, expect) in [
            (None, 39, Health::Healthy),
            (None, 31, Health::Warning),
            (Some(strict), 39, Health::Warning),
            (Some(strict), 35, Health::Error),
        ] {
            thresholds.own.extend(own.map(|own| (deduplication.clone(), own)));
            let counts = Counts::new(40, passes).expect("within bounds");
            let quality = Quality { others: [(deduplication.clone(), counts)].into(), ..Quality::default() };
            assert_eq!(quality.judge(&thresholds), expect, "{passes} of 40 by {own:?}");
        }
    }
}
