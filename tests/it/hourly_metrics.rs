use std::sync::Arc;

use chrono::{TimeDelta, Timelike as _, Utc};
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::status::RuleBook;
use serde_json::{Value, json};

use crate::support::timed_store::{TimedStore, at, lines};
use crate::support::{Database, Server, eventually, run, with};

on_both_databases! {
    complete_hour_is_written_and_corrected,
    reported_hourly_metric_is_never_overwritten,
    hour_uses_one_basis,
    removed_source_is_subtracted_from_complete_hours,
    status_ignores_generated_hourly_metrics,
    two_servers_write_each_hour_once,
    server_writes_complete_hours_automatically,
}

/// The hours in the table: counts, rate and status, and whether a reporter wrote them.
async fn hours(database: &Database) -> Vec<String> {
    let start = if database.is_postgres() {
        "to_char(timestamp AT TIME ZONE 'UTC', 'DD HH24:MI')"
    } else {
        "strftime('%d %H:%M', timestamp)"
    };
    let sql = format!(
        "SELECT {start} || ': ' || geocoding_successes || '/' || geocoding_attempts || ' ' || validation_passes || '/' \
         || validation_attempts || ' ' || CAST(geocoding_success_rate AS integer) || ' ' || status || \
         CASE WHEN digest IS NULL THEN '' ELSE ', reported' END FROM data_quality_metrics \
         WHERE metric_type = 'hourly' AND source IS NULL ORDER BY timestamp"
    );
    lines(database, &sql).await
}

async fn close(fixture: &TimedStore) -> u64 {
    fixture.store.write_hourly_metrics(&RuleBook::default()).await.expect("closed hours")
}

fn timed(source: &str, time: &str) -> Value {
    with(run(source), json!({"timestamp": format!("2026-03-02T{time}Z")}))
}

async fn complete_hour_is_written_and_corrected(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-02T10:59:00Z").await;
    fixture.runs(&[timed("a", "10:00:00"), timed("b", "10:58:59")]).await;
    fixture.runs(&[json!({"source": "a", "timestamp": "2026-03-02T09:30:00Z", "articles_collected": 9})]).await;
    for (now, closed) in [("2026-03-02T11:04:59Z", 0), ("2026-03-02T11:05:00Z", 1), ("2026-03-02T11:05:00Z", 0)] {
        fixture.set_now(now);
        assert_eq!(close(&fixture).await, closed, "{now}");
    }
    // An hour without quality counts has no row.
    assert_eq!(hours(&database).await, ["02 10:00: 36/40 38/40 90 healthy"]);
    let late = with(timed("c", "10:30:00"), json!({"geocoding_successes": 0}));
    fixture.runs(&[late.clone(), late]).await;
    assert_eq!(hours(&database).await, ["02 10:00: 36/40 38/40 90 healthy"], "until the server looks");
    assert_eq!(close(&fixture).await, 1);
    assert_eq!(hours(&database).await, ["02 10:00: 36/80 76/80 45 error"]);
    fixture.store.rebuild_rollups(&PipelineKey::default()).await.expect("rebuilt");
    close(&fixture).await;
    assert_eq!(hours(&database).await, ["02 10:00: 36/80 76/80 45 error"]);
    fixture.close().await;
}

async fn reported_hourly_metric_is_never_overwritten(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-02T12:30:00Z").await;
    let reported = |time: &str| {
        json!({"metric_type": "hourly", "timestamp": format!("2026-03-02T{time}Z"),
        "geocoding_attempts": 1, "geocoding_successes": 0})
    };
    fixture.runs(&[timed("a", "09:10:00"), timed("a", "10:10:00"), timed("a", "11:10:00")]).await;
    fixture.metrics(&[reported("10:00:00"), reported("11:00:00")]).await;
    close(&fixture).await;
    let expect = [
        "02 09:00: 18/20 19/20 90 healthy",
        "02 10:00: 0/1 0/0 0 healthy, reported",
        "02 11:00: 0/1 0/0 0 healthy, reported",
    ];
    assert_eq!(hours(&database).await, expect);
    // A late reported row replaces the generated one.
    fixture.metrics(&[reported("09:59:59")]).await;
    close(&fixture).await;
    let late = "02 09:59: 0/1 0/0 0 healthy, reported";
    assert_eq!(hours(&database).await, [late, expect[1], expect[2]]);
    fixture.runs(&[timed("a", "09:10:00"), timed("a", "10:10:00")]).await;
    close(&fixture).await;
    assert_eq!(hours(&database).await, [late, expect[1], expect[2]]);
    fixture.close().await;
}

async fn hour_uses_one_basis(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-02T12:30:00Z").await;
    let metric = |kind: &str, source: Value, time: &str, attempts: u32| {
        json!({"metric_type": kind, "source": source, "timestamp": format!("2026-03-02T{time}Z"),
            "validation_attempts": attempts, "validation_passes": attempts})
    };
    fixture.runs(&[timed("a", "09:10:00"), timed("a", "10:10:00")]).await;
    fixture
        .metrics(&[
            metric("aggregate", json!(null), "09:20:00", 3),
            metric("hourly", json!("a"), "10:00:00", 4),
            metric("hourly", json!("a"), "11:00:00", 5),
            metric("hourly", json!("b"), "11:00:00", 6),
        ])
        .await;
    close(&fixture).await;
    let expect = ["02 09:00: 0/0 3/3 0 pending", "02 10:00: 18/20 19/20 90 healthy", "02 11:00: 0/0 11/11 0 healthy"];
    assert_eq!(hours(&database).await, expect);
    fixture.close().await;
}

async fn removed_source_is_subtracted_from_complete_hours(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-02T12:30:00Z").await;
    fixture.runs(&[timed("a", "09:10:00"), timed("b", "09:10:00"), timed("a", "10:10:00")]).await;
    close(&fixture).await;
    assert_eq!(hours(&database).await.len(), 2);
    fixture.store.remove_source(&PipelineKey::default(), &"a".parse().expect("a source")).await.expect("removed");
    close(&fixture).await;
    assert_eq!(hours(&database).await, ["02 09:00: 18/20 19/20 90 healthy"]);
    fixture.close().await;
}

async fn status_ignores_generated_hourly_metrics(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-02T12:30:00Z").await;
    let hourly = json!({"metric_type": "hourly", "source": "a", "timestamp": "2026-03-02T09:00:00Z",
        "geocoding_attempts": 5, "geocoding_successes": 4});
    fixture.metrics(&[hourly.clone(), with(hourly, json!({"timestamp": "2026-03-02T12:00:00Z"}))]).await;
    let since = at("2026-03-01T12:30:00Z");
    let facts = async || fixture.store.facts(&PipelineKey::default(), since).await.expect("facts").expect("a pipeline");
    let before = facts().await;
    let rollups = crate::support::timed_store::rollups(&database, "default").await;
    assert_eq!(close(&fixture).await, 1);
    assert_eq!(hours(&database).await, ["02 09:00: 4/5 0/0 80 healthy"]);
    assert_eq!(facts().await, before, "neither the basis nor the revision");
    assert_eq!(crate::support::timed_store::rollups(&database, "default").await, rollups);
    fixture.store.rebuild_rollups(&PipelineKey::default()).await.expect("rebuilt");
    assert_eq!(crate::support::timed_store::rollups(&database, "default").await, rollups);
    fixture.close().await;
}

async fn two_servers_write_each_hour_once(database: Database) {
    let now = "2026-03-02T12:30:00Z";
    let (one, two) = (TimedStore::open(&database, now).await, TimedStore::open(&database, now).await);
    let (one, two) = (Arc::new(one), Arc::new(two));
    for round in 1..=5 {
        one.runs(&[timed("a", "09:10:00"), timed("a", "10:10:00"), timed("a", "11:10:00")]).await;
        let closing = [&one, &two].map(|fixture| {
            let fixture = Arc::clone(fixture);
            tokio::spawn(async move { close(&fixture).await })
        });
        let mut closed = 0;
        for closing in closing {
            closed += closing.await.expect("no panic");
        }
        assert_eq!(closed, 3, "round {round}: each hour by one of them");
        let expect = [9, 10, 11].map(|hour| format!("02 {hour:02}:00: {}/{} ", 18 * round, 20 * round));
        let hours = hours(&database).await;
        assert_eq!(hours.len(), 3, "{hours:?}");
        assert!(hours.iter().zip(&expect).all(|(hour, expect)| hour.starts_with(expect)), "{hours:?}");
    }
    for fixture in [one, two] {
        Arc::into_inner(fixture).expect("the only reference").close().await;
    }
}

async fn server_writes_complete_hours_automatically(database: Database) {
    let server = Server::start(database).await;
    let hour = Utc::now() - TimeDelta::hours(2);
    let hour = hour - TimeDelta::seconds(i64::from(hour.minute() * 60 + hour.second()));
    server.store_runs("/api/v1/source-runs", &[with(run("a"), json!({"timestamp": hour.to_rfc3339()}))]).await;
    // The server writes hours at start-up and every 30 seconds.
    let server = Server::start(server.stop().await).await;
    let query = "{ dataQualityMetrics(metricType: HOURLY) { nodes { source geocodingAttempts status } } }";
    let nodes = eventually("a closed hour", || async {
        let nodes = server.data(query, json!({})).await["dataQualityMetrics"]["nodes"].clone();
        (nodes != json!([])).then_some(nodes)
    })
    .await;
    assert_eq!(nodes, json!([{"source": null, "geocodingAttempts": 20, "status": "HEALTHY"}]));
    assert_eq!(server.status("").await["data_quality"]["basis"], "source-specific");
    server.stop().await;
}
