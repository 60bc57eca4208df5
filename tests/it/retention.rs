use chrono::{DateTime, TimeDelta, Utc};
use pipewatch::domain::alert::{Finding, Policy, SelfCheck, TrackedAlert, advance};
use pipewatch::domain::anomaly::{self, Anomaly, AnomalyType, Method, Subject};
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::rollup::{Bucket, Range, Series};
use pipewatch::domain::severity::Severity;
use pipewatch::domain::status::RuleBook;
use pipewatch::store::retention::Retention;
use serde_json::{Value, json};

use crate::support::timed_store::{TimedStore, at, lines, rollups};
use crate::support::{Database, run, with};

on_both_databases! {
    old_rows_are_pruned_and_their_totals_stay,
    rebuild_keeps_totals_of_pruned_rows,
    pruning_many_rows_does_not_block_reports,
    hourly_totals_are_pruned_and_daily_totals_stay,
    past_alerts_and_anomalies_are_pruned,
}

const NOW: &str = "2026-06-15T12:00:00Z";
const RETENTION: Retention = Retention { raw: TimeDelta::days(90), hourly: TimeDelta::days(730) };

fn timed(source: &str, at: &str) -> Value {
    with(run(source), json!({"timestamp": at}))
}

async fn count(database: &Database, table: &str) -> u64 {
    let lines = lines(database, &format!("SELECT CAST(COUNT(*) AS varchar) FROM {table}")).await;
    lines[0].parse().expect("a number")
}

async fn old_rows_are_pruned_and_their_totals_stay(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-17T12:00:00Z").await;
    // 90 days before now is noon of March 17; whole days are pruned.
    fixture.runs(&[timed("a", "2026-03-16T23:59:59Z"), timed("a", "2026-03-17T00:00:00Z")]).await;
    fixture.store.write_hourly_metrics(&RuleBook::default()).await.expect("closed hours");
    let (before, sources) =
        (rollups(&database, "default").await, fixture.store.sources(&PipelineKey::default(), None, 100).await);
    assert_eq!(fixture.store.prune(&RETENTION).await.expect("pruned"), 0);
    fixture.set_now(NOW);
    assert_eq!(fixture.store.prune(&RETENTION).await.expect("pruned"), 3, "a run, its metric, and the hour");
    assert_eq!((count(&database, "source_runs").await, count(&database, "data_quality_metrics").await), (1, 2));
    assert_eq!(rollups(&database, "default").await, before);
    fixture.set_now("2026-06-16T12:00:00Z");
    assert_eq!(fixture.store.prune(&RETENTION).await.expect("pruned"), 3);
    assert_eq!(count(&database, "source_runs").await, 0);
    let kept = fixture.store.sources(&PipelineKey::default(), None, 100).await.expect("sources");
    assert_eq!(kept, sources.expect("sources"), "the last run is kept forever");
    fixture.close().await;
}

async fn rebuild_keeps_totals_of_pruned_rows(database: Database) {
    let pipeline = PipelineKey::default();
    let fixture = TimedStore::open(&database, NOW).await;
    fixture.runs(&[timed("a", "2026-03-16T10:00:00Z"), timed("a", "2026-03-17T10:00:00Z"), timed("b", NOW)]).await;
    assert_eq!(fixture.store.prune(&RETENTION).await.expect("pruned"), 2);
    // This run arrives after its day was pruned: the totals include it permanently.
    fixture.runs(&[timed("a", "2026-03-16T11:00:00Z")]).await;
    let before = rollups(&database, "default").await;
    for _ in 0..2 {
        fixture.store.rebuild_rollups(&pipeline).await.expect("rebuilt");
        assert_eq!(rollups(&database, "default").await, before);
        fixture.store.prune(&RETENTION).await.expect("pruned");
    }
    // No hourly metric is written for an hour whose raw rows are pruned.
    fixture.store.write_hourly_metrics(&RuleBook::default()).await.expect("closed hours");
    let hourly = "data_quality_metrics WHERE metric_type = 'hourly'";
    assert_eq!(count(&database, hourly).await, 1, "the hour of March 17");
    assert_eq!(count(&database, "dirty_hours").await, 1, "the present hour");
    fixture.store.remove_source(&pipeline, &"a".parse().expect("a source")).await.expect("removed");
    let left = rollups(&database, "default").await;
    assert!(!left.is_empty() && left.iter().all(|row| row.contains("2026-06-15")), "{left:?}");
    fixture.close().await;
}

async fn pruning_many_rows_does_not_block_reports(database: Database) {
    let fixture = TimedStore::open(&database, "2026-01-01T12:00:00Z").await;
    let second = |second: i64| {
        let at = at("2026-01-01T00:00:00Z") + TimeDelta::seconds(second);
        with(run("a"), json!({"timestamp": at.to_rfc3339()}))
    };
    fixture.runs(&(0..1_300).map(second).collect::<Vec<_>>()).await;
    fixture.set_now(NOW);
    let reports = async {
        for _ in 0..20 {
            fixture.runs(&[timed("a", NOW)]).await;
        }
    };
    let (removed, ()) = tokio::join!(fixture.store.prune(&RETENTION), reports);
    assert_eq!(removed.expect("pruned"), 2_600);
    assert_eq!((count(&database, "source_runs").await, count(&database, "data_quality_metrics").await), (20, 20));
    fixture.close().await;
}

async fn hourly_totals_are_pruned_and_daily_totals_stay(database: Database) {
    let pipeline = PipelineKey::default();
    let fixture = TimedStore::open(&database, NOW).await;
    let old = |day: i64| with(run("a"), json!({"timestamp": (at(NOW) - TimeDelta::days(day)).to_rfc3339()}));
    fixture.runs(&(725..735).map(old).collect::<Vec<_>>()).await;
    fixture.store.prune(&RETENTION).await.expect("pruned");
    let points = async |bucket| {
        let range = Range::new(bucket, at(NOW) - TimeDelta::days(740), at(NOW) - TimeDelta::days(720));
        let series: Series = "articles".parse().expect("a series");
        let history = fixture.store.quality_history(&pipeline, None, &series, &range.expect("a range")).await;
        history.expect("a history").points.len()
    };
    assert_eq!((points(Bucket::Hour).await, points(Bucket::Day).await), (6, 10));
    fixture.close().await;
}

async fn past_alerts_and_anomalies_are_pruned(database: Database) {
    let pipeline = PipelineKey::default();
    let fixture = TimedStore::open(&database, NOW).await;
    fixture.runs(&[timed("a", NOW)]).await;
    let finding = |component: &'static str, is_failing: bool| {
        let problem = is_failing.then(|| "broken".to_owned());
        Finding::server(SelfCheck { component, problem }, &Policy::default())
    };
    // Two runs start, one of them completes.
    for wrong in [true, true, false, false] {
        let findings = [finding("over", wrong), finding("lasting", true)];
        let decide = |open: &[TrackedAlert]| advance(open, &findings, &Policy::default(), at(NOW));
        fixture.store.change_alerts(None, None, None, decide).await.expect("changed");
    }
    let lease = fixture.store.take_lease("evaluation", "this").await.expect("a lease").expect("free");
    let found = anomaly::Finding { pipeline: pipeline.clone(), anomaly: unusual(at(NOW)) };
    assert!(fixture.store.save_anomalies(&lease, &pipeline, &[found], at(NOW)).await.expect("kept"));
    let kept = async || {
        [count(&database, "alerts").await, count(&database, "alert_events").await, count(&database, "anomalies").await]
    };
    assert_eq!(kept().await, [2, 5, 1]);
    fixture.set_now("2028-06-14T12:00:00Z");
    fixture.store.prune(&RETENTION).await.expect("pruned");
    assert_eq!(kept().await, [2, 5, 1], "two years have not passed");
    fixture.set_now("2028-06-16T12:00:00Z");
    fixture.store.prune(&RETENTION).await.expect("pruned");
    assert_eq!(kept().await, [1, 2, 0], "unfinished runs stay, with their steps");
    fixture.close().await;
}

fn unusual(hour: DateTime<Utc>) -> Anomaly {
    Anomaly {
        id: uuid::Uuid::from_u128(1).to_string(),
        kind: AnomalyType::Volume,
        severity: Severity::Low,
        description: "2 articles, where 30 were expected".into(),
        timestamp: hour,
        source: None,
        check: None,
        subject: Subject::Articles,
        method: Method::Volume,
        observed: 2.0,
        expected: 30.0,
        lower: 10.0,
        upper: 60.0,
        sample_size: 40,
        p_value: 0.001,
        alpha: 0.0001,
    }
}
