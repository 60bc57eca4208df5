//! Runs that are reported at start and at completion, and their steps.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Database, Server, now, with};

const RUNS: &str = "/api/v1/source-runs";

on_both_databases! {
    run_starts_and_completes_under_one_id,
    each_phase_is_stored_once,
    report_order_does_not_change_the_final_state,
    status_shows_the_steps_of_the_last_cycle,
    completion_without_steps_completes_the_started_ones,
}

/// The time this many seconds ago.
fn ago(seconds: i64) -> String {
    crate::support::ago(chrono::TimeDelta::seconds(seconds))
}

fn start(id: u128, source: &str, timestamp: &str) -> Value {
    json!({"id": Uuid::from_u128(id), "source": source, "timestamp": timestamp, "outcome": "running"})
}

fn end(id: u128, source: &str, timestamp: &str) -> Value {
    json!({"id": Uuid::from_u128(id), "source": source, "timestamp": timestamp, "articles_collected": 7})
}

async fn run_starts_and_completes_under_one_id(database: Database) {
    let server = Server::start(database).await;
    let (began, ended) = (ago(60), ago(10));
    assert_eq!(server.report(RUNS, &start(1, "a", &began)).await.0, 201);
    let source = server.status("").await["scraping_health"]["sources"][0].take();
    assert_eq!((&source["status"], &source["running"], &source["runs"]), (&json!("pending"), &json!(1), &json!(0)));
    let running = "{ sourceRuns(outcome: RUNNING) { nodes { id state startedAt finishedAt } } }";
    let node = server.data(running, json!({})).await["sourceRuns"]["nodes"][0].take();
    assert_eq!(node["state"], "RUNNING");

    assert_eq!(server.report(RUNS, &end(1, "a", &ended)).await.0, 201);
    let status = server.status("").await;
    let source = &status["scraping_health"]["sources"][0];
    assert_eq!((&source["status"], &source["running"], &source["runs"]), (&json!("healthy"), &json!(0), &json!(1)));
    assert_eq!(status["scraping_health"]["articles_collected"], 7);
    let query = "{ sourceRuns { nodes { id state startedAt finishedAt articlesCollected } } }";
    let nodes = server.data(query, json!({})).await["sourceRuns"]["nodes"].take();
    let run = json!([{"id": Uuid::from_u128(1), "state": "OK", "startedAt": began, "finishedAt": ended,
        "articlesCollected": 7}]);
    assert_eq!(nodes, run);
    assert_eq!(server.data(running, json!({})).await["sourceRuns"]["nodes"], json!([]));
    server.stop().await;
}

async fn each_phase_is_stored_once(database: Database) {
    let server = Server::start(database).await;
    let (began, ended) = (ago(60), ago(10));
    for (report, expect, why) in [
        (start(1, "a", &began), 201, "the start"),
        (start(1, "a", &began), 200, "the same again"),
        (start(1, "a", &ended), 409, "another start"),
        (end(1, "b", &ended), 201, "an end under the same id in another source"),
        (with(end(1, "a", &ended), json!({"pipeline": "news"})), 201, "an end under the same id in another pipeline"),
        (end(1, "a", &ended), 201, "the end"),
        (end(1, "a", &ended), 200, "the same again"),
        (end(1, "a", &began), 409, "another end"),
        (start(1, "a", &began), 200, "the start once more"),
        (end(2, "a", &ended), 201, "an end without a start"),
        (start(2, "a", &began), 201, "whose start comes late"),
        (start(2, "a", &began), 200, "a repeated report"),
    ] {
        let (status, body) = server.report(RUNS, &report).await;
        assert_eq!(status, expect, "{why}: {body}");
    }
    let both = json!([start(3, "a", &began), end(3, "a", &ended), start(3, "a", &began), end(3, "a", &began)]);
    let (_, body) = server.report(RUNS, &both).await;
    let statuses: Vec<_> = body["results"].as_array().expect("results").iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, ["stored", "stored", "duplicate", "refused"], "in one request too");
    server.stop().await;
}

async fn report_order_does_not_change_the_final_state(database: Database) {
    let server = Server::start(database).await;
    let steps = |state: &str| json!({"steps": [{"name": "collection", "state": state}]});
    // Two overlapping runs of one source: the one that started first fails, and ends last.
    let times: Vec<String> = [50, 40, 30, 20].into_iter().map(ago).collect();
    let reports = |first: u128| {
        [
            with(start(first, "a", &times[0]), steps("running")),
            with(start(first + 1, "a", &times[1]), steps("running")),
            with(end(first + 1, "a", &times[2]), steps("ok")),
            with(end(first, "a", &times[3]), with(steps("failed"), json!({"outcome": "failed"}))),
        ]
    };
    let mut seen = Vec::new();
    let mut number = 0;
    for order in permutations(4) {
        for is_batch in [false, true] {
            number += 1;
            let pipeline = format!("p{number}");
            let reports = reports(number * 10);
            let ordered: Vec<_> =
                order.iter().map(|index| with(reports[*index].clone(), json!({"pipeline": pipeline}))).collect();
            if is_batch {
                assert_eq!(server.report(RUNS, &json!(ordered)).await.0, 201);
            } else {
                for report in &ordered {
                    assert_eq!(server.report(RUNS, report).await.0, 201, "{report}");
                }
            }
            let mut status = server.status(&format!("?pipeline={pipeline}")).await;
            for varying in ["pipeline", "revision", "timestamp"] {
                status.as_object_mut().expect("an object").remove(varying);
            }
            let runs = format!(
                "{{ sourceRuns(pipeline: \"{pipeline}\") {{ nodes {{ state startedAt finishedAt steps {{ state }} }} }} }}"
            );
            seen.push((order.clone(), status, server.data(&runs, json!({})).await));
        }
    }
    for (order, status, runs) in &seen {
        assert_eq!((status, runs), (&seen[0].1, &seen[0].2), "in the order {order:?}");
    }
    assert_eq!(seen[0].1["scraping_health"]["sources"][0]["status"], "error", "the run that ended last failed");
    assert_eq!(seen[0].1["steps"][0]["state"], "failed");
    server.stop().await;
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(count - 1);
    let places = shorter.iter().flat_map(|order| {
        (0..count).map(|place| {
            let mut order = order.clone();
            order.insert(place, count - 1);
            order
        })
    });
    places.collect()
}

async fn status_shows_the_steps_of_the_last_cycle(database: Database) {
    let server = Server::start(database).await;
    let step = |name: &str, state: &str, out: u32| {
        json!({"name": name, "state": state, "items_in": 10, "items_out": out,
            "started_at": "2026-01-28T15:00:00Z", "ended_at": "2026-01-28T15:00:04Z"})
    };
    let before = with(end(1, "a", &ago(100)), json!({"steps": [step("collection", "failed", 0)]}));
    let a = with(end(2, "a", &ago(50)), json!({"steps": [step("collection", "ok", 9), step("geocoding", "ok", 8)]}));
    let b = with(
        start(3, "b", &ago(40)),
        json!({"steps": [step("collection", "ok", 5), {"name": "geocoding", "state": "pending"}]}),
    );
    server.store_runs(RUNS, &[a, before, b]).await;
    let status = server.status("").await;
    let collection = json!({"name": "collection", "state": "ok", "sources": 2, "failed": 0, "items_in": 20,
        "items_out": 14, "started_at": "2026-01-28T15:00:00Z", "ended_at": "2026-01-28T15:00:04Z",
        "duration_seconds": 8.0});
    assert_eq!(status["steps"][0], collection);
    assert_eq!((&status["steps"][1]["name"], &status["steps"][1]["state"]), (&json!("geocoding"), &json!("running")));
    assert_eq!(status["steps"][1]["ended_at"], Value::Null);
    let query = "{ pipelineStatus { steps { name state sources itemsIn itemsOut durationSeconds } } }";
    let data = server.data(query, json!({})).await;
    let expect = json!({"name": "collection", "state": "OK", "sources": 2, "itemsIn": 20, "itemsOut": 14,
        "durationSeconds": 8.0});
    assert_eq!(data["pipelineStatus"]["steps"][0], expect);
    server.stop().await;
}

async fn completion_without_steps_completes_the_started_ones(database: Database) {
    let server = Server::start(database).await;
    let began = with(start(1, "a", &ago(40)), json!({"steps": [{"name": "collection", "state": "running"}]}));
    server.store_runs(RUNS, &[began]).await;
    assert_eq!(server.status("").await["steps"][0]["state"], "running");
    server.store_runs(RUNS, &[end(1, "a", &now())]).await;
    assert_eq!(server.status("").await["steps"], json!([]), "its completion is unknown");
    server.stop().await;
}
