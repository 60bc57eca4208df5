//! What holds whatever the evaluations find, and however they are grouped.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::tests::{Replay, finding};
use super::*;

/// The result for one subject: none, or a verdict.
fn verdict() -> impl Strategy<Value = Option<Verdict>> {
    let severity = || prop::option::of(prop::sample::select(vec![Severity::Low, Severity::Medium, Severity::High]));
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(Verdict::Unknown)),
        8 => (severity(), severity()).prop_map(|(severity, held)| Some(Verdict::Known { severity, not_recovered_from: held.max(severity) })),
    ]
}

/// Three sources under two rules, with occasional acknowledgements of the first alert.
fn evaluations() -> impl Strategy<Value = Vec<(Vec<Option<Verdict>>, bool)>> {
    prop::collection::vec((prop::collection::vec(verdict(), 6), prop::bool::weighted(0.1)), 1..40)
}

fn findings(verdicts: &[Option<Verdict>]) -> Vec<Finding> {
    let subjects = ["a", "b", "c"].into_iter().flat_map(|name| [(name, Rule::Threshold), (name, Rule::Overdue)]);
    subjects
        .zip(verdicts)
        .filter_map(|((name, rule), verdict)| verdict.map(|verdict| finding(name, rule, verdict)))
        .collect()
}

fn replay(evaluations: &[(Vec<Option<Verdict>>, bool)], policy: Policy) -> Replay {
    replay_with(evaluations, policy, |_| {})
}

fn replay_with(evaluations: &[(Vec<Option<Verdict>>, bool)], policy: Policy, check: impl Fn(&Replay)) -> Replay {
    let mut replay = Replay::new(policy);
    for (verdicts, acknowledge) in evaluations {
        replay.evaluate(&findings(verdicts));
        if *acknowledge && replay.open.first().is_some_and(|alert| alert.state == AlertState::Firing) {
            replay.acknowledge();
        }
        check(&replay);
    }
    replay
}

proptest! {
    #[test]
    fn open_fingerprints_are_unique_and_transitions_are_valid(evaluations in evaluations(), needed in 1u32..4) {
        let policy = Policy { needed, ..Policy::default() };
        let replay = replay_with(&evaluations, policy, |replay| {
            let open: HashSet<&Fingerprint> = replay.open.iter().map(|alert| &alert.fingerprint).collect();
            assert_eq!(open.len(), replay.open.len(), "{:?}", replay.open);
        });
        let mut states: HashMap<_, AlertState> = HashMap::new();
        for transition in &replay.log {
            let before = states.insert(transition.id, transition.to);
            prop_assert_eq!(before, transition.from, "{:?}", transition);
            match before {
                None => prop_assert_eq!(transition.to, AlertState::Pending),
                Some(before) => prop_assert!(before.may_become(transition.to), "{:?}", transition),
            }
        }
        for alert in &replay.open {
            prop_assert_eq!(states[&alert.id], alert.state, "the log and the table agree");
        }
    }

    #[test]
    fn fired_alerts_resolve_exactly_once(evaluations in evaluations()) {
        let mut replay = replay(&evaluations, Policy::default());
        for _ in 0..replay.policy.recovery {
            replay.evaluate(&findings(&[Some(Verdict::OK); 6]));
        }
        prop_assert!(replay.open.is_empty(), "{:?}", replay.open);
        let mut ends: HashMap<_, (u32, u32)> = HashMap::new();
        for transition in &replay.log {
            let (fired, resolved) = ends.entry(transition.id).or_default();
            *fired += u32::from(transition.reason == Reason::Persisted);
            *resolved += u32::from(transition.to == AlertState::Resolved);
        }
        prop_assert!(ends.values().all(|(fired, resolved)| *fired <= 1 && *resolved == 1), "{:?}", ends);
    }

    /// All pipelines at once, one at a time, or one alert alone: the same transitions.
    #[test]
    fn evaluating_in_groups_gives_the_same_alerts(
        evaluations in evaluations(), groups in prop::collection::vec(0usize..3, 6),
    ) {
        let whole = replay(&evaluations.iter().map(|(verdicts, _)| (verdicts.clone(), false)).collect::<Vec<_>>(), Policy::default());
        let mut parts = Replay::new(Policy::default());
        let all = findings(&[Some(Verdict::OK); 6]);
        for (verdicts, _) in &evaluations {
            parts.now += chrono::TimeDelta::seconds(30);
            let found = findings(verdicts);
            for group in 0..3 {
                let members: Vec<Fingerprint> =
                    all.iter().zip(&groups).filter(|(_, of)| **of == group).map(|(one, _)| one.fingerprint()).collect();
                let open: Vec<TrackedAlert> =
                    parts.open.iter().filter(|alert| members.contains(&alert.fingerprint)).cloned().collect();
                let found: Vec<Finding> =
                    found.iter().filter(|one| members.contains(&one.fingerprint())).cloned().collect();
                let changes = advance(&open, &found, &parts.policy, parts.now);
                parts.keep(changes.changed);
                parts.log.extend(changes.transitions);
            }
        }
        let sorted = |mut log: Vec<Transition>| {
            // Events of one alert at one instant keep their order.
            log.sort_by(|one, two| (one.at, &one.fingerprint).cmp(&(two.at, &two.fingerprint)));
            log
        };
        prop_assert_eq!(sorted(whole.log), sorted(parts.log));
    }

    #[test]
    fn evaluation_is_deterministic(evaluations in evaluations()) {
        let (one, two) = (replay(&evaluations, Policy::default()), replay(&evaluations, Policy::default()));
        prop_assert_eq!(one.log, two.log);
        prop_assert_eq!(one.open, two.open);
    }
}
