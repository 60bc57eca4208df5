use chrono::TimeDelta;

use crate::domain::alert::AlertType;
use crate::domain::alert::rule::{Fingerprint, Policy, Rule, Subject};
use crate::domain::alert::self_check::SelfCheck;
use crate::domain::anomaly::AnomalyType;
use crate::domain::check::Threshold;
use crate::domain::counts::{Counts, round_percent};
use crate::domain::freshness::Lateness;
use crate::domain::health::Health;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::severity::Severity;
use crate::domain::time::{Timestamp, rfc3339};

/// The normal buckets after which an anomaly is over.
const NORMAL_BUCKETS: u32 = 2;
/// The age at which an anomaly is over even without later buckets: overdue sources and dead feeds have their own rules.
const MAX_ANOMALY_AGE: TimeDelta = TimeDelta::hours(24);

/// The result of one evaluation for one rule and subject. Every watched subject has a finding in every evaluation, even if
/// all is well: an alert without a finding is about a subject that is no longer watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub rule: Rule,
    pub kind: AlertType,
    pub subject: Subject,
    pub verdict: Verdict,
    /// One line, for an unhealthy verdict.
    pub title: String,
    /// The cause and the remedy, for an unhealthy verdict.
    pub message: String,
}

/// Ordered from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Too little data: the alert stays as it is.
    Unknown,
    Known {
        /// `None` if all is well.
        severity: Option<Severity>,
        /// The severity that it has not recovered from yet, at least `severity`. This is hysteresis: a rate just above its
        /// threshold neither raises nor resolves an alert.
        not_recovered_from: Option<Severity>,
    },
}

impl Verdict {
    pub const OK: Self = Self::Known { severity: None, not_recovered_from: None };

    /// A verdict without hysteresis.
    pub fn unhealthy(severity: Severity) -> Self {
        Self::Known { severity: Some(severity), not_recovered_from: Some(severity) }
    }

    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Unknown => None,
            Self::Known { severity, .. } => severity,
        }
    }

    /// Compares a check's rate with its threshold: high severity below `error`, medium below `warning`, and recovered
    /// `margin` percentage points above. Rates are classified as in the status, so that alerts and status agree.
    pub fn of_rate(threshold: Threshold, counts: Counts, margin: f64) -> Self {
        let severity = |health| match health {
            Health::Error => Some(Severity::High),
            Health::Warning => Some(Severity::Medium),
            Health::Healthy | Health::Pending => None,
        };
        let raised = |rate: f64| (rate + margin.max(0.0)).min(100.0);
        let recovered = Threshold::new(raised(threshold.warning()), raised(threshold.error())).unwrap_or(threshold);
        match threshold.classify(counts) {
            Health::Pending => Self::Unknown,
            health => {
                Self::Known { severity: severity(health), not_recovered_from: severity(recovered.classify(counts)) }
            }
        }
    }
}

/// A source that runs but returns no data.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadFeed {
    /// The count that is always 0: `articles`.
    pub count: String,
    /// The end of its last run that returned data.
    pub last_non_empty: Option<Timestamp>,
    /// The runs since.
    pub runs: u64,
    /// The sum that its baseline expects of them.
    pub expected: f64,
}

/// The newest anomaly of a series, and what followed it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalousSeries {
    pub kind: AnomalyType,
    /// `None` for the whole pipeline.
    pub source: Option<SourceKey>,
    /// A check, `articles`, `events`, or `counts.` and the name of a count.
    pub series: String,
    /// The name of the check or the count.
    pub name: String,
    /// Only a high one raises an alert.
    pub severity: Severity,
    /// The observed and the expected value.
    pub description: String,
    /// The end of its bucket.
    pub at: Timestamp,
    /// The later buckets that were evaluated and found normal.
    pub normal_since: u32,
}

impl Finding {
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.rule, self.kind, &self.subject)
    }

    /// For a check of a whole pipeline.
    pub fn threshold(
        pipeline: PipelineKey,
        check: &str,
        threshold: Threshold,
        counts: Counts,
        policy: &Policy,
    ) -> Self {
        let rate = round_percent(counts.rate().unwrap_or_default());
        let verdict = Verdict::of_rate(threshold, counts, policy.margin);
        let limit = if verdict.severity() == Some(Severity::High) { threshold.error() } else { threshold.warning() };
        let (successes, attempts) = (counts.successes(), counts.attempts());
        Self {
            title: format!("Check \"{check}\" of pipeline \"{pipeline}\" is below its threshold"),
            message: format!(
                "{successes} of {attempts} succeeded in the window ({rate} %); the threshold is {limit} %. Check the sources \
                 with the lowest rates first."
            ),
            rule: Rule::Threshold,
            kind: AlertType::Quality,
            subject: Subject::check(pipeline, check),
            verdict,
        }
    }

    pub fn overdue(pipeline: PipelineKey, source: SourceKey, lateness: Lateness, policy: &Policy) -> Self {
        let (verdict, message) = match lateness {
            // A source without a known interval is not late.
            Lateness::Unknown | Lateness::OnTime { .. } => (Verdict::OK, String::new()),
            Lateness::Late { expected_at, since } => (
                Verdict::unhealthy(policy.overdue),
                format!(
                    "A run was due at {}, with a grace period until {}. Check that the source's job runs and can reach \
                     Pipewatch.",
                    rfc3339(expected_at),
                    rfc3339(since)
                ),
            ),
        };
        Self {
            title: format!("Source \"{source}\" of pipeline \"{pipeline}\" is overdue"),
            message,
            rule: Rule::Overdue,
            kind: AlertType::Overdue,
            subject: Subject::source(pipeline, source),
            verdict,
        }
    }

    pub fn dead_feed(pipeline: PipelineKey, source: SourceKey, dead: Option<DeadFeed>, policy: &Policy) -> Self {
        let message = dead.as_ref().map_or_else(String::new, |dead| {
            let since = dead.last_non_empty.map_or_else(String::new, |last| format!(" since {}", rfc3339(last)));
            format!(
                "{} runs returned no data{since}; {} {} were expected. Check whether the site or its format has \
                 changed.",
                dead.runs,
                round_percent(dead.expected),
                dead.count
            )
        });
        Self {
            title: format!("Source \"{source}\" of pipeline \"{pipeline}\" runs but returns no data"),
            message,
            rule: Rule::DeadFeed,
            kind: AlertType::Volume,
            verdict: dead.map_or(Verdict::OK, |_| Verdict::unhealthy(policy.dead_feed)),
            subject: Subject::source(pipeline, source),
        }
    }

    /// For a series with an anomaly, which is over after two normal buckets or a day.
    pub fn anomaly(pipeline: PipelineKey, anomaly: AnomalousSeries, now: Timestamp) -> Self {
        let is_over = anomaly.severity < Severity::High
            || anomaly.normal_since >= NORMAL_BUCKETS
            || now - anomaly.at >= MAX_ANOMALY_AGE;
        let place = match &anomaly.source {
            Some(source) => format!("source \"{source}\" of pipeline \"{pipeline}\""),
            None => format!("pipeline \"{pipeline}\""),
        };
        let title = match anomaly.kind {
            AnomalyType::Quality => format!("Unusual {} rate of {place}", anomaly.name),
            AnomalyType::Volume => format!("Unusual number of {} from {place}", anomaly.name),
        };
        let subject = Subject { pipeline: Some(pipeline), source: anomaly.source, check: Some(anomaly.series) };
        Self {
            title,
            message: anomaly.description,
            rule: Rule::Anomaly,
            kind: match anomaly.kind {
                AnomalyType::Volume => AlertType::Volume,
                AnomalyType::Quality => AlertType::Quality,
            },
            subject,
            verdict: if is_over { Verdict::OK } else { Verdict::unhealthy(anomaly.severity) },
        }
    }

    pub fn server(check: SelfCheck, policy: &Policy) -> Self {
        Self {
            title: format!("Pipewatch problem: {}", check.component),
            rule: Rule::Server,
            kind: AlertType::Server,
            verdict: if check.problem.is_some() { Verdict::unhealthy(policy.server) } else { Verdict::OK },
            message: check.problem.unwrap_or_default(),
            subject: Subject::server(check.component),
        }
    }
}
