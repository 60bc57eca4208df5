//! The lists within a report: further checks, and steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::check::CheckName;
use crate::domain::counts::Counts;
use crate::domain::name::Name;
use crate::domain::report::Arrival;
use crate::domain::report::fields::{self, Fields};
use crate::domain::report::origin::instant;
use crate::domain::step::{Step, StepState};

/// Further checks of one report.
const MAX_CHECKS: usize = 50;
/// Steps of one run.
const MAX_STEPS: usize = 50;

/// Names that would be confused with the fields that have these counts, and with the volumes in a history.
const RESERVED: [(&str, &str); 4] = [
    ("geocoding", "geocoding_attempts and geocoding_successes"),
    ("validation", "validation_attempts and validation_passes"),
    ("articles", "another name: it stands for articles_collected"),
    ("events", "another name: it stands for events_extracted"),
];

/// Checks beyond the two, each by its name.
pub(super) fn checks(fields: &mut Fields) -> Option<BTreeMap<CheckName, Counts>> {
    let items = fields.items("checks", MAX_CHECKS)?;
    let mut checks = BTreeMap::new();
    for mut item in items {
        let name = name(&mut item);
        let attempts = item.required_count("attempts");
        let passes = item.required_count("passes");
        let counts = attempts.zip(passes).and_then(|(attempts, passes)| item.counts("passes", attempts, passes));
        if let Some((_, instead)) = name.as_ref().and_then(|name| RESERVED.iter().find(|it| it.0 == name.as_str())) {
            item.fault("name", "this name is taken by fields of the report", instead);
        } else if name.as_ref().is_some_and(|name| checks.contains_key(name)) {
            item.fault("name", "this check is named twice", "each check once");
        }
        checks.extend(name.zip(counts));
        // What is incomplete has a fault, and so the report is refused.
        fields.adopt(item);
    }
    Some(checks)
}

/// The steps of a run, in their order. Those of a run that has ended are not running any more.
pub(super) fn steps(fields: &mut Fields, has_ended: bool, arrival: &Arrival) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut names = BTreeSet::new();
    for mut item in fields.items("steps", MAX_STEPS)? {
        let name = name(&mut item);
        if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
            item.fault("name", "this step is named twice", "each step once");
        }
        let state = item.required("state", &fields::one_of::<StepState>(), |value| value.as_str()?.parse().ok());
        if has_ended && state == Some(StepState::Running) {
            item.fault("state", "the run has ended, and its steps with it", "ok, failed, skipped or pending");
        }
        let (items_in, items_out) = (item.count("items_in"), item.count("items_out"));
        let started_at = instant(&mut item, "started_at", arrival);
        let ended_at = instant(&mut item, "ended_at", arrival);
        if started_at.zip(ended_at).is_some_and(|(started, ended)| ended < started) {
            item.fault("ended_at", "it ends before it starts", "at or after started_at");
        }
        let step = name.zip(state);
        steps.extend(step.map(|(name, state)| Step { name, state, items_in, items_out, started_at, ended_at }));
        // What is incomplete has a fault, and so the report is refused.
        fields.adopt(item);
    }
    Some(steps)
}

fn name(item: &mut Fields) -> Option<Name> {
    item.required("name", Name::EXPECTED, |value| value.as_str()?.parse().ok())
}
