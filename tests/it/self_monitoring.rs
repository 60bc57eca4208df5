use chrono::{DateTime, TimeDelta, Utc};
use pipewatch::domain::source::SourceChange;
use serde_json::json;

use crate::support::Database;
use crate::support::evaluator::EvaluatorFixture;
use crate::support::timed_store::{at, lines};

on_both_databases! {
    failing_maintenance_raises_an_alert,
    one_failing_pipeline_does_not_stop_the_evaluation_of_others,
    evaluation_gap_is_reported_afterwards,
}

fn begin() -> DateTime<Utc> {
    at("2026-03-02T00:00:00Z")
}

/// The alerts with their component or check, and their message.
async fn alerts(database: &Database) -> Vec<String> {
    let sql = "SELECT rule || ' ' || check_name || ' ' || state || ': ' || message FROM alerts ORDER BY started_at, check_name";
    lines(database, sql).await
}

fn check(alerts: &[String], expect: &[(&str, &str)]) {
    let is_so = |(alert, (start, text)): (&String, &(&str, &str))| alert.starts_with(start) && alert.contains(text);
    assert!(alerts.len() == expect.len() && alerts.iter().zip(expect).all(is_so), "{alerts:#?} is not {expect:#?}");
}

async fn failing_maintenance_raises_an_alert(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    let hide = |table: &str| format!("ALTER TABLE {table} RENAME TO hidden_{table}");
    let show = |table: &str| format!("ALTER TABLE hidden_{table} RENAME TO {table}");
    let old = json!({"source": "punch", "timestamp": "2025-03-02T00:00:00Z", "articles_collected": 1});
    watch.runs(begin(), &[old]).await;
    for table in ["dirty_hours", "retention_watermarks"] {
        database.execute(&hide(table)).await;
    }
    assert!(!watch.maintenance.write_hourly_metrics().await && !watch.maintenance.prune().await, "both fail");
    watch.evaluate_twice(begin()).await;
    check(&alerts(&database).await, &[]);

    let later = begin() + TimeDelta::minutes(5);
    watch.set_now(later);
    assert!(!watch.maintenance.write_hourly_metrics().await && !watch.maintenance.prune().await, "both still fail");
    watch.evaluate_twice(later).await;
    let since = "since 2026-03-02T00:00:00Z";
    check(&alerts(&database).await, &[("server hourly rows firing", since), ("server retention firing", since)]);

    for table in ["dirty_hours", "retention_watermarks"] {
        database.execute(&show(table)).await;
    }
    assert!(watch.maintenance.write_hourly_metrics().await && watch.maintenance.prune().await, "both are mended");
    watch.evaluate_twice(later + TimeDelta::minutes(1)).await;
    check(&alerts(&database).await, &[("server hourly rows resolved", since), ("server retention resolved", since)]);
}

async fn one_failing_pipeline_does_not_stop_the_evaluation_of_others(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    // It is evaluated before the default pipeline.
    let (broken, source) = ("broken".parse().expect("a key"), "a".parse().expect("a key"));
    watch.store.upsert_source(&broken, &source, &SourceChange::default()).await.expect("registered");
    database.execute("UPDATE sources SET expected_every = 'often' WHERE pipeline = 'broken'").await;
    let bad = json!({"source": "punch", "timestamp": begin().to_rfc3339(), "geocoding_attempts": 100, "geocoding_successes": 1});
    watch.runs(begin(), &[bad]).await;
    watch.evaluate_twice(begin()).await;
    let of_default = ("threshold geocoding firing", "1");
    check(&alerts(&database).await, &[of_default]);

    watch.evaluate_twice(begin() + TimeDelta::minutes(5)).await;
    let of_server = "Alert evaluation of broken has been failing since 2026-03-02T00:00:00Z";
    check(&alerts(&database).await, &[of_default, ("server evaluation firing", of_server)]);

    database.execute("UPDATE sources SET expected_every = NULL WHERE pipeline = 'broken'").await;
    watch.evaluate_twice(begin() + TimeDelta::minutes(6)).await;
    check(&alerts(&database).await, &[of_default, ("server evaluation resolved", of_server)]);
}

async fn evaluation_gap_is_reported_afterwards(database: Database) {
    let mut watch = EvaluatorFixture::start(&database, begin()).await;
    watch.evaluate_twice(begin()).await;
    check(&alerts(&database).await, &[]);
    watch.set_now(begin() + TimeDelta::hours(1));
    watch.renew().await;
    watch.release().await;

    let back = begin() + TimeDelta::hours(3);
    let mut watch = EvaluatorFixture::start(&database, back).await;
    watch.evaluate_twice(back).await;
    let span = "from 2026-03-02T01:00:00Z to 2026-03-02T03:00:00Z";
    check(&alerts(&database).await, &[("server outage firing", span)]);
    watch.evaluate_twice(back + TimeDelta::minutes(15)).await;
    check(&alerts(&database).await, &[("server outage resolved", span)]);
}
