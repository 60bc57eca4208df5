use std::iter::Sum;
use std::ops::Add;

/// Attempts and successes, with successes ≤ attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    attempts: u64,
    successes: u64,
}

/// The largest count: 2⁵³ − 1, up to which JSON numbers are exact everywhere. Larger sums are stored and shown as this.
pub const MAX_COUNT: u64 = (1 << 53) - 1;

/// The sum of two counts, at most [`MAX_COUNT`].
pub fn add_counts(one: u64, other: u64) -> u64 {
    one.saturating_add(other).min(MAX_COUNT)
}

/// The 97.5 % quantile of the normal distribution: two-sided 95 %.
const Z_95: f64 = 1.959_963_984_540_054;

impl Counts {
    pub const NONE: Self = Self { attempts: 0, successes: 0 };

    /// `None` if there are more successes than attempts.
    pub fn new(attempts: u64, successes: u64) -> Option<Self> {
        (successes <= attempts).then_some(Self { attempts, successes })
    }

    pub fn attempts(self) -> u64 {
        self.attempts
    }

    pub fn successes(self) -> u64 {
        self.successes
    }

    /// Percent, 0 to 100; `None` without an attempt.
    #[allow(clippy::cast_precision_loss, reason = "exact to 2⁵³ attempts")]
    pub fn rate(self) -> Option<f64> {
        (self.attempts > 0).then(|| 100.0 * self.successes as f64 / self.attempts as f64)
    }

    /// The upper end of the two-sided 95 % Wilson score interval, in percent; `None` without an attempt.
    ///
    /// A plausible maximum of the true rate, given few attempts: Wilson, "Probable inference, the law of succession,
    /// and statistical inference", JASA 22 (1927).
    #[allow(clippy::cast_precision_loss, reason = "exact to 2⁵³ attempts")]
    pub fn wilson_upper(self) -> Option<f64> {
        if self.attempts == 0 {
            return None;
        }
        let n = self.attempts as f64;
        let p = self.successes as f64 / n;
        let z2 = Z_95 * Z_95;
        let centre = p + z2 / (2.0 * n);
        let half_width = Z_95 * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        Some(100.0 * ((centre + half_width) / (1.0 + z2 / n)).min(1.0))
    }
}

impl Add for Counts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            attempts: add_counts(self.attempts, other.attempts),
            successes: add_counts(self.successes, other.successes),
        }
    }
}

impl Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::NONE, Add::add)
    }
}

/// Rounds a percentage to one decimal, for display only.
pub fn round_percent(percent: f64) -> f64 {
    (percent * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_are_percent_of_the_sums() {
        for (attempts, successes, rate) in
            [(0, 0, None), (48, 42, Some(87.5)), (39, 36, Some(92.3)), (3, 0, Some(0.0)), (7, 7, Some(100.0))]
        {
            let counts = Counts::new(attempts, successes).expect("within bounds");
            assert_eq!(counts.rate().map(round_percent), rate, "{successes} of {attempts}");
        }
        assert_eq!(Counts::new(1, 2), None);
    }

    /// Reference values: the formula of the paper, evaluated independently of this code.
    #[test]
    fn wilson_upper_bound_matches_published_values() {
        for (successes, attempts, expect) in
            [(0, 5, 43.448_25), (3, 5, 88.237_92), (8, 10, 94.331_78), (10, 19, 72.670_19), (5, 5, 100.0)]
        {
            let upper = Counts::new(attempts, successes).and_then(Counts::wilson_upper).expect("attempts");
            assert!((upper - expect).abs() < 1e-4, "{successes} of {attempts}: {upper} instead of {expect}");
        }
    }

    proptest! {
        #[test]
        fn upper_bound_is_never_below_the_rate(attempts in 1u64..5_000, part in 0.0f64..=1.0) {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let counts = Counts::new(attempts, (attempts as f64 * part) as u64).unwrap();
            let (rate, upper) = (counts.rate().unwrap(), counts.wilson_upper().unwrap());
            prop_assert!(upper >= rate - 1e-9 && upper <= 100.0);
        }

        #[test]
        fn rate_of_a_sum_lies_between_its_parts(a in 1u64..1_000, b in 1u64..1_000, x in 0.0f64..=1.0, y in 0.0f64..=1.0) {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let (one, two) = (
                Counts::new(a, (a as f64 * x) as u64).unwrap(),
                Counts::new(b, (b as f64 * y) as u64).unwrap(),
            );
            let (low, high) = (one.rate().unwrap().min(two.rate().unwrap()), one.rate().unwrap().max(two.rate().unwrap()));
            let rate = (one + two).rate().unwrap();
            prop_assert!(rate >= low - 1e-9 && rate <= high + 1e-9);
        }
    }
}
