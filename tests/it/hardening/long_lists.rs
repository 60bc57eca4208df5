//! Lists with more entries than are shown.

use pipewatch::config::Flags;
use serde_json::{Value, json};

use crate::hardening::cardinality::{ALERT, ALERT_COLUMNS, FINDINGS, each};
use crate::support::{Database, Server, in_time, now};

on_both_databases! {
    status_lists_the_worst_and_counts_all,
    lists_are_paginated,
}

async fn status_lists_the_worst_and_counts_all(database: Database) {
    let server = Server::start(database).await;
    let quiet = Flags { evaluation_interval: Some("1h".into()), ..Flags::default() };
    let database = server.stop().await;
    let alerts = cast(&database, each(&database, FINDINGS, ALERT));
    database.execute(&format!("INSERT INTO alerts {ALERT_COLUMNS} {alerts}")).await;
    let at = now();
    let anomalies = each(
        &database,
        20_000,
        &format!(
            "ID, 'default', '', 'articles', 'volume', 'volume', CASE WHEN n % 1000 = 0 THEN 'high' ELSE 'low' END, \
             '{at}', 1, 2, 1, 3, 9, 0.001, 0.01, 'unusual', '{at}'"
        ),
    );
    database
        .execute(&format!(
            "INSERT INTO anomalies (id, pipeline, source, series, method, kind, severity, bucket_start, observed, \
             expected, lower, upper, sample_size, p_value, alpha, description, found_at) {}",
            cast(&database, anomalies)
        ))
        .await;

    let server = Server::start_with(database, quiet).await;
    let response =
        in_time("a status", server.get("/api/v1/monitoring/pipeline-status").send()).await.expect("a status");
    let body = in_time("its body", response.bytes()).await.expect("its body");
    assert!(body.len() < 200_000, "{} bytes", body.len());
    let status: Value = serde_json::from_slice(&body).expect("JSON");
    let severities = |list: &str, state: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let entries = status[list].as_array().expect("a list").iter();
        entries.map(|entry| (text(&entry["severity"]), text(&entry[state]))).collect()
    };
    // 15,000 of the alerts are active, 60 of them with high severity, of which 40 fire.
    let class = |severity: &str, state: &str, count: usize| vec![(severity.to_owned(), state.to_owned()); count];
    let mut expect = class("high", "firing", 40);
    expect.extend(class("high", "acknowledged", 20));
    expect.extend(class("medium", "firing", 40));
    assert_eq!(severities("alerts", "state"), expect);
    assert_eq!(status["alerts_omitted"], 14_900);
    let mut expect = class("high", "", 20);
    expect.extend(class("low", "", 80));
    assert_eq!(severities("anomalies", "-"), expect);
    assert_eq!((&status["anomalies_omitted"], &status["overall_status"]), (&json!(19_900), &json!("error")));

    let query = "{ pipelineStatus { alertsOmitted anomaliesOmitted stepsOmitted alerts { id } }
        pipelines { openAlerts } alerts(states: [FIRING]) { pageInfo { hasNextPage } } }";
    let data = server.data(query, json!({})).await;
    assert_eq!(
        (&data["pipelineStatus"]["alertsOmitted"], &data["pipelines"][0]["openAlerts"]),
        (&json!(14_900), &json!(15_000))
    );
    assert_eq!(
        (&data["pipelineStatus"]["anomaliesOmitted"], &data["pipelineStatus"]["stepsOmitted"]),
        (&json!(19_900), &json!(0))
    );
    assert_eq!(data["alerts"]["pageInfo"]["hasNextPage"], true);
    server.stop().await;
}

/// PostgreSQL accepts no text as a timestamp in a `SELECT`.
fn cast(database: &Database, select: String) -> String {
    if !database.is_postgres() {
        return select;
    }
    let mut cast = String::new();
    for (number, part) in select.split('\'').enumerate() {
        let is_instant = number % 2 == 1 && part.starts_with("20");
        cast.push_str(if is_instant {
            "TIMESTAMPTZ '"
        } else if number > 0 {
            "'"
        } else {
            ""
        });
        cast.push_str(part);
    }
    cast
}

async fn lists_are_paginated(database: Database) {
    let server = Server::start(database).await;
    let database = server.stop().await;
    let pipelines = each(&database, 20_000, "'p' || (10000 + n), 1");
    database.execute(&format!("INSERT INTO pipelines (key, revision) {pipelines}")).await;
    let sources = each(&database, 20_000, "'p10000', 's' || (10000 + n), true");
    database.execute(&format!("INSERT INTO sources (pipeline, key, enabled) {sources}")).await;
    let server =
        Server::start_with(database, Flags { evaluation_interval: Some("1h".into()), ..Flags::default() }).await;

    let query = "query($first: Int!, $after: String) { pipelines(first: $first, after: $after) { key } pipelineCount
        sources(pipeline: \"p10000\", first: $first, after: $after) { key } }";
    for (first, after, pipelines, sources) in [
        (2, None, ["default", "p10000"], ["s10000", "s10001"]),
        (2, Some("p10001"), ["p10002", "p10003"], ["s10000", "s10001"]),
        (2, Some("s29997"), ["", ""], ["s29998", "s29999"]),
    ] {
        let data = server.data(query, json!({"first": first, "after": after})).await;
        let keys = |list: &str| -> Vec<String> {
            let entries = data[list].as_array().expect("a list").iter();
            let mut keys: Vec<_> = entries.map(|entry| entry["key"].as_str().expect("a key").to_owned()).collect();
            keys.resize(2, String::new());
            keys
        };
        assert_eq!(
            (keys("pipelines"), keys("sources")),
            (pipelines.map(str::to_owned).into(), sources.map(str::to_owned).into())
        );
        assert_eq!(data["pipelineCount"], 20_001);
    }
    // A busy machine computes no thousand statuses in the 10 s that an operation may take.
    let (first, expect) = (json!(100), 100);
    let query = "query($first: Int) { pipelines(first: $first) { key } sources(pipeline: \"p10000\") { key } }";
    let all = server.data(query, json!({"first": first})).await;
    let length = |list: &Value| list.as_array().map(Vec::len);
    assert_eq!((length(&all["pipelines"]), length(&all["sources"])), (Some(expect), Some(5_000)));
    let health = &server.status("?pipeline=p10000&sources=all").await["scraping_health"];
    assert_eq!((length(&health["sources"]), &health["sources_omitted"]), (Some(5_000), &json!(15_000)));
    for query in
        ["{ pipelines(first: 1001) { key } }", "{ sources(first: 0) { key } }", "{ alertSilences(first: -1) { id } }"]
    {
        assert_eq!(server.error_code(query, json!({})).await, "BAD_USER_INPUT", "{query}");
    }
    server.stop().await;
}
