use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::counts::Counts;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::named_counts::{CountName, NamedCounts};
use crate::domain::report::RunDetails;
use crate::domain::run_id::RunId;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

/// The outcome of a run, as reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    /// Started; its end is reported under the same id.
    Running,
    Ok,
    Failed,
    /// Stopped before its end.
    Aborted,
}

impl Outcome {
    /// The name in JSON: `failed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum RunState {
    Running,
    Ok,
    Failed,
    Aborted,
    /// Started, and never finished.
    Lost,
}

impl RunState {
    /// The name in the database: `failed`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

impl From<Outcome> for RunState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Running => Self::Running,
            Outcome::Ok => Self::Ok,
            Outcome::Failed => Self::Failed,
            Outcome::Aborted => Self::Aborted,
        }
    }
}

/// The newest finished run of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastRun {
    pub state: RunState,
    pub finished_at: Timestamp,
}

/// A run in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningRun {
    /// The key of its row.
    pub key: Uuid,
    pub pipeline: PipelineKey,
    pub source: SourceKey,
    pub started_at: Timestamp,
}

impl RunningRun {
    /// Whether the run is lost: it takes longer than an hour and than three times the median of `durations`, the durations of
    /// the source's last runs in any order.
    pub fn is_lost(&self, durations: &mut [TimeDelta], now: Timestamp) -> bool {
        durations.sort_unstable();
        let usual = durations.get(durations.len() / 2).copied().unwrap_or_default();
        now - self.started_at > (usual * 3).max(TimeDelta::hours(1))
    }
}

/// A stored run of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRun {
    /// Assigned by the reporter, otherwise by the server.
    pub id: RunId,
    /// The key of its row.
    pub key: Uuid,
    pub pipeline: PipelineKey,
    pub source: SourceKey,
    pub state: RunState,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub received_at: Timestamp,
    /// Reported more than 24 hours after its end: part of the history, without effect on the status.
    pub backfill: bool,
    pub articles_collected: Option<u64>,
    pub events_extracted: Option<u64>,
    /// The counts other than articles and events.
    pub counts: NamedCounts,
    pub details: RunDetails,
    pub geocoding: Option<Counts>,
    pub validation: Option<Counts>,
    /// In order.
    pub steps: Vec<Step>,
    /// The error message of the reporter.
    pub error: Option<String>,
    /// The end of its output.
    pub log: Option<String>,
}

impl SourceRun {
    /// The counts by name, those of the old fields included.
    pub fn all_counts(&self) -> impl Iterator<Item = (CountName, u64)> {
        let old = [(CountName::ARTICLES, self.articles_collected), (CountName::EVENTS, self.events_extracted)];
        let old = old.into_iter().filter_map(|(name, count)| Some((name, count?)));
        old.chain(self.counts.iter().map(|(name, count)| (name.clone(), *count)))
    }

    /// From its start to its end, if both are known.
    pub fn duration(&self) -> Option<TimeDelta> {
        Some(self.finished_at? - self.started_at?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_is_lost_after_three_medians_and_an_hour() {
        let started_at = Timestamp::from_timestamp(0, 0).expect("a time");
        let run = RunningRun {
            key: Uuid::nil(),
            pipeline: PipelineKey::default(),
            source: "punch".parse().expect("a source"),
            started_at,
        };
        for (durations, minutes, expect) in [
            (vec![], 60, false),
            (vec![], 61, true),
            (vec![1, 2, 3], 60, false),
            (vec![1, 2, 3], 61, true),
            (vec![90, 40, 30], 120, false),
            (vec![90, 40, 30], 121, true),
        ] {
            let mut durations: Vec<_> = durations.into_iter().map(TimeDelta::minutes).collect();
            let now = started_at + TimeDelta::minutes(minutes);
            assert_eq!(run.is_lost(&mut durations, now), expect, "{durations:?} after {minutes} min");
        }
    }
}
