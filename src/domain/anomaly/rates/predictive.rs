//! What a new point may bring, by all that the points before it leave open.
//!
//! Neither the rate nor ρ, the correlation of a point's attempts, is known. One estimate of each promises too much where
//! few points happen to agree, and most where nearly all attempts pass: there a rate that seems higher than it is goes
//! with a ρ that seems smaller. So the beta-binomial distribution is averaged over both, on a grid, each pair weighted by
//! its likelihood and by what was likely beforehand: Gelman et al., "Bayesian Data Analysis", 3rd edition (2013), 5.3.
//!
//! Beforehand the rate has Jeffreys' prior, and ρ is as likely here as there up to ½, in addition to a chance that there is
//! nothing but chance. That one is the balance between false alarms and power, see `CHANCE_ALONE`.

use super::{BetaBinomial, Point, as_f64, percent, smallest, usize_as_f64};

/// How likely it is that points differ by chance alone, as a stretch of ρ of this length, × the attempts of a point: of those
/// before, or of the new one where it has more and would show a ρ that they hide. With 20 some settings of the
/// simulations pass twice the nominal false alarms, with less a fall is seen less often.
const CHANCE_ALONE: f64 = 14.0;
/// ρ × those attempts that adds nothing to chance.
const NEARLY_NONE: f64 = 0.01;
/// ρ × the mean attempts of a point: the smallest value tried; each next one is twice as large. Each
/// represents a stretch as long as itself.
const MIN_SPREAD: f64 = 0.25;
const MAX_CORRELATION: f64 = 0.5;
/// The rates tried for each ρ, as standard deviations of the logit from the likeliest.
const RATES: [f64; 5] = [-2.4, -1.2, 0.0, 1.2, 2.4];
/// Terms with less weight than this are left out of a p-value and of a bound.
const MIN_SHARE: f64 = 1e-9;
const MIN_SHARE_OF_BOUND: f64 = 1e-5;

/// The distribution of a new point's passes: a mixture of beta-binomial ones, with their shares.
pub(super) struct Predictive(Vec<(f64, BetaBinomial)>);

impl Predictive {
    pub(super) fn new(before: &[Point], attempts: u64) -> Self {
        let typical = number_of_attempts(before) / usize_as_f64(before.len());
        let most = typical.max(as_f64(attempts));
        let doubled = std::iter::successors(Some(MIN_SPREAD / typical), |correlation| Some(2.0 * correlation));
        let uneven = doubled.take_while(|correlation| *correlation < MAX_CORRELATION).map(|it| (it, it));
        let correlations = std::iter::once((NEARLY_NONE / most, CHANCE_ALONE / most)).chain(uneven);
        let candidates: Vec<(f64, BetaBinomial)> = correlations
            .flat_map(|(correlation, prior)| {
                let (middle, deviation) = logit(before, correlation);
                RATES.iter().map(move |away| {
                    let mean = 1.0 / (1.0 + (-middle - away * deviation).exp());
                    let seen = BetaBinomial { trials: attempts, mean, correlation };
                    // Jeffreys' prior of a rate is (p (1−p))^−½, a step of its logit is p (1−p) of it.
                    let weight = prior * deviation * (mean * (1.0 - mean)).sqrt();
                    let points = before.iter().map(|point| (point.attempts, point.passes));
                    (weight.ln() + seen.ln_likelihood(points), seen)
                })
            })
            .collect();
        let most = candidates.iter().map(|(weight, _)| *weight).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = candidates.iter().map(|(weight, _)| (weight - most).exp()).sum();
        Self(candidates.into_iter().map(|(weight, ahead)| ((weight - most).exp() / sum, ahead)).collect())
    }

    /// The probability of so few passes or fewer.
    pub(super) fn to(&self, passes: u64) -> f64 {
        self.sum(passes, MIN_SHARE)
    }

    /// The rate that has the probability `p` below it, in percent.
    pub(super) fn bound(&self, attempts: u64, p: f64) -> f64 {
        percent(smallest(attempts, |passes| self.sum(passes, MIN_SHARE_OF_BOUND) >= p), attempts)
    }

    fn sum(&self, passes: u64, least: f64) -> f64 {
        self.0.iter().filter(|(share, _)| *share >= least).map(|(share, ahead)| share * ahead.to(passes)).sum()
    }
}

fn number_of_attempts(points: &[Point]) -> f64 {
    as_f64(points.iter().map(|point| point.attempts).sum())
}

/// The logit of the points' rate and its standard deviation, when this is ρ: each point weighs what its attempts are
/// worth, which is never more than 1 ÷ ρ. Half a pass and half a failure more, as Jeffreys' prior has it.
fn logit(points: &[Point], correlation: f64) -> (f64, f64) {
    let (mut attempts, mut passes) = (1.0, 0.5);
    for point in points {
        let worth = 1.0 / (1.0 + (as_f64(point.attempts) - 1.0) * correlation);
        attempts += worth * as_f64(point.attempts);
        passes += worth * as_f64(point.passes);
    }
    let rate = passes / attempts;
    ((rate / (1.0 - rate)).ln(), 1.0 / (attempts * rate * (1.0 - rate)).sqrt())
}
