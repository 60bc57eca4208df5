use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::rollup::Series;

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

/// The thresholds of the built-in checks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Thresholds {
    /// Events that got a place.
    pub geocoding: Threshold,
    /// Events that were found complete.
    pub validation: Threshold,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            geocoding: Threshold { warning: 80.0, error: 60.0 },
            validation: Threshold { warning: 85.0, error: 70.0 },
        }
    }
}

/// The counts of both built-in checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quality {
    /// Events that got a place, of all.
    pub geocoding: Counts,
    /// Events that were found complete, of all.
    pub validation: Counts,
}

impl Quality {
    /// Whether there is anything to judge.
    pub fn has_attempt(self) -> bool {
        self.geocoding.attempts() > 0 || self.validation.attempts() > 0
    }

    /// The checks by their names.
    pub fn by_name(self) -> [(&'static str, Counts); 2] {
        [(Series::GEOCODING, self.geocoding), (Series::VALIDATION, self.validation)]
    }

    /// The worst of the checks.
    pub fn judge(self, thresholds: &Thresholds) -> Health {
        Health::worst([thresholds.geocoding.judge(self.geocoding), thresholds.validation.judge(self.validation)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_judged_by_its_counts() {
        let geocoding = Thresholds::default().geocoding;
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
}
