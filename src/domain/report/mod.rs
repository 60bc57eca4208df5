//! Reports as they arrive: each item is parsed and checked whole, and every fault of it is named.

/// The counts that both kinds bring.
mod counts;
/// What is said of the quality of a moment.
mod data_quality;
/// The fields of an item.
mod fields;
/// Where a report is from, and of when it is.
mod origin;
/// The lists within an item.
mod parts;
/// What is said of a run.
mod source_run;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::check::CheckName;
use crate::domain::counts::Counts;
use crate::domain::pipeline::{BadPipelineKey, PipelineKey};
pub use crate::domain::report::data_quality::DataQualityReport;
use crate::domain::report::fields::Fields;
pub use crate::domain::report::origin::MAX_AHEAD;
pub use crate::domain::report::source_run::{Phase, SourceRunReport};
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// One thing that is wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The field's path in the item; empty for the item as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: String,
}

/// What surrounds an item: when it came, and the pipeline of the request it came in.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When the report reached the server.
    pub received_at: Timestamp,
    /// The pipeline of items that name none.
    pub pipeline: Result<PipelineKey, BadPipelineKey>,
}

/// An accepted report.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Of a run of a source: its start, or its end.
    SourceRun(SourceRunReport),
    /// Of the quality counts of a moment.
    DataQuality(DataQualityReport),
}

/// The two kinds of report. Ids are unique within a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// [`Report::SourceRun`].
    SourceRun,
    /// [`Report::DataQuality`].
    DataQuality,
}

/// Tells two bodies of the same id apart: SHA-256 over what was said, after parsing and before the server's defaults.
pub type BodyDigest = [u8; 32];

impl Report {
    /// Parses and checks one item.
    ///
    /// # Errors
    /// Every fault of the item, not just the first.
    pub fn parse(kind: ReportKind, item: Value, arrival: &Arrival) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::of(item)?;
        let report = match kind {
            ReportKind::SourceRun => SourceRunReport::parse(&mut fields, arrival).map(Self::SourceRun),
            ReportKind::DataQuality => DataQualityReport::parse(&mut fields, arrival).map(Self::DataQuality),
        };
        let faults = fields.finish();
        match report {
            Some(report) if faults.is_empty() => Ok(report),
            _ => Err(faults),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ReportKind {
        match self {
            Self::SourceRun(_) => ReportKind::SourceRun,
            Self::DataQuality(_) => ReportKind::DataQuality,
        }
    }

    /// The reporter's id.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::SourceRun(report) => report.id,
            Self::DataQuality(report) => report.id,
        }
    }

    /// The pipeline it is about.
    pub fn pipeline(&self) -> &PipelineKey {
        match self {
            Self::SourceRun(report) => &report.pipeline,
            Self::DataQuality(report) => &report.pipeline,
        }
    }

    /// The source it is about, where there is one.
    pub fn source(&self) -> Option<&SourceKey> {
        match self {
            Self::SourceRun(report) => Some(&report.source),
            Self::DataQuality(report) => report.source.as_ref(),
        }
    }

    /// The further checks that it counts.
    pub fn checks(&self) -> &BTreeMap<CheckName, Counts> {
        match self {
            Self::SourceRun(report) => &report.checks,
            Self::DataQuality(report) => &report.checks,
        }
    }

    /// Whether it tells of a start; all else tells of an end.
    pub fn phase(&self) -> Phase {
        match self {
            Self::SourceRun(report) => report.phase(),
            Self::DataQuality(_) => Phase::End,
        }
    }

    /// The digest of what was said.
    pub fn digest(&self) -> BodyDigest {
        let canonical = match self {
            Self::SourceRun(report) => serde_json::to_vec(report),
            Self::DataQuality(report) => serde_json::to_vec(report),
        };
        Sha256::digest(canonical.expect("plain structures always serialise")).into()
    }
}

#[cfg(test)]
mod tests;
