//! The steps of a run, and those of a pipeline's last cycle.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde::Serialize;

use crate::domain::counts::add_counts;
use crate::domain::name::Name;
use crate::domain::time::{Timestamp, serde_rfc3339};

pub type StepName = Name;

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum StepState {
    Pending,
    Running,
    Ok,
    Failed,
    Skipped,
}

impl StepState {
    /// The name in JSON and in the database: `skipped`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub name: StepName,
    pub state: StepState,
    /// Input items, if counted.
    pub items_in: Option<u64>,
    /// Output items, if counted.
    pub items_out: Option<u64>,
    #[serde(with = "serde_rfc3339::option")]
    pub started_at: Option<Timestamp>,
    #[serde(with = "serde_rfc3339::option")]
    pub ended_at: Option<Timestamp>,
}

/// One step of a pipeline's last cycle, merged from the newest run of each source that reports steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStep {
    pub name: StepName,
    /// Failed if it failed in any run; running if it runs in any, or is done in one and pending in another.
    pub state: StepState,
    /// The number of runs with this step, one per source.
    pub sources: u64,
    /// The number of these runs in which it failed.
    pub failed: u64,
    /// The total of counted input items.
    pub items_in: Option<u64>,
    /// The total of counted output items.
    pub items_out: Option<u64>,
    /// The earliest start.
    pub started_at: Option<Timestamp>,
    /// The latest end; `None` until all have ended.
    pub ended_at: Option<Timestamp>,
    /// The total of the known durations.
    pub duration: Option<TimeDelta>,
}

/// Merges the steps of several runs, in the runs' order.
pub fn last_cycle<'a>(runs: impl IntoIterator<Item = &'a [Step]>) -> Vec<PipelineStep> {
    let mut steps: Vec<(usize, Vec<&Step>)> = Vec::new();
    let mut places: HashMap<&StepName, usize> = HashMap::new();
    for run in runs {
        for (position, step) in run.iter().enumerate() {
            let place = *places.entry(&step.name).or_insert(steps.len());
            if place == steps.len() {
                steps.push((position, Vec::new()));
            }
            let (first, same) = &mut steps[place];
            *first = position.max(*first);
            same.push(step);
        }
    }
    // A run without a step does not move later steps forward.
    steps.sort_by_key(|(position, _)| *position);
    steps.iter().map(|(_, same)| merge(same)).collect()
}

/// `same` is not empty, and all its steps have the same name.
fn merge(same: &[&Step]) -> PipelineStep {
    let sum = |of: fn(&Step) -> Option<u64>| same.iter().filter_map(|step| of(step)).reduce(add_counts);
    let spent = |step: &&Step| step.started_at.zip(step.ended_at).map(|(started, ended)| ended - started);
    let is_over = same.iter().all(|step| !matches!(step.state, StepState::Pending | StepState::Running));
    PipelineStep {
        name: same[0].name.clone(),
        state: state(same),
        sources: same.len() as u64,
        failed: same.iter().filter(|step| step.state == StepState::Failed).count() as u64,
        items_in: sum(|step| step.items_in),
        items_out: sum(|step| step.items_out),
        started_at: same.iter().filter_map(|step| step.started_at).min(),
        ended_at: same.iter().filter_map(|step| step.ended_at).max().filter(|_| is_over),
        duration: same.iter().filter_map(spent).reduce(std::ops::Add::add),
    }
}

fn state(same: &[&Step]) -> StepState {
    let has = |state| same.iter().any(|step| step.state == state);
    if has(StepState::Failed) {
        StepState::Failed
    } else if has(StepState::Running) || has(StepState::Pending) && has(StepState::Ok) {
        StepState::Running
    } else if has(StepState::Pending) {
        StepState::Pending
    } else if has(StepState::Ok) {
        StepState::Ok
    } else {
        StepState::Skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use StepState::{Failed, Ok, Pending, Running, Skipped};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_timestamp(second, 0).expect("a time")
    }

    fn step(name: &str, state: StepState, items: u64, seconds: Option<(i64, i64)>) -> Step {
        Step {
            name: name.parse().expect("a name"),
            state,
            items_in: Some(items),
            items_out: None,
            started_at: seconds.map(|(start, _)| at(start)),
            ended_at: seconds.map(|(_, end)| at(end)),
        }
    }

    #[test]
    fn states_of_runs_are_merged() {
        for (states, expect) in [
            (vec![Ok, Ok], Ok),
            (vec![Ok, Failed, Running], Failed),
            (vec![Ok, Running], Running),
            (vec![Ok, Pending], Running),
            (vec![Pending, Skipped], Pending),
            (vec![Ok, Skipped], Ok),
            (vec![Skipped], Skipped),
        ] {
            let runs: Vec<_> = states.iter().map(|state| vec![step("collection", *state, 1, None)]).collect();
            let steps = last_cycle(runs.iter().map(Vec::as_slice));
            assert_eq!(steps.iter().map(|step| step.state).collect::<Vec<_>>(), [expect], "{states:?}");
        }
    }

    #[test]
    fn counts_and_times_are_merged() {
        let one = [step("collection", Ok, 10, Some((0, 4))), step("geocoding", Ok, 7, Some((4, 6)))];
        let two =
            [step("collection", Ok, 5, Some((2, 3))), step("extraction", Ok, 5, None), step("geocoding", Ok, 1, None)];
        let steps = last_cycle([&one[..], &two]);
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["collection", "extraction", "geocoding"]);
        let collection = &steps[0];
        assert_eq!((collection.sources, collection.items_in, collection.items_out), (2, Some(15), None));
        assert_eq!((collection.started_at, collection.ended_at), (Some(at(0)), Some(at(4))));
        assert_eq!(collection.duration, Some(TimeDelta::seconds(5)), "4 s and 1 s");
        assert_eq!(steps[1].duration, None, "no times");
    }

    #[test]
    fn step_ends_when_all_runs_have_ended_it() {
        let runs = [[step("collection", Ok, 1, Some((0, 4)))], [step("collection", Running, 1, None)]];
        assert_eq!(last_cycle(runs.iter().map(|run| &run[..]))[0].ended_at, None);
    }
}
