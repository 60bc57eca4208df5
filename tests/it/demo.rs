use pipewatch::config::Flags;
use serde_json::{Value, json};

use crate::support::{Database, Server, eventually};

/// What the script shows, and whether it does.
type Part = (&'static str, fn(&Value) -> bool);

const FIRST_MINUTE: &str = r#"{
    pipelineStatus(pipeline: "demo-scripted") { dataQuality { checks { name status rate warningBelow } } }
    sourceRuns(pipeline: "demo-scripted", first: 100) { nodes { source state error steps { name } } }
    alerts(pipeline: "demo-scripted", states: [FIRING]) { nodes { source check } }
}"#;

fn list<'a>(data: &'a Value, path: &str) -> impl Iterator<Item = &'a Value> {
    data.pointer(path).and_then(Value::as_array).into_iter().flatten()
}

fn runs<'a>(data: &'a Value, source: &str, state: &str) -> impl Iterator<Item = &'a Value> {
    list(data, "/sourceRuns/nodes").filter(move |run| run["source"] == source && run["state"] == state)
}

fn has_multiline_error(run: &Value) -> bool {
    run["error"].as_str().is_some_and(|error| error.lines().count() > 1)
}

fn has_failed_run(data: &Value) -> bool {
    runs(data, "scripted-failures", "FAILED").any(has_multiline_error)
}

fn has_low_check(data: &Value) -> bool {
    list(data, "/pipelineStatus/dataQuality/checks").any(|check| {
        check["name"] == "scripted-not-null"
            && check["status"] == "WARNING"
            && check["rate"].as_f64() < check["warningBelow"].as_f64()
    })
}

fn has_steps(data: &Value) -> bool {
    runs(data, "scripted-steps", "OK").any(|run| list(run, "/steps").count() == 3)
}

fn has_retried_run(data: &Value) -> bool {
    runs(data, "scripted-retries", "FAILED").any(has_multiline_error)
        && runs(data, "scripted-retries", "OK").next().is_some()
}

fn has_threshold_alert(data: &Value) -> bool {
    list(data, "/alerts/nodes").any(|alert| alert["check"] == "scripted-not-null")
}

fn has_overdue_alert(data: &Value) -> bool {
    list(data, "/alerts/nodes").any(|alert| alert["source"] == "scripted-overdue")
}

on_both_databases![script_shows_failures_checks_steps_retries_and_alerts];

/// The script has all of it in its first minute; the test only waits longer on a busy machine.
async fn script_shows_failures_checks_steps_retries_and_alerts(database: Database) {
    let server = &Server::start_with(database, Flags { demo: true, ..Flags::default() }).await;
    let parts: [Part; 6] = [
        ("a failed run with its error", has_failed_run),
        ("a check below its threshold", has_low_check),
        ("a run with steps", has_steps),
        ("a retried run", has_retried_run),
        ("an alert of a low rate", has_threshold_alert),
        ("an alert of an overdue source", has_overdue_alert),
    ];
    for (what, is_shown) in parts {
        eventually(what, || async {
            let data = server.graphql(FIRST_MINUTE, json!({})).await["data"].clone();
            is_shown(&data).then_some(())
        })
        .await;
    }
    let query = r#"{ sources(pipeline: "demo-scripted") { key labels { name value } } }"#;
    let data = server.data(query, json!({})).await;
    assert_eq!(list(&data, "/sources").count(), 5);
    for source in list(&data, "/sources") {
        assert!(source["key"].as_str().is_some_and(|key| key.starts_with("scripted-")), "{source}");
        assert_eq!(source["labels"], json!([{"name": "data", "value": "scripted"}]), "{source}");
    }
}
