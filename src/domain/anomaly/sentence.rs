//! Describes findings in one sentence.

use super::Verdict;
use super::series::Series;
use super::tails::as_f64;
use crate::domain::time::{Timestamp, rfc3339};

pub(super) fn whole(series: &Series, verdict: &Verdict) -> String {
    let source = series.source().map_or("all sources", |source| source.as_str());
    format!("{} of {source}: {}; {}", series.subject().name(), verdict.sentence, probability(verdict.p_value))
}

pub(super) fn rate(verdict: &Verdict, attempts: u64, passes: u64, hours: usize) -> String {
    let Verdict { observed, expected, lower, upper, sample_size, .. } = *verdict;
    format!(
        "{} of {} ({observed:.1} %), expected {expected:.1} % ({lower:.1} to {upper:.1} %), \
         from {} attempts in {hours} hours",
        grouped(as_f64(passes)),
        grouped(as_f64(attempts)),
        grouped(as_f64(sample_size)),
    )
}

pub(super) fn rate_drift(verdict: &Verdict, hours: usize) -> String {
    let Verdict { observed, expected, lower, sample_size, .. } = *verdict;
    format!(
        "drifted to {observed:.1} %, expected {expected:.1} % (at least {lower:.1} %), \
         from {} attempts in {hours} hours",
        grouped(as_f64(sample_size)),
    )
}

pub(super) fn volume(verdict: &Verdict) -> String {
    let Verdict { observed, expected, lower, upper, sample_size, .. } = *verdict;
    format!(
        "{}, expected {} ({} to {}), from {} hours",
        grouped(observed),
        grouped(expected),
        grouped(lower),
        grouped(upper),
        grouped(as_f64(sample_size)),
    )
}

pub(super) fn volume_drift(verdict: &Verdict, hours: usize) -> String {
    let Verdict { observed, expected, lower, upper, .. } = *verdict;
    format!(
        "drifted to {} per hour, expected {} ({} to {}), over {hours} hours",
        grouped(observed),
        grouped(expected),
        grouped(lower),
        grouped(upper),
    )
}

pub(super) fn dead_feed(verdict: &Verdict, runs: u64, last: Timestamp) -> String {
    format!(
        "no data in {} {} since {}, expected {}",
        grouped(as_f64(runs)),
        if runs == 1 { "run" } else { "runs" },
        rfc3339(last),
        grouped(verdict.expected),
    )
}

/// One significant digit, down to six decimals.
fn probability(p: f64) -> String {
    if p < 1e-6 {
        return "p < 0.000001".to_owned();
    }
    let places = (1..=6_u8).find(|places| p * 10_f64.powi(i32::from(*places)) >= 0.95).unwrap_or(6);
    format!("p = {p:.*}", usize::from(places))
}

/// 1204 as `1,204`, and small means with one decimal.
fn grouped(value: f64) -> String {
    if value < 10.0 && (value - value.round()).abs() >= 0.05 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
#[path = "sentence_tests.rs"]
mod tests;
