use chrono::TimeDelta;
use pipewatch::config::Flags;
use serde_json::json;

use crate::support::{Database, Server, ago, now, run, with};

const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";

on_both_databases! {
    legacy_field_names_and_numbers_are_kept,
    metric_types_are_never_mixed,
    rows_leave_the_window,
    failed_run_is_shown_until_the_next_run,
    newest_run_counts_regardless_of_arrival_order,
    disabled_and_removed_sources_are_not_counted,
    conflict_events_replace_missing_metrics,
    thresholds_come_from_the_settings,
}

async fn legacy_field_names_and_numbers_are_kept(database: Database) {
    let server = Server::start(database).await;
    server.store_runs(RUNS, &[run("punch")]).await;
    server.store_runs(RUNS, &[with(run("vanguard"), json!({"outcome": "failed", "error": "timeout"}))]).await;
    let status = server.status("").await;
    for name in ["pipeline", "revision", "timestamp", "overall_status"] {
        assert!(status[name].is_string(), "{name}");
    }
    let (health, quality) = (&status["scraping_health"], &status["data_quality"]);
    for name in [
        "sources_processed",
        "total_sources",
        "failed_sources",
        "stale_sources",
        "articles_collected",
        "events_extracted",
        "sources_omitted",
    ] {
        assert!(health[name].is_u64(), "{name}");
    }
    for name in [
        "geocoding_success_rate",
        "validation_pass_rate",
        "geocoding_attempts",
        "geocoding_successes",
        "validation_attempts",
        "validation_passes",
    ] {
        assert!(quality[name].is_number(), "{name}");
    }
    let first = &health["sources"][0];
    assert_eq!((first["source"].as_str(), first["status"].as_str()), (Some("vanguard"), Some("error")), "worst first");
    assert_eq!((&status["anomalies"], &status["alerts"]), (&json!([]), &json!([])));
    assert_eq!((health["status"].as_str(), status["overall_status"].as_str()), (Some("error"), Some("error")));
    assert!(status["timestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    server.stop().await;
}

async fn metric_types_are_never_mixed(database: Database) {
    let server = Server::start(database).await;
    let metric = |kind: &str, attempts: u32, successes: u32| json!({"metric_type": kind, "timestamp": now(), "geocoding_attempts": attempts, "geocoding_successes": successes});
    for (item, basis, attempts, rate) in [
        (metric("hourly", 40, 10), "hourly", 40, 25.0),
        (with(metric("source-specific", 10, 9), json!({"source": "a"})), "source-specific", 10, 90.0),
        (with(metric("source-specific", 90, 51), json!({"source": "b"})), "source-specific", 100, 60.0),
        (metric("aggregate", 7, 7), "aggregate", 7, 100.0),
    ] {
        assert_eq!(server.report(METRICS, &item).await.0, 201);
        let quality = server.status("").await["data_quality"].clone();
        assert_eq!(quality["basis"], basis);
        assert_eq!(quality["geocoding_attempts"], attempts, "{basis}: sums");
        assert_eq!(quality["geocoding_success_rate"], rate, "{basis}: summed, then divided; not the mean of rates");
    }
    server.stop().await;
}

async fn rows_leave_the_window(database: Database) {
    let server = Server::start(database).await;
    server.store_runs(RUNS, &[run("a")]).await;
    let status = server.status("").await;
    assert_eq!(status["scraping_health"]["sources_processed"], 1);
    server.advance(TimeDelta::hours(24) + TimeDelta::minutes(1));
    // A poll of another pipeline does not affect this stream; a change triggers a new status.
    server.store_runs(RUNS, &[with(run("b"), json!({"timestamp": ago(TimeDelta::hours(1))}))]).await;
    let status = server.status("").await;
    let health = &status["scraping_health"];
    assert_eq!((&health["total_sources"], &health["articles_collected"]), (&json!(2), &json!(0)), "{status}");
    assert_eq!(health["stale_sources"], 1);
    assert_eq!(status["data_quality"]["basis"], "none");
    assert_eq!(health["status"], "warning", "every source was silent for a whole window");
    server.stop().await;
}

async fn failed_run_is_shown_until_the_next_run(database: Database) {
    let server = Server::start(database).await;
    server.store_runs(RUNS, &["a", "b", "c", "d", "e"].map(run)).await;
    for (outcome, failed, health) in [("failed", 1, "warning"), ("ok", 0, "healthy"), ("aborted", 0, "healthy")] {
        server.store_runs(RUNS, &[with(run("a"), json!({"outcome": outcome}))]).await;
        let status = server.status("").await;
        assert_eq!(status["scraping_health"]["failed_sources"], failed, "{outcome}");
        assert_eq!(status["scraping_health"]["status"], health, "{outcome}");
    }
    server.stop().await;
}

async fn newest_run_counts_regardless_of_arrival_order(database: Database) {
    let server = Server::start(database).await;
    let at = |minutes: i64, outcome: &str| {
        with(run("a"), json!({"timestamp": ago(TimeDelta::minutes(minutes)), "outcome": outcome}))
    };
    server.store_runs(RUNS, &[at(1, "failed")]).await;
    server.store_runs(RUNS, &[at(5, "ok")]).await;
    assert_eq!(server.status("").await["scraping_health"]["failed_sources"], 1, "the older one came later");
    server.store_runs(RUNS, &[at(0, "ok"), at(3, "failed")]).await;
    let health = server.status("").await["scraping_health"].clone();
    assert_eq!(health["failed_sources"], 0);
    assert_eq!(health["sources"][0]["success_rate"], 50.0);
    server.stop().await;
}

async fn disabled_and_removed_sources_are_not_counted(database: Database) {
    let server = Server::start(database).await;
    server.store_runs(RUNS, &[run("a"), with(run("b"), json!({"outcome": "failed"}))]).await;
    let disable = "mutation { upsertSource(source: \"b\", enabled: false) { key enabled lastRunState } }";
    let data = server.data(disable, json!({})).await;
    assert_eq!(data["upsertSource"], json!({"key": "b", "enabled": false, "lastRunState": "FAILED"}));
    let health = server.status("").await["scraping_health"].clone();
    assert_eq!((&health["total_sources"], &health["failed_sources"]), (&json!(1), &json!(0)));
    assert_eq!(health["articles_collected"], 6, "volumes sum all runs in the window");
    server.data("mutation { removeSource(source: \"b\") }", json!({})).await;
    assert_eq!(server.status("").await["scraping_health"]["articles_collected"], 3, "its runs went with it");
    let metrics = server.data("{ dataQualityMetrics { nodes { source } } }", json!({})).await;
    assert_eq!(metrics["dataQualityMetrics"]["nodes"], json!([{"source": "a"}]));
    server.stop().await;
}

async fn conflict_events_replace_missing_metrics(database: Database) {
    let server = Server::start(database).await;
    let status = server.status("").await;
    assert_eq!(status["data_quality"]["basis"], "none");
    let now = if server.database.is_postgres() { "now()" } else { "datetime('now')" };
    let old = if server.database.is_postgres() { "now() - interval '2 days'" } else { "datetime('now', '-2 days')" };
    server
        .database
        .execute(&format!(
            "INSERT INTO conflict_events (state, latitude, longitude, verified, created_at) VALUES
             ('Borno', 11.8, 13.1, true, {now}), ('Borno', 11.8, 13.1, false, {now}), ('Kano', NULL, NULL, true, {now}),
             ('Kano', 12.0, NULL, true, {now}), ('Yobe', 11.7, 11.9, true, {now}), ('Yobe', 11.7, 11.9, true, {old})"
        ))
        .await;
    // Rows written outside the server appear at the next interval; a reported change triggers it earlier.
    server.store_runs(RUNS, &[json!({"source": "a", "timestamp": crate::support::now()})]).await;
    let quality = server.status("").await["data_quality"].clone();
    assert_eq!(quality["basis"], "conflict_events");
    assert_eq!((&quality["geocoding_attempts"], &quality["geocoding_successes"]), (&json!(5), &json!(3)));
    assert_eq!(quality["validation_passes"], 4);
    assert!(quality["last_updated"].as_str().is_some_and(|time| time.ends_with('Z')));
    server.store_runs(RUNS, &[run("a")]).await;
    assert_eq!(server.status("").await["data_quality"]["basis"], "source-specific", "metrics come before");
    server.stop().await;
}

async fn thresholds_come_from_the_settings(database: Database) {
    let flags = Flags { geocoding_warning: Some(95.0), geocoding_error: Some(91.0), ..Flags::default() };
    let server = Server::start_with(database, flags).await;
    server.store_runs(RUNS, &[run("a")]).await;
    assert_eq!(server.status("").await["data_quality"]["status"], "error", "90 is below 91");
    let metrics = server.data("{ dataQualityMetrics { nodes { status } } }", json!({})).await;
    assert_eq!(metrics["dataQualityMetrics"]["nodes"][0]["status"], "ERROR");
    server.stop().await;
}
