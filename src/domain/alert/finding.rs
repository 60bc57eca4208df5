use chrono::TimeDelta;

use crate::domain::alert::AlertType;
use crate::domain::alert::rule::{Fingerprint, Policy, Rule, Subject};
use crate::domain::alert::trouble::Trouble;
use crate::domain::anomaly::{AnomalyType, Severity};
use crate::domain::check::Threshold;
use crate::domain::counts::{Counts, shown};
use crate::domain::freshness::Punctuality;
use crate::domain::health::Health;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::{Timestamp, rfc3339};

/// After this many normal buckets of a series its anomaly is over.
const NORMAL_BUCKETS: u32 = 2;
/// An anomaly this old says nothing of now, though no bucket came since: silence and dead feeds are found by their rules.
const ANOMALY_LASTS: TimeDelta = TimeDelta::hours(24);

/// What one evaluation says of one rule and one subject. Every subject that is watched has a finding in every
/// evaluation, good ones too: an alert without one is about something that is no longer watched.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// What it is about.
    pub kind: AlertType,
    /// What it watches.
    pub subject: Subject,
    /// What it says.
    pub verdict: Verdict,
    /// One line, when it is bad.
    pub title: String,
    /// Why, and what to do, when it is bad.
    pub message: String,
}

/// What a rule says. The worse is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// There is too little to judge by: nothing changes.
    Unknown,
    /// There is enough.
    Known {
        /// How bad it is.
        bad: Option<Severity>,
        /// From what it has not recovered yet, at least `bad`: a rate that is only just above its threshold raises
        /// nothing and resolves nothing.
        held: Option<Severity>,
    },
}

impl Verdict {
    /// All is well.
    pub const GOOD: Self = Self::Known { bad: None, held: None };

    /// It is as bad as this, without anything in between.
    pub fn bad(severity: Severity) -> Self {
        Self::Known { bad: Some(severity), held: Some(severity) }
    }

    /// How bad it is.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Unknown => None,
            Self::Known { bad, .. } => bad,
        }
    }

    /// How a check's rate stands to its threshold: below `error` high, below `warning` medium, and recovered `margin`
    /// points above. It is judged as for the status, so an alert never says what the status does not.
    pub fn of_rate(threshold: Threshold, counts: Counts, margin: f64) -> Self {
        let severity = |health| match health {
            Health::Error => Some(Severity::High),
            Health::Warning => Some(Severity::Medium),
            Health::Healthy | Health::Pending => None,
        };
        let raised = |rate: f64| (rate + margin.max(0.0)).min(100.0);
        let well = Threshold::new(raised(threshold.warning()), raised(threshold.error())).unwrap_or(threshold);
        match threshold.judge(counts) {
            Health::Pending => Self::Unknown,
            health => Self::Known { bad: severity(health), held: severity(well.judge(counts)) },
        }
    }
}

/// A feed that runs and brings nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DeadFeed {
    /// The end of its last run that brought something, if there was one.
    pub last_non_empty: Option<Timestamp>,
    /// Its runs since.
    pub runs: u64,
    /// What its baseline expects of them.
    pub expected: f64,
}

/// The newest anomaly of a series of rates or volumes, and what came after it.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalousSeries {
    /// Whether it is a series of rates or of volumes.
    pub kind: AnomalyType,
    /// The source; `None` for the whole pipeline.
    pub source: Option<SourceKey>,
    /// The check or the volume.
    pub series: String,
    /// How grave it is. Only a high one alerts.
    pub severity: Severity,
    /// What was seen and what was expected.
    pub description: String,
    /// The end of its bucket.
    pub at: Timestamp,
    /// How many buckets after it were judged and found normal.
    pub normal_since: u32,
}

impl Finding {
    /// What tells its alert apart.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.rule, self.kind, &self.subject)
    }

    /// A check of a whole pipeline.
    pub fn threshold(
        pipeline: PipelineKey,
        check: &str,
        threshold: Threshold,
        counts: Counts,
        policy: &Policy,
    ) -> Self {
        let rate = shown(counts.rate().unwrap_or_default());
        let verdict = Verdict::of_rate(threshold, counts, policy.margin);
        let limit = if verdict.severity() == Some(Severity::High) { threshold.error() } else { threshold.warning() };
        let (successes, attempts) = (counts.successes(), counts.attempts());
        Self {
            title: format!("{check} of {pipeline} is below its threshold"),
            message: format!(
                "{successes} of {attempts} succeeded in the window: {rate} %, and the threshold is {limit} %. Look at the \
                 sources with the lowest rate first."
            ),
            rule: Rule::Threshold,
            kind: AlertType::Quality,
            subject: Subject::check(pipeline, check),
            verdict,
        }
    }

    /// A source that is late, or is not.
    pub fn overdue(pipeline: PipelineKey, source: SourceKey, punctuality: Punctuality, policy: &Policy) -> Self {
        let (verdict, message) = match punctuality {
            // A source whose pace was forgotten is not late.
            Punctuality::Unknown | Punctuality::OnTime { .. } => (Verdict::GOOD, String::new()),
            Punctuality::Late { expected_at, since } => (
                Verdict::bad(policy.overdue),
                format!(
                    "A run was due at {} and could have come until {}. See whether its job still runs and can reach \
                     Pipewatch.",
                    rfc3339(expected_at),
                    rfc3339(since)
                ),
            ),
        };
        Self {
            title: format!("{source} of {pipeline} is silent"),
            message,
            rule: Rule::Overdue,
            kind: AlertType::Overdue,
            subject: Subject::source(pipeline, source),
            verdict,
        }
    }

    /// A source that brings nothing, or does.
    pub fn dead_feed(pipeline: PipelineKey, source: SourceKey, dead: Option<DeadFeed>, policy: &Policy) -> Self {
        let message = dead.map_or_else(String::new, |dead| {
            let since = dead
                .last_non_empty
                .map_or_else(|| "ever".to_owned(), |last| format!("since the last one, at {}", rfc3339(last)));
            format!(
                "{} runs came and nothing in them {since}, where {} were to be expected. See whether the site or its \
                 format has changed.",
                dead.runs,
                shown(dead.expected)
            )
        });
        Self {
            title: format!("{source} of {pipeline} runs and brings nothing"),
            message,
            rule: Rule::DeadFeed,
            kind: AlertType::Volume,
            verdict: dead.map_or(Verdict::GOOD, |_| Verdict::bad(policy.dead_feed)),
            subject: Subject::source(pipeline, source),
        }
    }

    /// A series with an anomaly. It is over after two normal buckets, or a day after its own.
    pub fn anomaly(pipeline: PipelineKey, anomaly: AnomalousSeries, now: Timestamp) -> Self {
        let over = anomaly.severity < Severity::High
            || anomaly.normal_since >= NORMAL_BUCKETS
            || now - anomaly.at >= ANOMALY_LASTS;
        let subject = Subject { pipeline: Some(pipeline), source: anomaly.source, check: Some(anomaly.series) };
        Self {
            title: format!("{subject} is unusual"),
            message: anomaly.description,
            rule: Rule::Anomaly,
            kind: match anomaly.kind {
                AnomalyType::Volume => AlertType::Volume,
                AnomalyType::Quality => AlertType::Quality,
            },
            subject,
            verdict: if over { Verdict::GOOD } else { Verdict::bad(anomaly.severity) },
        }
    }

    /// A part of the server.
    pub fn server(trouble: Trouble, policy: &Policy) -> Self {
        Self {
            title: format!("Pipewatch itself: {}", trouble.part),
            rule: Rule::Server,
            kind: AlertType::Server,
            verdict: if trouble.wrong.is_some() { Verdict::bad(policy.server) } else { Verdict::GOOD },
            message: trouble.wrong.unwrap_or_default(),
            subject: Subject::server(trouble.part),
        }
    }
}
