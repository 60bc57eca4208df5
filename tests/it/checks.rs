//! Checks other than the two with fields of their own in a report.

use serde_json::json;

use crate::support::{Database, Server, now, run, with};

const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";

on_both_databases! {
    custom_checks_are_aggregated_and_classified_like_built_in_ones,
    report_with_only_custom_checks_is_counted,
    graphql_reads_and_writes_custom_checks,
}

async fn custom_checks_are_aggregated_and_classified_like_built_in_ones(database: Database) {
    let server = Server::start(database).await;
    let checks = |passes: u32| {
        json!({"checks": [{"name": "deduplication", "attempts": 40, "passes": passes},
            {"name": "language", "attempts": 2, "passes": 0}]})
    };
    server.store_runs(RUNS, &[with(run("a"), checks(30)), with(run("b"), checks(31))]).await;
    let quality = server.status("").await["data_quality"].take();
    assert_eq!(quality["status"], "warning", "61 of 80 are below 80 %: {quality}");
    let names: Vec<_> = quality["checks"].as_array().expect("checks").iter().map(|check| &check["name"]).collect();
    assert_eq!(names, ["geocoding", "validation", "deduplication", "language"]);
    let expect = json!({"name": "deduplication", "status": "warning", "attempts": 80, "passes": 61, "rate": 76.3});
    assert_eq!(quality["checks"][2], expect);
    assert_eq!(quality["checks"][3]["status"], "pending", "4 attempts are too few to judge");
    assert_eq!(quality["checks"][0]["rate"], quality["geocoding_success_rate"], "the two are among them");
    server.stop().await;
}

async fn report_with_only_custom_checks_is_counted(database: Database) {
    let server = Server::start(database).await;
    let metric = json!({"metric_type": "aggregate", "timestamp": now(),
        "checks": [{"name": "deduplication", "attempts": 40, "passes": 10}]});
    assert_eq!(server.report(METRICS, &metric).await.0, 201);
    let quality = server.status("").await["data_quality"].take();
    assert_eq!((&quality["basis"], &quality["status"]), (&json!("aggregate"), &json!("error")), "{quality}");
    assert_eq!(quality["geocoding_attempts"], 0);
    server.stop().await;
}

async fn graphql_reads_and_writes_custom_checks(database: Database) {
    let server = Server::start(database).await;
    let report = format!(
        "mutation {{ recordSourceRun(input: {{source: \"a\", timestamp: \"{}\",
            checks: [{{name: \"deduplication\", attempts: 40, passes: 39}}, {{name: \"x\", attempts: 1, passes: 2}}]}}) {{
            results {{ status errors {{ field }} }} }} }}",
        now()
    );
    let refused = &server.data(&report, json!({})).await["recordSourceRun"]["results"][0];
    assert_eq!(refused, &json!({"status": "REFUSED", "errors": [{"field": "checks[1].passes"}]}));
    let report = report.replace("passes: 2", "passes: 1");
    let stored = &server.data(&report, json!({})).await["recordSourceRun"]["results"][0];
    assert_eq!(stored, &json!({"status": "STORED", "errors": []}));
    let query = "{ pipelineStatus { dataQuality { checks { name status attempts passes rate warningBelow } } }
        dataQualityMetrics { nodes { checks { name attempts passes rate } } } }";
    let data = server.data(query, json!({})).await;
    let shown = &data["pipelineStatus"]["dataQuality"]["checks"][0];
    let expect = json!({"name": "deduplication", "status": "HEALTHY", "attempts": 40, "passes": 39, "rate": 97.5,
        "warningBelow": 80.0});
    assert_eq!(shown, &expect);
    let stored = &data["dataQualityMetrics"]["nodes"][0]["checks"][0];
    assert_eq!(stored, &json!({"name": "deduplication", "attempts": 40, "passes": 39, "rate": 97.5}));
    server.stop().await;
}
