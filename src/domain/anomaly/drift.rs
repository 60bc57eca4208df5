//! Slow drift: an exponentially weighted moving average of standardised residuals. Roberts, "Control chart tests based
//! on geometric moving averages", Technometrics 1 (1959).
//!
//! Its α is a rate of false alarms, like that of the tests of single buckets: with the limit L(α) a series in which
//! nothing is wrong is alarmed at once in 1 ÷ α buckets on average. That average, the run length, solves the integral
//! equation of Crowder, "A simple method for studying run-length distributions of exponentially weighted moving average
//! charts", Technometrics 29 (1987).

use std::sync::LazyLock;

use super::RECORDED_BELOW;
use super::tails::usize_as_f64;

/// λ: the weight of the newest residual.
pub(super) const WEIGHT: f64 = 0.2;
/// The residuals that are averaged. Older ones would contribute 0.1 %.
pub(super) const RECALLED: usize = 30;
/// The skewness of the average of residuals whose own is 1: Σ w³ ÷ (Σ w²)^1.5 of the weights.
pub(super) const SKEWNESS: f64 = 0.442_6;
/// Beyond this many standard deviations run lengths exceed 10¹¹ and are treated as equal.
const MAX_DEVIATIONS: f64 = 7.0;
/// Nodes of the quadrature: with more of them the run lengths do not change in the eighth digit.
const NODES: usize = 24;

/// L at the p-value from which a drift is recorded.
pub(super) static LIMIT: LazyLock<f64> = LazyLock::new(|| limit(RECORDED_BELOW, WEIGHT));
/// The same for a one-sided test, which has half of the alarms.
pub(super) static LIMIT_OF_ONE_SIDE: LazyLock<f64> = LazyLock::new(|| limit(2.0 * RECORDED_BELOW, WEIGHT));

/// The weight of a residual with this many newer ones.
pub(super) fn weight(newer: usize) -> f64 {
    WEIGHT * (1.0 - WEIGHT).powi(i32::try_from(newer).unwrap_or(i32::MAX))
}

/// The weighted average of values, the newest first, and its variance relative to that of one value. The weights sum to 1.
pub(super) fn average(newest_first: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut weights, mut squares) = (0.0, 0.0, 0.0);
    for (newer, value) in newest_first.take(RECALLED).enumerate() {
        let weight = weight(newer);
        sum += weight * value;
        weights += weight;
        squares += weight * weight;
    }
    if weights > 0.0 { (sum / weights, squares / (weights * weights)) } else { (0.0, 1.0) }
}

/// The average number of buckets until the average, from 0, leaves ±`limit` of its own standard deviations.
#[allow(clippy::needless_range_loop, reason = "a matrix is read by its indices")]
pub(super) fn run_length(limit: f64, weight: f64) -> f64 {
    let bound = limit * (weight / (2.0 - weight)).sqrt();
    let nodes: Vec<(f64, f64)> =
        legendre().into_iter().map(|(x, share)| (0.5 * bound * (x + 1.0), 0.5 * bound * share)).collect();
    let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
    // ℓ(u) = 1 + ∫ ℓ(y) k(u, y) dy over 0 ≤ y ≤ bound, ℓ being even.
    let kernel = |u: f64, y: f64| {
        let kept = (1.0 - weight) * u;
        (density((y - kept) / weight) + density((y + kept) / weight)) / weight
    };
    let mut system: Vec<Vec<f64>> = nodes
        .iter()
        .enumerate()
        .map(|(row, (u, _))| {
            let entry = |(column, (y, share)): (usize, &(f64, f64))| {
                f64::from(u8::from(row == column)) - share * kernel(*u, *y)
            };
            nodes.iter().enumerate().map(entry).chain([1.0]).collect()
        })
        .collect();
    // Gaussian elimination; the rows are dominated by their diagonal, so that none need change places.
    for pivot in 0..NODES {
        let (above, below) = system.split_at_mut(pivot + 1);
        let top = &above[pivot];
        for row in below {
            let factor = row[pivot] / top[pivot];
            row.iter_mut().zip(top).skip(pivot).for_each(|(cell, above)| *cell -= factor * above);
        }
    }
    let mut lengths = [0.0; NODES];
    for row in (0..NODES).rev() {
        let known: f64 = (row + 1..NODES).map(|column| system[row][column] * lengths[column]).sum();
        lengths[row] = (system[row][NODES] - known) / system[row][row];
    }
    1.0 + nodes.iter().zip(lengths).map(|((y, share), length)| share * kernel(0.0, *y) * length).sum::<f64>()
}

/// L: the limit of the average, in its own standard deviations, that gives α false alarms per bucket.
pub(super) fn limit(alpha: f64, weight: f64) -> f64 {
    let (mut low, mut high) = (0.0, MAX_DEVIATIONS);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if run_length(middle, weight) < 1.0 / alpha {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The smallest α at which an average this many standard deviations away, on either side, is an alarm.
pub(super) fn p_value(deviations: f64) -> f64 {
    1.0 / run_length(deviations.abs().clamp(0.1, MAX_DEVIATIONS), WEIGHT)
}

/// Whether this many deviations may be recorded; avoids nearly all calls of [`p_value`].
pub(super) fn is_far(deviations: f64) -> bool {
    deviations.abs() > *LIMIT_OF_ONE_SIDE
}

/// Nodes and weights of the Gauss-Legendre quadrature over −1 to 1.
fn legendre() -> [(f64, f64); NODES] {
    let order = usize_as_f64(NODES);
    std::array::from_fn(|index| {
        let mut x = (std::f64::consts::PI * (usize_as_f64(index) + 0.75) / (order + 0.5)).cos();
        let mut slope = 1.0;
        // Newton's method; from there the sixth step no longer changes anything.
        for _ in 0..6 {
            let (mut before, mut value) = (1.0, x);
            for degree in 2..=NODES {
                let degree = usize_as_f64(degree);
                (before, value) = (value, ((2.0 * degree - 1.0) * x * value - (degree - 1.0) * before) / degree);
            }
            slope = order * (x * value - before) / (x * x - 1.0);
            x -= value / slope;
        }
        (x, 2.0 / ((1.0 - x * x) * slope * slope))
    })
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
