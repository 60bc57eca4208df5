use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::domain::alert::AlertType;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::severity::Severity;

/// What raises an alert.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Rule {
    /// A check's rate is below its threshold.
    Threshold,
    /// An expected run of a source was not reported in time.
    Overdue,
    /// A source runs but returns no data.
    DeadFeed,
    /// A rate or a volume is statistically unusual.
    Anomaly,
    /// A Pipewatch server has a problem.
    Server,
}

impl Rule {
    /// The name in JSON and in the database: `dead_feed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a rule watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// `None` for the server.
    pub pipeline: Option<PipelineKey>,
    /// `None` for the whole pipeline.
    pub source: Option<SourceKey>,
    /// A check, a volume, or a component of the server.
    pub check: Option<String>,
}

impl Subject {
    /// One check of a whole pipeline.
    pub fn check(pipeline: PipelineKey, check: impl Into<String>) -> Self {
        Self { pipeline: Some(pipeline), source: None, check: Some(check.into()) }
    }

    pub fn source(pipeline: PipelineKey, source: SourceKey) -> Self {
        Self { pipeline: Some(pipeline), source: Some(source), check: None }
    }

    pub fn server(component: impl Into<String>) -> Self {
        Self { pipeline: None, source: None, check: Some(component.into()) }
    }
}

/// `geocoding of punch in default`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            self.check.as_deref(),
            self.source.as_ref().map(SourceKey::as_str),
            self.pipeline.as_ref().map(PipelineKey::as_str),
        ];
        let joints: &[&str] =
            if self.check.is_some() && self.source.is_some() { &["", " of ", " in "] } else { &["", "", " in "] };
        let mut written = false;
        for (part, joint) in parts.into_iter().zip(joints) {
            if let Some(part) = part {
                write!(f, "{}{part}", if written { joint } else { "" })?;
                written = true;
            }
        }
        Ok(())
    }
}

/// Identifies an open alert: the same rule and subject give the same fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The first half of a SHA-256 hash over the parts, in hexadecimal. Each part is preceded by its length, and a missing
    /// part differs from an empty one. The type is a part because a check and a volume may have the same name.
    pub fn of(rule: Rule, kind: AlertType, subject: &Subject) -> Self {
        // Receivers of notifications know alerts by their fingerprints, so these keep the first name of the rule.
        let (rule, kind) = if rule == Rule::Overdue { ("silence", "silence") } else { (rule.as_str(), kind.as_str()) };
        let mut hash = Sha256::new();
        for part in [
            Some(rule),
            Some(kind),
            subject.pipeline.as_ref().map(PipelineKey::as_str),
            subject.source.as_ref().map(SourceKey::as_str),
            subject.check.as_deref(),
        ] {
            hash.update([u8::from(part.is_some())]);
            hash.update((part.unwrap_or_default().len() as u64).to_be_bytes());
            hash.update(part.unwrap_or_default());
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hash.finalize()[..16]);
        Self(format!("{:032x}", u128::from_be_bytes(half)))
    }

    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When alerts fire, escalate and resolve. Counts are in evaluations, which run every 30 seconds by default.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// The consecutive evaluations after which an alert fires or escalates; at least 1.
    pub needed: u32,
    /// The consecutive evaluations after which a recovered rate resolves or eases its alert; at least 1.
    pub recovery: u32,
    /// The distance above the threshold from which a rate has recovered, in percentage points.
    pub margin: f64,
    /// The severity of an overdue source.
    pub overdue: Severity,
    /// The severity of a dead feed.
    pub dead_feed: Severity,
    /// The severity of a server's problem.
    pub server: Severity,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            needed: 2,
            recovery: 2,
            margin: 2.0,
            overdue: Severity::Medium,
            dead_feed: Severity::Medium,
            server: Severity::Medium,
        }
    }
}

impl Policy {
    /// The consecutive evaluations after which an alert of this rule resolves. Rates fluctuate, whereas a reported run and
    /// normal hours are facts.
    pub fn recovery_of(&self, rule: Rule) -> u32 {
        match rule {
            Rule::Threshold | Rule::Server => self.recovery.max(1),
            Rule::Overdue | Rule::DeadFeed | Rule::Anomaly => 1,
        }
    }
}
