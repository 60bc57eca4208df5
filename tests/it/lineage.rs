use std::io::Write as _;

use serde_json::{Value, json};

use crate::support::server::answer;
use crate::support::{Database, Server, ago, with};

on_both_databases! {
    events_of_a_run_are_its_start_and_end,
    events_arrive_in_any_order_and_repeatedly,
    results_become_counts_checks_and_errors,
    events_without_a_state_succeed_and_change_nothing,
    batches_report_their_failed_events,
}

const LINEAGE: &str = "/api/v1/lineage";
const BATCH: &str = "/api/v1/lineage/batch";
const RUN: &str = "d46e465b-d358-4d32-83d4-df660ff614dd";
const RUNS: &str = "query ($pipeline: String!, $source: String!) {
    ended: sourceRuns(pipeline: $pipeline, source: $source) { nodes { ...run } }
    running: sourceRuns(pipeline: $pipeline, source: $source, outcome: RUNNING) { nodes { ...run } }
}
fragment run on SourceRun { id state startedAt finishedAt error log url attempt parent tags counts { name value } }";

/// A run event, some seconds ago.
fn event(event_type: &str, seconds: i64) -> Value {
    json!({
        "eventType": event_type, "eventTime": ago(chrono::TimeDelta::seconds(seconds)), "producer": "https://example.com",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": RUN}, "job": {"namespace": "shop", "name": "load.orders"},
    })
}

async fn send(server: &Server, event: &Value) {
    let (status, body) = server.report(LINEAGE, event).await;
    let summary =
        json!({"status": "success", "summary": {"received": 1, "successful": 1, "failed": 0}, "failed_events": []});
    assert_eq!((status, &body), (200, &summary), "{event}");
}

/// The ended runs of a source, in order, then those in progress.
async fn runs(server: &Server, pipeline: &str, source: &str) -> Vec<Value> {
    let answer = server.graphql(RUNS, json!({"pipeline": pipeline, "source": source})).await;
    let nodes = |name: &str| answer["data"][name]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    nodes("ended").iter().rev().chain(nodes("running")).cloned().collect()
}

async fn events_of_a_run_are_its_start_and_end(database: Database) {
    let server = Server::start(database).await;
    let start = event("START", 60);
    send(&server, &start).await;
    let running = runs(&server, "shop", "load.orders").await;
    assert_eq!((running.len(), &running[0]["state"], &running[0]["id"]), (1, &json!("RUNNING"), &json!(RUN)));
    send(&server, &event("RUNNING", 50)).await;
    let complete = event("COMPLETE", 0);
    send(&server, &complete).await;
    let ended = runs(&server, "shop", "load.orders").await;
    assert_eq!((ended.len(), &ended[0]["state"]), (1, &json!("OK")));
    let instant = |value: &Value| value.as_str().and_then(|text| text.parse::<chrono::DateTime<chrono::Utc>>().ok());
    assert_eq!(instant(&ended[0]["startedAt"]), instant(&start["eventTime"]));
    assert_eq!(instant(&ended[0]["finishedAt"]), instant(&complete["eventTime"]));
    for (event_type, state) in [("FAIL", "FAILED"), ("ABORT", "ABORTED")] {
        let job = json!({"job": {"namespace": "shop", "name": event_type}});
        send(&server, &with(event(event_type, 0), job)).await;
        assert_eq!(runs(&server, "shop", event_type).await[0]["state"], state);
    }
    // Names that are no keys.
    send(&server, &with(event("COMPLETE", 0), json!({"job": {"namespace": "spark://host:7077", "name": " a\nb"}})))
        .await;
    let pipelines = server.graphql("{ pipelines { key } }", json!({})).await;
    let keys: Vec<_> =
        pipelines["data"]["pipelines"].as_array().expect("pipelines").iter().map(|it| &it["key"]).collect();
    assert!(keys.iter().any(|key| key.as_str().is_some_and(|key| key.starts_with("spark-host-7077-"))), "{keys:?}");
    server.stop().await;
}

async fn events_arrive_in_any_order_and_repeatedly(database: Database) {
    let server = Server::start(database).await;
    let events = [event("START", 60), event("OTHER", 30), event("COMPLETE", 0)];
    for order in [[0, 1, 2], [2, 1, 0], [2, 0, 1], [1, 2, 0]] {
        let job = json!({"namespace": "shop", "name": format!("job {order:?}")});
        for index in order.into_iter().chain([0, 2, 1, 2, 0]) {
            send(&server, &with(events[index].clone(), json!({"job": job}))).await;
        }
        let runs = runs(&server, "shop", job["name"].as_str().expect("a name")).await;
        assert_eq!((runs.len(), &runs[0]["state"]), (1, &json!("OK")), "{order:?}");
        assert!(runs[0]["startedAt"].is_string(), "{runs:?}");
    }
    // The first end counts.
    send(&server, &event("COMPLETE", 0)).await;
    send(&server, &event("FAIL", 0)).await;
    assert_eq!(runs(&server, "shop", "load.orders").await[0]["state"], "OK");
    server.stop().await;
}

async fn results_become_counts_checks_and_errors(database: Database) {
    let server = Server::start(database).await;
    let parent = "f99310b4-3c3c-1a1a-2b2b-c1b95c24ff11";
    let assertions = json!({"dataQualityAssertions": {"assertions": [
        {"assertion": "not_null", "success": true, "column": "id"},
        {"assertion": "not_null", "success": false, "column": "name"},
        {"assertion": "unique", "success": true, "column": "id"}]}});
    let failed = with(
        event("FAIL", 0),
        json!({
            "run": {"runId": RUN, "facets": {
                "errorMessage": {"message": "broken", "programmingLanguage": "PYTHON", "stackTrace": "Traceback\n  line 1"},
                "nominalTime": {"nominalStartTime": "2026-01-01T00:00:00Z"},
                "processing_engine": {"name": "dbt", "version": "1.10"},
                "parent": {"run": {"runId": parent}, "job": {"namespace": "shop", "name": "all"}},
                "airflow": {"taskInstance": {"log_url": "https://airflow.example/log", "try_number": 2}}}},
            // dbt writes its assertions twice.
            "inputs": [{"namespace": "db", "name": "orders", "facets": assertions, "inputFacets": assertions}],
            "outputs": [{"namespace": "db", "name": "orders",
                "outputFacets": {"outputStatistics": {"rowCount": 3_000_000_000_u64, "size": 81}}}],
        }),
    );
    send(&server, &failed).await;
    let run = runs(&server, "shop", "load.orders").await.remove(0);
    assert_eq!(run["error"], "broken\nTraceback\n  line 1");
    assert_eq!(run["log"], "not_null(name) failed");
    assert_eq!(run["counts"], json!([{"name": "bytes", "value": 81}, {"name": "rows", "value": 3_000_000_000_u64}]));
    assert_eq!((&run["parent"], &run["attempt"]), (&json!(parent), &json!(2)));
    assert_eq!(run["url"], "https://airflow.example/log");
    assert_eq!(run["tags"], json!(["nominal_start=2026-01-01T00:00:00Z", "engine=dbt 1.10", "parent=shop/all"]));
    let status = server.status("?pipeline=shop").await;
    let checks = &status["data_quality"]["checks"];
    let of = |name: &str| checks.as_array().into_iter().flatten().find(|check| check["name"] == name).cloned();
    let not_null = of("not_null").unwrap_or_else(|| panic!("{status}"));
    assert_eq!((&not_null["attempts"], &not_null["passes"]), (&json!(2), &json!(1)), "{not_null}");
    assert!(of("unique").is_some(), "{checks}");
    server.stop().await;
}

async fn events_without_a_state_succeed_and_change_nothing(database: Database) {
    let server = Server::start(database).await;
    let job = json!({"eventTime": "2026-01-28T15:28:02Z", "producer": "p", "job": {"namespace": "a", "name": "b"}});
    let dataset =
        json!({"eventTime": "2026-01-28T15:28:02Z", "producer": "p", "dataset": {"namespace": "a", "name": "b"}});
    let mut untyped = event("START", 0);
    untyped.as_object_mut().expect("an object").remove("eventType");
    for event in [job, dataset, untyped, event("OTHER", 0), event("RUNNING", 0)] {
        send(&server, &event).await;
    }
    let pipelines = server.graphql("{ pipelines { key } }", json!({})).await;
    assert_eq!(pipelines["data"]["pipelines"], json!([{"key": "default"}]));
    server.stop().await;
}

async fn batches_report_their_failed_events(database: Database) {
    let server = Server::start(database).await;
    let (status, body) = server.report(BATCH, &json!([])).await;
    assert_eq!((status, &body["status"]), (200, &json!("success")), "{body}");
    let future = ago(chrono::TimeDelta::hours(-1));
    let events = json!([
        event("START", 5),
        {"eventType": "START"},
        event("COMPLETE", 0),
        with(event("FAIL", 0), json!({"eventTime": future})),
        with(event("PAUSE", 0), json!({})),
    ]);
    let (status, body) = server.report(BATCH, &events).await;
    assert_eq!((status, &body["status"]), (200, &json!("partial_success")), "{body}");
    assert_eq!(body["summary"], json!({"received": 5, "successful": 2, "failed": 3}));
    let failed = body["failed_events"].as_array().expect("failed events");
    for (event, (index, says)) in failed.iter().zip([(1, "run is missing"), (3, "eventTime: "), (4, "PAUSE")]) {
        assert_eq!((&event["index"], &event["retriable"]), (&json!(index), &json!(false)));
        assert!(event["reason"].as_str().is_some_and(|reason| reason.contains(says)), "{event}");
    }
    let (status, body) = server.report(BATCH, &json!([{}])).await;
    assert_eq!((status, &body["status"]), (422, &json!("failure")), "{body}");
    let (status, body) = server.report(BATCH, &event("START", 0)).await;
    assert_eq!((status, &body["code"]), (400, &json!("BAD_REQUEST")), "{body}");

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(event("COMPLETE", 0).to_string().as_bytes()).expect("compressed");
    let request = server.post(LINEAGE).header("content-type", "application/json").header("content-encoding", "gzip");
    assert_eq!(answer(request.body(gzip.finish().expect("compressed"))).await.0, 200);
    assert_eq!(runs(&server, "shop", "load.orders").await.len(), 1);

    let deep = format!("{}{}", "{\"a\":".repeat(100_000), "1".to_owned() + &"}".repeat(100_000));
    let request = server.post(LINEAGE).header("content-type", "application/json").body(deep);
    assert_eq!(answer(request).await.0, 422, "an object without the fields of an event, however deep");
    server.stop().await;
}
