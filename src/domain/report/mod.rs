//! Parses and validates reports. Each item is checked completely, and every error is reported.

mod common_fields;
mod counts;
mod data_quality;
mod fields;
mod named_counts;
mod nested;
mod run_details;
mod source_run;
mod texts;

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::domain::check::CheckName;
use crate::domain::counts::Counts;
use crate::domain::key::SourceKey;
use crate::domain::key::{InvalidPipelineKey, PipelineKey};
use crate::domain::named_counts::NamedCounts;
pub use crate::domain::report::common_fields::MAX_AHEAD;
pub use crate::domain::report::data_quality::DataQualityReport;
use crate::domain::report::fields::Fields;
pub use crate::domain::report::run_details::RunDetails;
pub use crate::domain::report::source_run::{Phase, SourceRunReport};
pub use crate::domain::report::texts::{FieldWarning, extended_log};
use crate::domain::time::Timestamp;

/// A validation error of one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's path in the item; empty for the item as a whole.
    pub field: String,
    pub message: String,
    /// A description of valid values.
    pub expected: String,
}

/// The request that an item was part of.
#[derive(Debug, Clone)]
pub struct ReportContext {
    pub received_at: Timestamp,
    /// The default pipeline of the items.
    pub pipeline: Result<PipelineKey, InvalidPipelineKey>,
}

/// An accepted report.
#[derive(Debug, Clone, PartialEq)]
#[allow(clippy::large_enum_variant, reason = "most reports are source runs")]
pub enum Report {
    /// The start or the end of a run.
    SourceRun(SourceRunReport),
    DataQuality(DataQualityReport),
}

/// Ids are unique within a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// [`Report::SourceRun`].
    SourceRun,
    /// [`Report::DataQuality`].
    DataQuality,
}

/// SHA-256 over a report's content, after parsing and before defaults. Distinguishes two bodies with the same id.
pub type BodyDigest = [u8; 32];

impl Report {
    /// Parses and validates one item.
    ///
    /// # Errors
    /// All errors of the item.
    pub fn parse(kind: ReportKind, item: Value, context: &ReportContext) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(item)?;
        let report = match kind {
            ReportKind::SourceRun => SourceRunReport::parse(&mut fields, context).map(Self::SourceRun),
            ReportKind::DataQuality => DataQualityReport::parse(&mut fields, context).map(Self::DataQuality),
        };
        let errors = fields.finish();
        match report {
            Some(report) if errors.is_empty() => Ok(report.complete()),
            _ => Err(errors),
        }
    }

    pub fn kind(&self) -> ReportKind {
        match self {
            Self::SourceRun(_) => ReportKind::SourceRun,
            Self::DataQuality(_) => ReportKind::DataQuality,
        }
    }

    /// Digests the report as it was sent, then cuts its long texts.
    fn complete(mut self) -> Self {
        let canonical = match &self {
            Self::SourceRun(report) => serde_json::to_vec(report),
            Self::DataQuality(report) => serde_json::to_vec(report),
        };
        let digest = Sha256::digest(canonical.expect("plain structures always serialise")).into();
        match &mut self {
            Self::SourceRun(report) => {
                report.digest = digest;
                report.cut_texts();
            }
            Self::DataQuality(report) => report.digest = digest,
        }
        self
    }

    /// The id as reported.
    pub fn id(&self) -> Option<String> {
        match self {
            Self::SourceRun(report) => report.id.as_ref().map(ToString::to_string),
            Self::DataQuality(report) => report.id.as_ref().map(ToString::to_string),
        }
    }

    pub fn has_id(&self) -> bool {
        match self {
            Self::SourceRun(report) => report.id.is_some(),
            Self::DataQuality(report) => report.id.is_some(),
        }
    }

    /// What was accepted, but not as it was sent.
    pub fn take_warnings(&mut self) -> Vec<FieldWarning> {
        match self {
            Self::SourceRun(report) => std::mem::take(&mut report.warnings),
            Self::DataQuality(_) => Vec::new(),
        }
    }

    pub fn pipeline(&self) -> &PipelineKey {
        match self {
            Self::SourceRun(report) => &report.pipeline,
            Self::DataQuality(report) => &report.pipeline,
        }
    }

    pub fn source(&self) -> Option<&SourceKey> {
        match self {
            Self::SourceRun(report) => Some(&report.source),
            Self::DataQuality(report) => report.source.as_ref(),
        }
    }

    /// The checks other than geocoding and validation.
    pub fn checks(&self) -> &BTreeMap<CheckName, Counts> {
        match self {
            Self::SourceRun(report) => &report.checks,
            Self::DataQuality(report) => &report.checks,
        }
    }

    /// The counts by name, except those of old fields.
    pub fn counts(&self) -> &NamedCounts {
        match self {
            Self::SourceRun(report) => &report.counts,
            Self::DataQuality(report) => &report.counts,
        }
    }

    pub fn phase(&self) -> Phase {
        match self {
            Self::SourceRun(report) => report.phase(),
            Self::DataQuality(_) => Phase::End,
        }
    }

    pub fn digest(&self) -> BodyDigest {
        match self {
            Self::SourceRun(report) => report.digest,
            Self::DataQuality(report) => report.digest,
        }
    }
}

#[cfg(test)]
mod tests;
