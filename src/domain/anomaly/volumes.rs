//! Detects volumes that differ from the same hour of earlier weeks, on Anscombe's scale, on which counts have the same spread
//! whatever their mean. Anscombe, "The transformation of Poisson, binomial and negative-binomial data",
//! Biometrika 35 (1948).

use std::ops::Range;

use super::forecast::{Forecast, Forecaster, inverse, transform};
use super::series::Bucket;
use super::tails::{
    NegativeBinomial, as_f64, normal_of_student, usize_as_f64, with_estimated_spread, without_skewness,
};
use super::{Method, RECORDED_BELOW, Verdict, budget, drift, sentence};
use crate::domain::severity::Severity;

/// The spread is estimated from at most this many residuals, none older (in hours), and at least this many.
const MAX_RESIDUALS: usize = 168;
const OLDEST: i32 = 28 * 24;
const MIN_RESIDUALS: usize = 14;
/// The residuals before the averaged ones that calibrate the drift's scale.
const MIN_CALIBRATION: usize = 48;
/// k: a residual counts for at most this many standard deviations in averages.
const WINSORISED_AT: f64 = 5.0;
/// Below this expected count the median is too coarse, and the mean is used too.
const FEW: f64 = 5.0;
/// 1 ÷ Φ⁻¹(¾): makes a normal variable's median absolute deviation its standard deviation.
const OF_MEDIAN: f64 = 1.482_602_218_505_602;
/// A median absolute deviation has 37 % of the standard deviation's efficiency.
const EFFICIENCY: f64 = 0.37;
/// The minimum of the degrees of freedom of a spread.
const MIN_FREEDOM: f64 = 7.0;

/// Tests the due hours: each alone, and averaged with those before it.
pub(super) fn detect(buckets: &[Bucket], due: Range<usize>, alpha: f64) -> Vec<(usize, Verdict)> {
    let Some(steps) = Steps::before(buckets, &due) else { return Vec::new() };
    let mut found = Vec::new();
    // How far the drift had come an hour earlier; without a gap it need not be computed again.
    let mut before: Option<(usize, Option<Severity>)> = None;
    for place in due {
        let scale = steps.scale(place);
        let single = scale.and_then(|scale| steps.single(place, &scale));
        found.extend(single.map(|verdict| (place, verdict)));

        let drift = scale.and_then(|scale| steps.drift(place, scale));
        let severity = drift.and_then(|drift| budget::severity(drift.p_value(), alpha));
        let known = before.and_then(|(of, severity)| (of + 1 == place).then_some(severity));
        // A drift is found in the hour in which it passes a limit, and not again while it stays beyond.
        let is_news = severity.is_some()
            && severity
                > known.unwrap_or_else(|| {
                    let drift = place.checked_sub(1).and_then(|earlier| steps.drift(earlier, steps.scale(earlier)?));
                    drift.and_then(|drift| budget::severity(drift.p_value(), alpha))
                });
        before = Some((place, severity));
        found.extend(drift.filter(|_| is_news).map(|drift| (place, drift.verdict())));
    }
    found
}

/// One step ahead: what was forecast of an hour from those before it, and what came.
#[derive(Debug, Clone, Copy)]
struct Step {
    forecast: Forecast,
    value: f64,
}

impl Step {
    fn residual(self) -> f64 {
        self.value - self.forecast.centre
    }

    /// What the variance is at the least: 1 of the hour itself, and π ÷ 2 m of the median of m.
    fn floor(self) -> f64 {
        1.0 + std::f64::consts::FRAC_PI_2 / usize_as_f64(self.forecast.values)
    }

    /// The expected count, as far as the dispersion must know it.
    fn about(self) -> f64 {
        inverse(self.forecast.centre).max(0.5)
    }
}

/// The steps of the hours that are looked at, by their places among the buckets.
struct Steps<'a> {
    buckets: &'a [Bucket],
    first: usize,
    known: Vec<Option<Step>>,
}

/// How far an hour may stray.
#[derive(Debug, Clone, Copy)]
struct Scale {
    /// The variance of the residuals, the same for all hours: that of a count with variance φ × mean.
    flat: f64,
    /// How much more of it there is per expected count: where the rate itself varies, busy hours vary more.
    slope: f64,
    residuals: usize,
}

impl Scale {
    /// φ of an hour. Which of the two models holds a few residuals cannot tell; the wider of them raises no false alarm.
    fn dispersion(self, step: Step) -> f64 {
        self.flat.max(step.floor() + self.slope * step.about())
    }

    /// Degrees of freedom that the dispersion is known with. A variance is known the less the heavier the tails are: rare
    /// bursts say little of how large bursts are. Not so little, though, that nothing could be too large.
    fn degrees_of_freedom(self, expected: NegativeBinomial) -> f64 {
        let hours = usize_as_f64(self.residuals);
        (hours / (1.0 + expected.kurtosis())).max(MIN_FREEDOM).min(EFFICIENCY * hours)
    }
}

impl<'a> Steps<'a> {
    fn before(buckets: &'a [Bucket], due: &Range<usize>) -> Option<Self> {
        let begin = buckets.get(due.start)?.hour;
        let end = buckets.get(due.end.checked_sub(1)?)?.hour;
        // One hour more than the residuals of the first: the drift is computed of the hour before it, too.
        let oldest = buckets[..due.start].partition_point(|bucket| begin.since(bucket.hour) > OLDEST);
        let first = oldest.max(due.start.saturating_sub(MAX_RESIDUALS + 1));
        let mut forecaster = Forecaster::new(&buckets[..due.end], buckets[first].hour, end);
        let known = buckets[first..due.end]
            .iter()
            .map(|bucket| {
                forecaster.forecast(bucket.hour).map(|forecast| Step { forecast, value: transform(bucket.total) })
            })
            .collect();
        Some(Self { buckets, first, known })
    }

    fn step(&self, place: usize) -> Option<Step> {
        *self.known.get(place.checked_sub(self.first)?)?
    }

    /// The steps before a place, the newest first.
    fn earlier(&self, place: usize) -> impl Iterator<Item = Step> {
        let newest = self.buckets[place].hour;
        let from = place.saturating_sub(MAX_RESIDUALS).max(self.first);
        (from..place)
            .rev()
            .take_while(move |earlier| newest.since(self.buckets[*earlier].hour) <= OLDEST)
            .filter_map(|earlier| self.step(earlier))
    }

    fn scale(&self, place: usize) -> Option<Scale> {
        let steps: Vec<Step> = self.earlier(place).collect();
        if steps.len() < MIN_RESIDUALS {
            return None;
        }
        let variance = |step: &Step| (OF_MEDIAN * step.residual()).powi(2);
        let mut flat: Vec<f64> = steps.iter().map(variance).collect();
        // The c of which half of the residuals are smaller than 1 + c × expected lets them be.
        let mut slope: Vec<f64> = steps.iter().map(|step| (variance(step) - step.floor()) / step.about()).collect();
        Some(Scale { flat: median(&mut flat), slope: median(&mut slope).max(0.0), residuals: steps.len() })
    }

    fn single(&self, place: usize, scale: &Scale) -> Option<Verdict> {
        let step = self.step(place)?;
        let count = self.buckets[place].total;
        let expected = self.expected(place, step, *scale);
        let degrees_of_freedom = scale.degrees_of_freedom(expected);
        let tail = expected.to(count).min(expected.from(count));
        let p_value = (2.0 * with_estimated_spread(tail, degrees_of_freedom)).min(1.0);
        if p_value >= RECORDED_BELOW {
            return None;
        }
        let bound = |p: f64| as_f64(expected.quantile(p));
        let verdict = Verdict {
            method: Method::Volume,
            observed: as_f64(count),
            expected: expected.mean,
            lower: bound(0.5 * RECORDED_BELOW),
            upper: bound(1.0 - 0.5 * RECORDED_BELOW),
            sample_size: scale.residuals as u64,
            p_value,
            sentence: String::new(),
        };
        Some(verdict.with_sentence(sentence::volume))
    }

    /// The distribution of the hour's count. Its tails are those of the count and not of the normal distribution: on
    /// Anscombe's scale a Poisson variable of mean 6 is 0 forty times as often as a normal one would be so low.
    fn expected(&self, place: usize, step: Step, scale: Scale) -> NegativeBinomial {
        let dispersion = scale.dispersion(step);
        let middle = step.forecast.centre;
        if inverse(middle) >= FEW {
            // A count's mean lies above its median by a sixth of its skewness, in standard deviations (Cornish and
            // Fisher).
            let mean = inverse(middle) + (2.0 * dispersion - 1.0) / 6.0;
            return NegativeBinomial { mean, dispersion };
        }
        // Of few a median is often 0 while the mean is not. What the forecasts missed on average is put on top; the
        // transform's mean is lower than the mean's transform, by φ ÷ 4 √mean.
        let most = |step: Step| WINSORISED_AT * scale.dispersion(step).sqrt();
        let within = |step: Step| step.residual().clamp(-most(step), most(step));
        let missed = self.earlier(place).map(within).sum::<f64>() / usize_as_f64(scale.residuals);
        let mean = |step: Step| inverse(step.forecast.centre + missed) + 0.25 * dispersion;
        // And their spread is that of the counts themselves (Pearson's φ), bursts of a mostly empty feed included.
        let (mut came, mut expected, mut squares) = (0.0, 0.0, 0.0);
        for step in self.earlier(place) {
            let count = inverse(step.forecast.centre + within(step));
            came += count;
            expected += mean(step);
            squares += (count - mean(step)).powi(2);
        }
        NegativeBinomial { mean: mean(step) * came.max(0.5) / expected, dispersion: dispersion.max(squares / expected) }
    }

    fn drift(&self, place: usize, scale: Scale) -> Option<Drift> {
        let step = self.step(place)?;
        let standardised =
            |step: Step| (step.residual() / scale.dispersion(step).sqrt()).clamp(-WINSORISED_AT, WINSORISED_AT);
        let newest = || std::iter::once(step).chain(self.earlier(place));
        let values: Vec<f64> = newest().map(standardised).collect();
        // What came before the averaged hours says what their residuals are when nothing drifts.
        let quiet = values.get(drift::RECALLED..).filter(|quiet| quiet.len() >= MIN_CALIBRATION)?;
        let (average, variance) = drift::average(values.iter().copied());
        let n = usize_as_f64(quiet.len());
        let mean = quiet.iter().sum::<f64>() / n;
        let (mut squares, mut cubes, mut products, mut newer) = (0.0, 0.0, 0.0, 0.0);
        for value in quiet.iter().map(|value| value - mean) {
            squares += value * value;
            cubes += value * value * value;
            products += value * newer;
            newer = (1.0 - drift::WEIGHT) * (newer + value);
        }
        let own = (squares / (n - 1.0)).max(0.25);
        // If neighbouring residuals are correlated, their average deviates further: by 1 + 2 Σ (1−λ)ᵏ ρₖ of the
        // autocorrelations ρₖ. They are worth that many fewer points.
        let autocorrelation_factor = (1.0 + 2.0 * products / (n * own)).max(1.0);
        let spread = (own * autocorrelation_factor * (variance + 1.0 / n)).sqrt();
        let skewness = cubes / n / own.powf(1.5) * drift::SKEWNESS;
        let deviations = without_skewness((average - mean) / spread, skewness);
        if !drift::is_far(deviations) {
            return None;
        }
        let (observed, _) = drift::average(newest().map(|step| step.value));
        Some(Drift {
            deviations: normal_of_student(deviations, EFFICIENCY * n / autocorrelation_factor),
            observed,
            unit: spread * scale.dispersion(step).sqrt(),
            distance: (average - mean) * scale.dispersion(step).sqrt(),
            hours: newest().take(drift::RECALLED).count(),
            sample_size: quiet.len() as u64,
        })
    }
}

/// The average of how far the hours lie from what was expected of each, on Anscombe's scale.
#[derive(Debug, Clone, Copy)]
struct Drift {
    /// In standard deviations of the average, as of a normal variable.
    deviations: f64,
    observed: f64,
    /// A standard deviation of the average, and how far the observed lies from the expected.
    unit: f64,
    distance: f64,
    hours: usize,
    sample_size: u64,
}

impl Drift {
    fn p_value(self) -> f64 {
        drift::p_value(self.deviations)
    }

    fn verdict(self) -> Verdict {
        let expected = self.observed - self.distance;
        let width = *drift::LIMIT * self.unit;
        let verdict = Verdict {
            method: Method::Drift,
            observed: inverse(self.observed),
            expected: inverse(expected),
            lower: inverse((expected - width).max(0.0)),
            upper: inverse(expected + width),
            sample_size: self.sample_size,
            p_value: self.p_value(),
            sentence: String::new(),
        };
        verdict.with_sentence(|verdict| sentence::volume_drift(verdict, self.hours))
    }
}

/// The middle value, the upper of two; it puts the values into another order. 0 of none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { *values.select_nth_unstable_by(middle, f64::total_cmp).1 }
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
