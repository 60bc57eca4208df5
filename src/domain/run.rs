use uuid::Uuid;

use crate::domain::counts::Counts;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// How a finished run ended, in its reporter's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    /// It did its work.
    Ok,
    /// It did not.
    Failed,
    /// Somebody stopped it.
    Aborted,
}

impl Outcome {
    /// As it stands in JSON: `failed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum RunState {
    /// Begun and not yet ended.
    Running,
    /// Ended well.
    Ok,
    /// Ended in failure.
    Failed,
    /// Stopped.
    Aborted,
    /// Begun, and never heard of again.
    Lost,
}

impl RunState {
    /// As it stands in the database: `failed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl From<Outcome> for RunState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Ok => Self::Ok,
            Outcome::Failed => Self::Failed,
            Outcome::Aborted => Self::Aborted,
        }
    }
}

/// How a source's newest run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    /// How it ended.
    pub state: RunState,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// A run of a source, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRun {
    /// Its id: the reporter's, else the server's.
    pub id: Uuid,
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The source that ran.
    pub source: SourceKey,
    /// Where it stands.
    pub state: RunState,
    /// When it began, if that was reported.
    pub started_at: Option<Timestamp>,
    /// When it ended, if it has.
    pub finished_at: Option<Timestamp>,
    /// When the report reached the server.
    pub received_at: Timestamp,
    /// Whether it was reported more than a day after it ended.
    pub backfill: bool,
    /// Articles, if they were counted.
    pub articles_collected: Option<u32>,
    /// Events, if they were counted.
    pub events_extracted: Option<u32>,
    /// The geocoding check, if it was counted.
    pub geocoding: Option<Counts>,
    /// The validation check, if it was counted.
    pub validation: Option<Counts>,
    /// What went wrong, in the reporter's words.
    pub error: Option<String>,
}
