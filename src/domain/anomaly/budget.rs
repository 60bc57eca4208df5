use super::RECORDED_BELOW;
use super::series::{Bucket, Hour, Series, Subject};
use crate::domain::severity::Severity;

/// The days of each series from which the number of its tests is extrapolated.
const OBSERVED_DAYS: u16 = 28;
const DAYS_PER_MONTH: f64 = 30.4375;

/// The number of false alerts per month that is acceptable, over all series and detectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    alerts_per_month: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { alerts_per_month: 1.0 }
    }
}

impl Budget {
    /// `None` for a negative or infinite number. A budget of 0 disables anomaly alerts.
    pub fn new(alerts_per_month: f64) -> Option<Self> {
        (alerts_per_month.is_finite() && alerts_per_month >= 0.0).then_some(Self { alerts_per_month })
    }

    /// α*: a smaller p-value raises an alert. Every test has the same share of the budget, and at most the p-value below
    /// which findings are recorded.
    pub fn alpha(self, tests_per_month: f64) -> f64 {
        (self.alerts_per_month / tests_per_month.max(1.0)).min(RECORDED_BELOW)
    }

    /// α* for these series, given how often they are evaluated.
    pub fn alpha_of<'a>(self, series: impl IntoIterator<Item = &'a Series>, last_closed: Hour) -> f64 {
        self.alpha(series.into_iter().map(|series| tests_per_month(series, last_closed)).sum())
    }
}

/// The number of tests per month of a series: each detector tests each hour. The last four weeks are extrapolated; a younger
/// series counts as evaluated every hour.
pub fn tests_per_month(series: &Series, last_closed: Hour) -> f64 {
    let detectors = match series.subject() {
        Subject::Check(_) => 2.0,
        Subject::Articles | Subject::Events | Subject::Count(_) => 3.0,
    };
    let span = i32::from(OBSERVED_DAYS) * 24;
    let begin = last_closed.minus(span);
    let buckets = series.buckets();
    let is_young = buckets.first().is_none_or(|first| first.hour > begin);
    let hours = if is_young {
        f64::from(span)
    } else {
        let place = |hour: Hour| buckets.partition_point(|bucket: &Bucket| bucket.hour <= hour);
        super::tails::usize_as_f64(place(last_closed) - place(begin))
    };
    detectors * hours * DAYS_PER_MONTH / f64::from(OBSERVED_DAYS)
}

/// The severity of a finding with this p-value; `None` if it is not recorded.
pub fn severity(p_value: f64, alpha: f64) -> Option<Severity> {
    if p_value < alpha {
        Some(Severity::High)
    } else if p_value < RECORDED_BELOW {
        Some(Severity::Low)
    } else {
        None
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
