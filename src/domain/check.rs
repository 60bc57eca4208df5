use std::collections::BTreeMap;

use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::name::Name;

/// With fewer attempts a check is pending.
const MIN_ATTEMPTS: u64 = 5;
/// With at least this many attempts the rate is compared with the threshold, with fewer the Wilson upper bound.
const MIN_ATTEMPTS_FOR_RATE: u64 = 20;

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

    /// In percent.
    pub fn warning(self) -> f64 {
        self.warning
    }

    /// In percent.
    pub fn error(self) -> f64 {
        self.error
    }

    /// Compares the rate of these counts, unrounded, with the threshold.
    pub fn classify(self, counts: Counts) -> Health {
        let rate = if counts.attempts() < MIN_ATTEMPTS {
            None
        } else if counts.attempts() < MIN_ATTEMPTS_FOR_RATE {
            counts.wilson_upper()
        } else {
            counts.rate()
        };
        match rate {
            None => Health::Pending,
            Some(rate) if rate < self.error => Health::Error,
            Some(rate) if rate < self.warning => Health::Warning,
            Some(_) => Health::Healthy,
        }
    }
}

pub type CheckName = Name;

impl CheckName {
    /// Events with a location.
    pub const GEOCODING: Self = Self::constant("geocoding");
    /// Complete events.
    pub const VALIDATION: Self = Self::constant("validation");
}

#[derive(Debug, Clone, PartialEq)]
pub struct Thresholds {
    pub by_check: BTreeMap<CheckName, Threshold>,
    /// For all other checks.
    pub default: Threshold,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            by_check: BTreeMap::from([
                (CheckName::GEOCODING, Threshold { warning: 80.0, error: 60.0 }),
                (CheckName::VALIDATION, Threshold { warning: 85.0, error: 70.0 }),
            ]),
            default: Threshold { warning: 80.0, error: 60.0 },
        }
    }
}

impl Thresholds {
    pub fn of(&self, check: &CheckName) -> Threshold {
        self.by_check.get(check).copied().unwrap_or(self.default)
    }
}

/// The counts of all checks: two built-in ones, and those that reporters add.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Quality {
    /// Events with a location, of all events.
    pub geocoding: Counts,
    /// Complete events, of all events.
    pub validation: Counts,
    /// Checks that reporters add.
    pub others: BTreeMap<CheckName, Counts>,
}

impl Quality {
    /// Every check with its counts: the built-in ones first, then the others by name.
    pub fn checks(&self) -> impl Iterator<Item = (CheckName, Counts)> {
        let built_in = [(CheckName::GEOCODING, self.geocoding), (CheckName::VALIDATION, self.validation)];
        built_in.into_iter().chain(self.others.iter().map(|(name, counts)| (name.clone(), *counts)))
    }

    pub fn has_attempt(&self) -> bool {
        self.checks().any(|(_, counts)| counts.attempts() > 0)
    }

    /// The worst status of all checks.
    pub fn status_for(&self, thresholds: &Thresholds) -> Health {
        Health::worst(self.checks().map(|(name, counts)| thresholds.of(&name).classify(counts)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_classified_by_the_threshold() {
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
            (100_000, 79_999, Health::Warning, "79.999 is compared unrounded"),
        ] {
            let counts = Counts::new(attempts, successes).expect("within bounds");
            assert_eq!(geocoding.classify(counts), expect, "{why}");
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
    fn each_check_has_its_own_threshold() {
        let deduplication: CheckName = "deduplication".parse().expect("a name");
        let strict = Threshold::new(99.0, 90.0).expect("percentages");
        let mut thresholds = Thresholds::default();
        for (own, passes, expect) in [
            (None, 39, Health::Healthy),
            (None, 31, Health::Warning),
            (Some(strict), 39, Health::Warning),
            (Some(strict), 35, Health::Error),
        ] {
            thresholds.by_check.extend(own.map(|own| (deduplication.clone(), own)));
            let counts = Counts::new(40, passes).expect("within bounds");
            let quality = Quality { others: [(deduplication.clone(), counts)].into(), ..Quality::default() };
            assert_eq!(quality.status_for(&thresholds), expect, "{passes} of 40 by {own:?}");
        }
    }
}
