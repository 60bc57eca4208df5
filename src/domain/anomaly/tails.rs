//! The distributions behind the p-values, on top of the special functions of `statrs`.

use statrs::function::beta::{beta_reg, ln_beta};
use statrs::function::erf::erfc_inv;
use statrs::function::factorial::ln_binomial;
use statrs::function::gamma::{gamma_lr, gamma_ur};

/// From this many trials a beta distribution approximates the beta-binomial one well.
const MANY_TRIALS: u64 = 1_000;
/// The upper limit of a rate's precision: a standard deviation of 0.3 percentage points at 80 %. It keeps
/// the incomplete beta function's continued fraction within the terms that `statrs` allows it.
const MAX_PRECISION: f64 = 20_000.0;
/// The largest parameters of the incomplete beta function that `statrs` sums to full precision.
const MAX_BETA: f64 = 15_000.0;
/// The upper limit of a volume's precision: a standard deviation of 0.3 %.
const MAX_SHAPE: f64 = 100_000.0;
/// The lower limit of probabilities.
const MIN_PROBABILITY: f64 = 1e-300;

#[allow(clippy::cast_precision_loss, reason = "exact to 2⁵³")]
pub(super) fn as_f64(count: u64) -> f64 {
    count as f64
}

pub(super) fn usize_as_f64(count: usize) -> f64 {
    as_f64(count as u64)
}

/// The z with P(Z ≥ z) = `p`.
pub(super) fn normal_score(p: f64) -> f64 {
    std::f64::consts::SQRT_2 * erfc_inv(2.0 * p.clamp(MIN_PROBABILITY, 1.0 - f64::EPSILON))
}

/// P(T ≥ t) of Student's distribution with ν degrees of freedom.
fn student_above(t: f64, degrees_of_freedom: f64) -> f64 {
    let outside = 0.5 * beta_reg(0.5 * degrees_of_freedom, 0.5, degrees_of_freedom / (degrees_of_freedom + t * t));
    if t >= 0.0 { outside } else { 1.0 - outside }
}

/// The tail probability `p`, found as if the spread were known, where it is estimated with ν degrees of freedom: what
/// Student's distribution has beyond the same quantile. Far out this matters: with 30 degrees the tail of one in a
/// million is forty times as heavy.
pub(super) fn with_estimated_spread(p: f64, degrees_of_freedom: f64) -> f64 {
    if p >= 0.5 { p } else { student_above(normal_score(p), degrees_of_freedom) }
}

/// The z with P(Z ≥ z) = P(T ≥ t): a studentised value as a normal one.
pub(super) fn normal_of_student(t: f64, degrees_of_freedom: f64) -> f64 {
    normal_score(student_above(t.abs(), degrees_of_freedom)).copysign(t)
}

/// The z that a standardised sum with this skewness has as a normal variable, where the skewness makes its tail heavier;
/// elsewhere `z` itself. Wilson and Hilferty, "The distribution of chi-square", PNAS 17 (1931), for Pearson's type III.
pub(super) fn without_skewness(z: f64, skewness: f64) -> f64 {
    let leaning = skewness * z.signum();
    if leaning < 1e-3 {
        return z;
    }
    let far = 6.0 / leaning * ((0.5 * leaning * z.abs() + 1.0).cbrt() - 1.0) + leaning / 6.0;
    far.min(z.abs()).copysign(z)
}

/// Successes among `trials`, each group of trials having a rate of its own: beta distributed with this mean and this
/// intra-class correlation ρ = 1 ÷ (a + b + 1). Skellam, "A probability distribution derived from the binomial
/// distribution by regarding the probability of success as variable between the sets of trials", JRSS B 10 (1948).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BetaBinomial {
    pub(super) trials: u64,
    pub(super) mean: f64,
    pub(super) correlation: f64,
}

impl BetaBinomial {
    /// P(X = x).
    fn at(self, x: u64) -> f64 {
        self.ln_at(x).exp()
    }

    /// The logarithm of the probability of these trials and successes, each group with its own number of trials, but for
    /// a summand that neither the mean nor the correlation changes.
    pub(super) fn ln_likelihood(self, groups: impl Iterator<Item = (u64, u64)>) -> f64 {
        let (a, b) = self.shapes();
        let alone = ln_beta(a, b);
        groups.map(|(trials, x)| ln_beta(as_f64(x) + a, as_f64(trials - x) + b) - alone).sum()
    }

    /// The logarithm of P(X = x).
    fn ln_at(self, x: u64) -> f64 {
        let (a, b) = self.shapes();
        let failures = self.trials - x;
        ln_binomial(self.trials, x) + ln_beta(as_f64(x) + a, as_f64(failures) + b) - ln_beta(a, b)
    }

    /// P(X ≤ x).
    pub(super) fn to(self, x: u64) -> f64 {
        let (below, at) = self.split(x);
        (below + at).min(1.0)
    }

    /// P(X < x) + P(X = x) ÷ 2, from which the score of a discrete variable is made.
    pub(super) fn middle(self, x: u64) -> f64 {
        let (below, at) = self.split(x);
        below + 0.5 * at
    }

    fn shapes(self) -> (f64, f64) {
        let sum = 1.0 / self.correlation - 1.0;
        (self.mean * sum, (1.0 - self.mean) * sum)
    }

    /// P(X < x) and P(X = x).
    #[allow(clippy::many_single_char_names, reason = "as in the formula")]
    fn split(self, x: u64) -> (f64, f64) {
        if self.trials > MANY_TRIALS {
            return (self.share_to(x), 0.0);
        }
        let (a, b) = self.shapes();
        let (n, at) = (as_f64(self.trials), self.at(x));
        // From x outwards, away from the mean, the terms fall: nothing is cancelled, and few are needed.
        let (mut term, mut sum, mut k) = (at, 0.0, as_f64(x));
        if k <= n * self.mean {
            while k > 0.0 && term > sum * f64::EPSILON {
                term *= k * (b + n - k) / ((n - k + 1.0) * (a + k - 1.0));
                sum += term;
                k -= 1.0;
            }
            (sum, at)
        } else {
            while k < n && term > sum * f64::EPSILON {
                term *= (n - k) * (a + k) / ((k + 1.0) * (b + n - k - 1.0));
                sum += term;
                k += 1.0;
            }
            ((1.0 - sum - at).max(0.0), at)
        }
    }

    /// P(X ≤ x) for many trials: the share as a beta variable of the same mean and variance.
    fn share_to(self, x: u64) -> f64 {
        let n = as_f64(self.trials);
        let precision = (n / (1.0 + (n - 1.0) * self.correlation) - 1.0).min(MAX_PRECISION);
        beta_reg(self.mean * precision, (1.0 - self.mean) * precision, ((as_f64(x) + 0.5) / n).min(1.0))
    }
}

/// A count with this mean and the variance φ × mean, φ ≥ 1: negative binomial, and Poisson at φ = 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct NegativeBinomial {
    pub(super) mean: f64,
    pub(super) dispersion: f64,
}

impl NegativeBinomial {
    /// P(X ≤ x).
    pub(super) fn to(self, x: u64) -> f64 {
        let x = as_f64(x);
        match self.family(x) {
            Family::Poisson => gamma_ur(x + 1.0, self.mean),
            Family::NegativeBinomial(size) => beta_reg(size, x + 1.0, 1.0 / self.dispersion),
            Family::Gamma(shape) => gamma_lr(shape, (x + 0.5) / self.mean * shape),
        }
    }

    /// P(X ≥ x).
    pub(super) fn from(self, x: u64) -> f64 {
        if x == 0 {
            return 1.0;
        }
        let x = as_f64(x);
        match self.family(x) {
            Family::Poisson => gamma_lr(x, self.mean),
            Family::NegativeBinomial(size) => beta_reg(x, size, 1.0 - 1.0 / self.dispersion),
            Family::Gamma(shape) => gamma_ur(shape, (x - 0.5) / self.mean * shape),
        }
    }

    /// By how much its kurtosis is above that of a normal variable.
    pub(super) fn kurtosis(self) -> f64 {
        (6.0 * (self.dispersion - 1.0) + 1.0 / self.dispersion) / self.mean
    }

    /// The smallest x with P(X ≤ x) ≥ p.
    pub(super) fn quantile(self, p: f64) -> u64 {
        let mut most = 16;
        while self.to(most) < p && most < u64::MAX / 4 {
            most *= 2;
        }
        smallest(most, |x| self.to(x) >= p)
    }

    fn family(self, x: f64) -> Family {
        let size = self.mean / (self.dispersion - 1.0);
        if self.dispersion < 1.01 && self.mean + x < MAX_BETA {
            Family::Poisson
        } else if size + x < MAX_BETA && self.dispersion >= 1.01 {
            Family::NegativeBinomial(size)
        } else {
            Family::Gamma((self.mean / self.dispersion).min(MAX_SHAPE))
        }
    }
}

/// How a negative binomial variable is computed.
enum Family {
    /// Without overdispersion.
    Poisson,
    /// With its number of successes, r.
    NegativeBinomial(f64),
    /// Large counts: continuous, with the same mean and variance.
    Gamma(f64),
}

/// The smallest x up to `most` for which a monotonic condition holds; `most` if it never holds.
pub(super) fn smallest(most: u64, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = u64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
#[path = "tails_tests.rs"]
mod tests;
