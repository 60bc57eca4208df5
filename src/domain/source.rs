use crate::domain::freshness::{ExpectedSchedule, Grace};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::labels::Labels;
use crate::domain::run::LastRun;

/// A registered source of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub pipeline: PipelineKey,
    pub key: SourceKey,
    /// Disabled sources do not affect the status.
    pub enabled: bool,
    /// The newest finished run that is not backfill.
    pub last_run: Option<LastRun>,
    /// As configured; otherwise an interval is inferred.
    pub expected: Option<ExpectedSchedule>,
    /// As configured.
    pub grace: Option<Grace>,
    pub labels: Labels,
}

/// A change of a source. `None` keeps the present value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceChange {
    pub enabled: Option<bool>,
    /// `Some(None)` removes the schedule, so that an interval is inferred.
    pub expected: Option<Option<ExpectedSchedule>>,
    /// `Some(None)` restores the default.
    pub grace: Option<Option<Grace>>,
    pub labels: Option<Labels>,
}
