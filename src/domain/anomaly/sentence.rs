//! What was found, in a sentence for people.

use super::Verdict;
use super::series::{Series, Subject};
use super::tails::real;
use crate::domain::time::{Timestamp, rfc3339};

/// `of punch`, `of all sources`.
pub(super) fn whole(series: &Series, verdict: &Verdict) -> String {
    let source = series.source().map_or("all sources", |source| source.as_str());
    format!("{} of {source}: {}; {}", series.subject(), verdict.sentence, probability(verdict.p_value))
}

pub(super) fn rate(verdict: &Verdict, attempts: u64, passes: u64, hours: usize) -> String {
    let Verdict { observed, expected, lower, upper, sample_size, .. } = *verdict;
    format!(
        "{} of {} ({observed:.1} %) where {expected:.1} % was expected ({lower:.1} to {upper:.1} %) \
         from {} attempts in {hours} hours",
        grouped(real(passes)),
        grouped(real(attempts)),
        grouped(real(sample_size)),
    )
}

pub(super) fn rate_drift(verdict: &Verdict, hours: usize) -> String {
    let Verdict { observed, expected, lower, sample_size, .. } = *verdict;
    format!(
        "drifted to {observed:.1} % where {expected:.1} % was expected (at least {lower:.1} %), \
         by {} attempts in {hours} hours",
        grouped(real(sample_size)),
    )
}

pub(super) fn volume(verdict: &Verdict) -> String {
    let Verdict { observed, expected, lower, upper, sample_size, .. } = *verdict;
    format!(
        "{} where {} were expected ({} to {}) from {} hours",
        grouped(observed),
        grouped(expected),
        grouped(lower),
        grouped(upper),
        grouped(real(sample_size)),
    )
}

pub(super) fn volume_drift(verdict: &Verdict, hours: usize) -> String {
    let Verdict { observed, expected, lower, upper, .. } = *verdict;
    format!(
        "drifted to {} an hour where {} were expected ({} to {}), over {hours} hours",
        grouped(observed),
        grouped(expected),
        grouped(lower),
        grouped(upper),
    )
}

pub(super) fn dead_feed(verdict: &Verdict, runs: u64, last: Timestamp) -> String {
    format!(
        "nothing in {} {} since the hour of {}, where {} were expected",
        grouped(real(runs)),
        if runs == 1 { "run" } else { "runs" },
        rfc3339(last),
        grouped(verdict.expected),
    )
}

/// What kind of thing a subject is.
pub(super) fn is_volume(subject: &Subject) -> bool {
    matches!(subject, Subject::Articles | Subject::Events)
}

/// One digit that says something, and no more zeros than can be read.
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
mod tests;
