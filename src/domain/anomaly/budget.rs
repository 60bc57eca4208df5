use super::series::{Bucket, Hour, Series, Subject};
use super::{RECORDED_BELOW, Severity};

/// How many days of each series tell how often it is judged.
const OBSERVED_DAYS: u16 = 28;
/// A month.
const DAYS_A_MONTH: f64 = 30.4375;

/// How many false alerts are bearable, over all series and detectors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    alerts_a_month: f64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { alerts_a_month: 1.0 }
    }
}

impl Budget {
    /// `None` of a negative or infinite number. Nothing alerts under a budget of 0.
    pub fn new(alerts_a_month: f64) -> Option<Self> {
        (alerts_a_month.is_finite() && alerts_a_month >= 0.0).then_some(Self { alerts_a_month })
    }

    /// α*: below this p-value a finding is an alert. Every test has the same share of the budget, and none more than
    /// what is recorded at all.
    pub fn alpha(self, tests_a_month: f64) -> f64 {
        (self.alerts_a_month / tests_a_month.max(1.0)).min(RECORDED_BELOW)
    }

    /// α* for these series, as often as they are judged.
    pub fn alpha_of<'a>(self, series: impl IntoIterator<Item = &'a Series>, last_closed: Hour) -> f64 {
        self.alpha(series.into_iter().map(|series| tests_a_month(series, last_closed)).sum())
    }
}

/// How many tests a month are made of a series: of each of its hours one by every detector. What the last four weeks
/// brought is taken to go on; a series younger than that is taken to be judged every hour.
pub fn tests_a_month(series: &Series, last_closed: Hour) -> f64 {
    let detectors = match series.subject() {
        Subject::Check(_) => 2.0,
        Subject::Articles | Subject::Events => 3.0,
    };
    let span = i32::from(OBSERVED_DAYS) * 24;
    let begin = last_closed.minus(span);
    let buckets = series.buckets();
    let is_young = buckets.first().is_none_or(|first| first.hour > begin);
    let hours = if is_young {
        f64::from(span)
    } else {
        let place = |hour: Hour| buckets.partition_point(|bucket: &Bucket| bucket.hour <= hour);
        super::tails::number(place(last_closed) - place(begin))
    };
    detectors * hours * DAYS_A_MONTH / f64::from(OBSERVED_DAYS)
}

/// How grave a finding with this p-value is; `None` when it is not worth recording.
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
mod tests;
