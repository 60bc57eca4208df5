//! The steps of a run, and those of a pipeline's last cycle.

use std::collections::HashMap;

use chrono::TimeDelta;
use serde::Serialize;

use crate::domain::name::Name;
use crate::domain::time::{Timestamp, serde_rfc3339};

/// The name of a step.
pub type StepName = Name;

/// Where a step stands.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum StepState {
    /// Not yet begun.
    Pending,
    /// Begun and not yet ended.
    Running,
    /// Ended well.
    Ok,
    /// Ended in failure.
    Failed,
    /// Left out.
    Skipped,
}

impl StepState {
    /// As it stands in JSON and in the database: `skipped`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// One step of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub name: StepName,
    /// Where it stands.
    pub state: StepState,
    /// Items it was given, if they were counted.
    pub items_in: Option<u32>,
    /// Items it gave on, if they were counted.
    pub items_out: Option<u32>,
    /// When it began.
    #[serde(with = "serde_rfc3339::option")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "serde_rfc3339::option")]
    pub ended_at: Option<Timestamp>,
}

/// One step of a pipeline's last cycle: the newest run of each source that told of its steps, taken together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PipelineStep {
    /// Its name.
    pub name: StepName,
    /// Failed when it failed anywhere; running while it runs anywhere, or is done here and still to come there.
    pub state: StepState,
    /// In how many sources' runs it is.
    pub sources: u64,
    /// In how many of them it failed.
    pub failed: u64,
    /// Items it was given, where they were counted.
    pub items_in: Option<u64>,
    /// Items it gave on, where they were counted.
    pub items_out: Option<u64>,
    /// When the first of them began.
    pub started_at: Option<Timestamp>,
    /// When the last of them ended; none while one has not.
    pub ended_at: Option<Timestamp>,
    /// The time that was spent in it, all sources together, as far as it is known.
    pub duration: Option<TimeDelta>,
}

/// Takes the steps of several runs together, in the order in which the runs have them.
pub fn cycle<'a>(runs: impl IntoIterator<Item = &'a [Step]>) -> Vec<PipelineStep> {
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
    // A run that leaves a step out does not move the steps behind it forward.
    steps.sort_by_key(|(position, _)| *position);
    steps.iter().map(|(_, same)| together(same)).collect()
}

/// `same` has at least one step, and all of one name.
fn together(same: &[&Step]) -> PipelineStep {
    let sum = |of: fn(&Step) -> Option<u32>| {
        same.iter().filter_map(|step| of(step)).map(u64::from).reduce(std::ops::Add::add)
    };
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

    fn step(name: &str, state: StepState, items: u32, seconds: Option<(i64, i64)>) -> Step {
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
    fn the_state_of_a_step_is_that_of_the_cycle() {
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
            let steps = cycle(runs.iter().map(Vec::as_slice));
            assert_eq!(steps.iter().map(|step| step.state).collect::<Vec<_>>(), [expect], "{states:?}");
        }
    }

    #[test]
    fn counts_and_times_are_those_of_all_runs() {
        let one = [step("collection", Ok, 10, Some((0, 4))), step("geocoding", Ok, 7, Some((4, 6)))];
        let two =
            [step("collection", Ok, 5, Some((2, 3))), step("extraction", Ok, 5, None), step("geocoding", Ok, 1, None)];
        let steps = cycle([&one[..], &two]);
        let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
        assert_eq!(names, ["collection", "extraction", "geocoding"]);
        let collection = &steps[0];
        assert_eq!((collection.sources, collection.items_in, collection.items_out), (2, Some(15), None));
        assert_eq!((collection.started_at, collection.ended_at), (Some(at(0)), Some(at(4))));
        assert_eq!(collection.duration, Some(TimeDelta::seconds(5)), "4 s of one and 1 s of the other");
        assert_eq!(steps[1].duration, None, "nobody said");
    }

    #[test]
    fn a_step_has_not_ended_before_all_have() {
        let runs = [[step("collection", Ok, 1, Some((0, 4)))], [step("collection", Running, 1, None)]];
        assert_eq!(cycle(runs.iter().map(|run| &run[..]))[0].ended_at, None);
    }
}
