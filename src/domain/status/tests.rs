use proptest::prelude::*;

use super::*;
use crate::domain::alert::{AlertState, AlertType};
use crate::domain::counts::Counts;
use crate::domain::time::parse_rfc3339;

fn now() -> Timestamp {
    parse_rfc3339("2026-01-28T15:30:45Z").expect("a time")
}

fn hours_ago(hours: i64) -> Timestamp {
    now() - TimeDelta::hours(hours)
}

fn facts() -> Facts {
    Facts {
        pipeline: PipelineKey::default(),
        revision: Revision::after(None, now()),
        sources: vec![],
        counts: NamedCounts::new(),
        steps: Excerpt::default(),
        alerts: Excerpt::default(),
        anomalies: Excerpt::default(),
        metrics: vec![],
        conflict_events: None,
    }
}

fn status(facts: Facts) -> PipelineStatus {
    evaluate(facts, &Rules::default(), now())
}

/// A source whose last run ended this many hours ago in this state.
fn source(key: &str, last: Option<(RunState, i64)>) -> SourceFacts {
    let in_window = last.is_some_and(|(_, hours)| hours < 24);
    let succeeded = u64::from(in_window && last.is_some_and(|(state, _)| state == RunState::Ok));
    SourceFacts {
        key: key.parse().expect("a source"),
        enabled: true,
        last_run: last.map(|(state, hours)| LastRun { state, finished_at: hours_ago(hours) }),
        running: 0,
        runs: u64::from(in_window),
        succeeded,
        succeeded_fresh: succeeded,
    }
}

fn group(metric_type: MetricType, of_sources: bool, geocoding: (u64, u64), validation: (u64, u64)) -> MetricSums {
    let quality = Quality {
        geocoding: Counts::new(geocoding.0, geocoding.1).expect("counts"),
        validation: Counts::new(validation.0, validation.1).expect("counts"),
        ..Quality::default()
    };
    MetricSums { metric_type, of_sources, sums: QualitySums { quality, last_updated: hours_ago(1) } }
}

#[test]
fn scraping_health_follows_the_sources() {
    use RunState::{Aborted, Failed, Ok};
    let named = |lasts: &[Option<(RunState, i64)>]| -> Vec<SourceFacts> {
        lasts.iter().enumerate().map(|(index, last)| source(&format!("s{index}"), *last)).collect()
    };
    let well = Some((Ok, 1));
    for (lasts, expect, why) in [
        (vec![], Health::Pending, "no source"),
        (vec![None, None], Health::Pending, "none has ever run"),
        (vec![well, None], Health::Healthy, "one has run, one has not yet"),
        (vec![well, Some((Ok, 30))], Health::Healthy, "one is silent, one is not"),
        (vec![Some((Ok, 24)), Some((Ok, 30))], Health::Warning, "all are silent"),
        (vec![Some((Ok, 30)), None], Health::Warning, "the only one that ever ran is silent"),
        (vec![Some((Aborted, 1))], Health::Healthy, "an aborted run"),
        (vec![Some((Failed, 1)), well, well, well, well], Health::Warning, "a fifth failed"),
        (vec![Some((Failed, 1)), well, well, well], Health::Error, "more than a fifth failed"),
        (vec![Some((Failed, 500)), well, well, well], Health::Error, "a failure remains until the next run"),
    ] {
        let scraping = status(Facts { sources: named(&lasts), ..facts() }).scraping_health;
        assert_eq!(scraping.status, expect, "{why}");
    }
}

#[test]
fn disabled_sources_do_not_count_but_their_volumes_do() {
    let disabled = SourceFacts { enabled: false, ..source("old", Some((RunState::Failed, 1))) };
    let facts = Facts {
        sources: vec![disabled, source("punch", Some((RunState::Ok, 1)))],
        counts: [(CountName::ARTICLES, 125), (CountName::EVENTS, 42)].into(),
        ..facts()
    };
    let scraping = status(facts).scraping_health;
    assert_eq!((scraping.total_sources, scraping.failed_sources, scraping.sources.len()), (1, 0, 1));
    assert_eq!((scraping.articles_collected(), scraping.events_extracted()), (125, 42));
    assert_eq!(scraping.status, Health::Healthy);
}

#[test]
fn backfill_does_not_freshen_a_source() {
    let backfilled = SourceFacts { runs: 3, succeeded: 3, ..source("punch", None) };
    let scraping = status(Facts { sources: vec![backfilled], ..facts() }).scraping_health;
    assert_eq!(scraping.sources_processed, 0);
    assert_eq!(scraping.sources[0].status, Health::Pending);
    assert_eq!(scraping.sources[0].success_rate, Some(100.0), "it is history all the same");
}

#[test]
fn worst_sources_come_first() {
    let facts = Facts {
        sources: vec![
            source("b-well", Some((RunState::Ok, 1))),
            source("a-well", Some((RunState::Ok, 1))),
            source("new", None),
            source("silent", Some((RunState::Ok, 48))),
            source("broken", Some((RunState::Failed, 1))),
        ],
        ..facts()
    };
    let scraping = status(facts).scraping_health;
    let order: Vec<&str> = scraping.sources.iter().map(|source| source.source.as_str()).collect();
    assert_eq!(order, ["broken", "silent", "new", "a-well", "b-well"]);
    assert_eq!(scraping.stale_sources, 1);
}

#[test]
fn basis_is_the_first_type_with_an_attempt() {
    use MetricType::{Aggregate, Hourly, SourceSpecific};
    let events = QualitySums {
        quality: Quality { geocoding: Counts::new(7, 7).expect("counts"), ..Quality::default() },
        last_updated: now(),
    };
    for (metrics, events, expect, attempts) in [
        (vec![], None, Basis::None, 0),
        (vec![], Some(events.clone()), Basis::ConflictEvents, 7),
        (vec![group(Hourly, true, (6, 6), (0, 0))], Some(events), Basis::Hourly, 6),
        (vec![group(Hourly, true, (6, 6), (0, 0)), group(Hourly, false, (5, 5), (0, 0))], None, Basis::Hourly, 5),
        (
            vec![group(Hourly, false, (5, 5), (0, 0)), group(SourceSpecific, true, (4, 4), (0, 0))],
            None,
            Basis::SourceSpecific,
            4,
        ),
        (
            vec![group(SourceSpecific, true, (4, 4), (0, 0)), group(Aggregate, false, (0, 0), (3, 3))],
            None,
            Basis::Aggregate,
            0,
        ),
        (
            vec![group(SourceSpecific, true, (4, 4), (0, 0)), group(Aggregate, false, (0, 0), (0, 0))],
            None,
            Basis::SourceSpecific,
            4,
        ),
    ] {
        let quality = status(Facts { metrics: metrics.clone(), conflict_events: events, ..facts() }).data_quality;
        assert_eq!((quality.basis, quality.quality.geocoding.attempts()), (expect, attempts), "{metrics:?}");
    }
}

#[test]
fn example_of_the_design_is_reproduced() {
    let facts = Facts {
        sources: vec![source("punch", Some((RunState::Ok, 1)))],
        metrics: vec![group(MetricType::SourceSpecific, true, (48, 42), (39, 36))],
        ..facts()
    };
    let status = status(facts);
    assert_eq!(status.data_quality.quality.geocoding.rate().map(crate::domain::counts::round_percent), Some(87.5));
    assert_eq!(status.data_quality.quality.validation.rate().map(crate::domain::counts::round_percent), Some(92.3));
    assert_eq!((status.data_quality.status, status.overall_status), (Health::Healthy, Health::Healthy));
}

fn any_counts() -> impl Strategy<Value = (u64, u64)> {
    (0u64..2_000).prop_flat_map(|attempts| (Just(attempts), 0..=attempts))
}

fn any_group() -> impl Strategy<Value = MetricSums> {
    let groups = prop_oneof![
        Just((MetricType::Aggregate, false)),
        Just((MetricType::SourceSpecific, true)),
        Just((MetricType::Hourly, false)),
        Just((MetricType::Hourly, true)),
    ];
    (groups, any_counts(), any_counts()).prop_map(|((kind, of_sources), geo, val)| group(kind, of_sources, geo, val))
}

fn any_sources() -> impl Strategy<Value = Vec<SourceFacts>> {
    let states = prop_oneof![Just(RunState::Ok), Just(RunState::Failed), Just(RunState::Aborted), Just(RunState::Lost)];
    prop::collection::vec((prop::option::of((states, 0i64..100)), any::<bool>()), 0..30).prop_map(|lasts| {
        lasts
            .into_iter()
            .enumerate()
            .map(|(index, (last, enabled))| SourceFacts { enabled, ..source(&format!("s{index}"), last) })
            .collect()
    })
}

proptest! {
    #[test]
    fn types_are_never_mixed(mut metrics in prop::collection::vec(any_group(), 0..4)) {
        // One entry a group is what the store gives.
        metrics.sort_by_key(|group| (group.metric_type.as_str(), group.of_sources));
        metrics.dedup_by_key(|group| (group.metric_type, group.of_sources));
        let quality = status(Facts { metrics: metrics.clone(), ..facts() }).data_quality;
        if quality.basis == Basis::None {
            prop_assert!(metrics.iter().all(|group| !group.sums.quality.has_attempt()));
        } else {
            prop_assert!(metrics.iter().any(|group| group.sums.quality == quality.quality), "a sum of several groups");
        }
    }

    #[test]
    fn worst_part_wins(sources in any_sources(), group in any_group()) {
        let status = status(Facts { sources, metrics: vec![group], ..facts() });
        let parts = [status.scraping_health.status, status.data_quality.status];
        prop_assert!(parts.contains(&status.overall_status));
        prop_assert!(parts.iter().all(|part| *part <= status.overall_status));
    }

    #[test]
    fn empty_is_pending(sources in prop::collection::vec(any::<bool>(), 0..20)) {
        let never_ran = |(index, enabled): (usize, bool)| SourceFacts { enabled, ..source(&format!("s{index}"), None) };
        let sources = sources.into_iter().enumerate().map(never_ran).collect();
        prop_assert_eq!(status(Facts { sources, ..facts() }).overall_status, Health::Pending);
    }

    #[test]
    fn counts_of_sources_add_up(sources in any_sources()) {
        let enabled = sources.iter().filter(|source| source.enabled).count();
        let scraping = status(Facts { sources, ..facts() }).scraping_health;
        prop_assert_eq!(scraping.sources.len(), enabled);
        prop_assert_eq!(scraping.total_sources, enabled as u64);
        prop_assert!(scraping.sources_processed + scraping.failed_sources <= scraping.total_sources);
        prop_assert_eq!(
            scraping.failed_sources,
            scraping.sources.iter().filter(|source| source.status == Health::Error).count() as u64
        );
    }
}

#[test]
fn stale_status_has_an_alert_with_its_start() {
    for (sources, before) in [(vec![], Health::Pending), (vec![source("a", Some((RunState::Ok, 1)))], Health::Healthy)]
    {
        let known = status(Facts { sources, ..facts() });
        assert_eq!((known.overall_status, known.has_server_alert()), (before, false));
        let at = |minutes| now() + TimeDelta::minutes(minutes);
        let first = known.clone().not_readable(at(1));
        let later = first.clone().not_readable(at(2));
        for (status, minutes) in [(&first, 1), (&later, 2)] {
            assert!(status.has_server_alert());
            assert_eq!((status.timestamp, status.revision), (at(minutes), known.revision));
            assert_eq!(status.overall_status, Health::Error);
            assert_eq!(status.scraping_health, known.scraping_health, "what was known stays");
            let alerts: Vec<_> =
                status.alerts.listed.iter().map(|alert| (alert.kind, alert.state, alert.timestamp)).collect();
            assert_eq!(alerts, [(AlertType::Server, AlertState::Firing, at(1))], "one, since it began");
        }
    }
}

#[test]
fn unwritable_status_has_an_alert_and_is_otherwise_unchanged() {
    let known = status(Facts { sources: vec![source("a", Some((RunState::Ok, 1)))], ..facts() });
    let shown = known.clone().not_writable(now());
    assert!(shown.has_server_alert());
    assert_eq!((shown.timestamp, shown.revision), (known.timestamp, known.revision));
    assert_eq!((shown.overall_status, shown.alerts.listed.len()), (Health::Error, 1));
    let unreadable = shown.clone().not_readable(now() + TimeDelta::minutes(1));
    assert_eq!(unreadable.alerts.listed.len(), 1, "one alert, of the current problem");
    assert_ne!(unreadable.alerts.listed[0].title, shown.alerts.listed[0].title);
}

#[test]
fn server_alert_fits_in_a_full_list() {
    let alert = |number: u64| Alert {
        id: number.to_string(),
        kind: AlertType::Overdue,
        severity: crate::domain::severity::Severity::High,
        title: String::new(),
        message: String::new(),
        timestamp: now(),
        state: AlertState::Firing,
        source: None,
    };
    let alerts = Excerpt::from((0..120).map(alert).collect::<Vec<_>>());
    assert_eq!((alerts.listed.len(), alerts.omitted), (100, 20));
    let known = status(Facts { alerts, ..facts() });
    assert_eq!(known.overall_status, Health::Error);
    let troubled = known.not_readable(now());
    assert!(troubled.has_server_alert());
    assert_eq!((troubled.alerts.listed.len(), troubled.alerts.omitted), (100, 21));
}
