//! The lists of a report: checks and steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::check::CheckName;
use crate::domain::counts::Counts;
use crate::domain::name::Name;
use crate::domain::report::ReportContext;
use crate::domain::report::common_fields::instant;
use crate::domain::report::fields::{self, Fields};
use crate::domain::step::{Step, StepState};

/// Per report.
const MAX_CHECKS: usize = 50;
/// Per run.
const MAX_STEPS: usize = 50;

/// Names that would be ambiguous: the built-in checks have their own fields, and the others are volumes in a history.
const RESERVED: [(&str, &str); 4] = [
    ("geocoding", "geocoding_attempts and geocoding_successes"),
    ("validation", "validation_attempts and validation_passes"),
    ("articles", "another name: `articles` means articles_collected"),
    ("events", "another name: `events` means events_extracted"),
];

/// The checks other than geocoding and validation.
pub(super) fn checks(fields: &mut Fields) -> Option<BTreeMap<CheckName, Counts>> {
    let items = fields.items("checks", MAX_CHECKS)?;
    let mut checks = BTreeMap::new();
    for mut item in items {
        let name = name(&mut item);
        let attempts = item.required_count("attempts");
        let passes = item.required_count("passes");
        let counts = attempts.zip(passes).and_then(|(attempts, passes)| item.counts("passes", attempts, passes));
        if let Some((_, instead)) = name.as_ref().and_then(|name| RESERVED.iter().find(|it| it.0 == name.as_str())) {
            item.error("name", "this name is reserved", instead);
        } else if name.as_ref().is_some_and(|name| checks.contains_key(name)) {
            item.error("name", "duplicate check", "each check once");
        }
        checks.extend(name.zip(counts));
        // An incomplete item has an error, so the report is rejected.
        fields.absorb(item);
    }
    Some(checks)
}

/// The steps of a run, in order. In a finished run no step is running.
pub(super) fn steps(fields: &mut Fields, has_ended: bool, context: &ReportContext) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut names = BTreeSet::new();
    for mut item in fields.items("steps", MAX_STEPS)? {
        let name = name(&mut item);
        if name.as_ref().is_some_and(|name| !names.insert(name.clone())) {
            item.error("name", "duplicate step", "each step once");
        }
        let state = item.required("state", &fields::one_of::<StepState>(), |value| value.as_str()?.parse().ok());
        if has_ended && state == Some(StepState::Running) {
            item.error("state", "the run has ended", "ok, failed, skipped or pending");
        }
        let (items_in, items_out) = (item.count("items_in"), item.count("items_out"));
        let started_at = instant(&mut item, "started_at", context);
        let ended_at = instant(&mut item, "ended_at", context);
        if started_at.zip(ended_at).is_some_and(|(started, ended)| ended < started) {
            item.error("ended_at", "the step ends before it starts", "at or after started_at");
        }
        let step = name.zip(state);
        steps.extend(step.map(|(name, state)| Step { name, state, items_in, items_out, started_at, ended_at }));
        // An incomplete item has an error, so the report is rejected.
        fields.absorb(item);
    }
    Some(steps)
}

fn name(item: &mut Fields) -> Option<Name> {
    item.required("name", Name::EXPECTED, |value| value.as_str()?.parse().ok())
}
