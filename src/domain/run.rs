use chrono::TimeDelta;
use uuid::Uuid;

use crate::domain::counts::Counts;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::step::Step;
use crate::domain::time::Timestamp;

/// What its reporter says of a run: how it ended, or that it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum Outcome {
    /// It has begun; its end is to be reported under the same id.
    Running,
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
            Outcome::Running => Self::Running,
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

/// A run that has begun and not yet ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningRun {
    /// Its id.
    pub id: Uuid,
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The source that runs.
    pub source: SourceKey,
    /// When it began.
    pub started_at: Timestamp,
}

impl RunningRun {
    /// Whether it must be given up: it outlives three times what its source's last runs usually took, and an hour.
    /// `durations` are those of the last runs, as many as are known, in any order.
    pub fn is_lost(&self, durations: &mut [TimeDelta], now: Timestamp) -> bool {
        durations.sort_unstable();
        let usual = durations.get(durations.len() / 2).copied().unwrap_or_default();
        now - self.started_at > (usual * 3).max(TimeDelta::hours(1))
    }
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
    /// Its steps, in their order.
    pub steps: Vec<Step>,
    /// What went wrong, in the reporter's words.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_lost_when_it_outlives_thrice_the_usual_and_an_hour() {
        let started_at = Timestamp::from_timestamp(0, 0).expect("a time");
        let run = RunningRun {
            id: Uuid::nil(),
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
