use std::fmt;

use sha2::{Digest as _, Sha256};

use crate::domain::alert::AlertType;
use crate::domain::anomaly::Severity;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;

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
    /// A source that should have reported did not.
    #[strum(serialize = "silence")]
    Overdue,
    /// A source reports, and brings nothing.
    DeadFeed,
    /// The statistics find a rate or a volume unusual.
    Anomaly,
    /// Pipewatch itself is in trouble.
    Server,
}

impl Rule {
    /// As it stands in JSON and in the database: `dead_feed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a rule watches.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// The pipeline; `None` for the server itself.
    pub pipeline: Option<PipelineKey>,
    /// The source; `None` for the pipeline as a whole.
    pub source: Option<SourceKey>,
    /// The check, the volume, or the part of the server.
    pub check: Option<String>,
}

impl Subject {
    /// One check of a whole pipeline.
    pub fn check(pipeline: PipelineKey, check: impl Into<String>) -> Self {
        Self { pipeline: Some(pipeline), source: None, check: Some(check.into()) }
    }

    /// One source.
    pub fn source(pipeline: PipelineKey, source: SourceKey) -> Self {
        Self { pipeline: Some(pipeline), source: Some(source), check: None }
    }

    /// One part of the server.
    pub fn server(part: impl Into<String>) -> Self {
        Self { pipeline: None, source: None, check: Some(part.into()) }
    }
}

/// For people: `geocoding of punch in default`.
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

/// What tells alerts apart: the same rule about the same subject makes the same alert, however often it is found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The first half of a SHA-256 over the parts, as hexadecimal digits. Each part comes behind its length and a
    /// missing one differs from an empty one, so that parts cannot run into each other. The type is one of them, for an
    /// anomaly may be of a check or of a volume of the same name.
    pub fn of(rule: Rule, kind: AlertType, subject: &Subject) -> Self {
        let mut hash = Sha256::new();
        for part in [
            Some(rule.as_str()),
            Some(kind.as_str()),
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

    /// One that the database kept.
    pub fn from_stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How alerts are raised and end. An evaluation is every 30 seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Policy {
    /// In how many evaluations in a row something has to be found before it fires or becomes graver; at least 1.
    pub needed: u32,
    /// In how many evaluations in a row a rate has to be well before its alert is resolved or eased; at least 1.
    pub recovery: u32,
    /// How far above the threshold well is, in percentage points.
    pub margin: f64,
    /// How grave a silent source is.
    pub overdue: Severity,
    /// How grave a source is that brings nothing.
    pub dead_feed: Severity,
    /// How grave the server's own trouble is.
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
    /// In how many evaluations in a row an alert of this rule has to be found well. A rate wavers; that a run came, or
    /// that whole hours were normal again, is a fact at once.
    pub fn recovery_of(&self, rule: Rule) -> u32 {
        match rule {
            Rule::Threshold | Rule::Server => self.recovery.max(1),
            Rule::Overdue | Rule::DeadFeed | Rule::Anomaly => 1,
        }
    }
}
