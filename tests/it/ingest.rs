use std::io::Write as _;

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::server::answer;
use crate::support::{Database, Server, ago, now, revision, run, with};

const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";

on_both_databases! {
    object_array_and_ndjson_are_accepted,
    run_registers_its_source_and_writes_a_metric,
    run_without_counts_writes_no_metric,
    valid_items_are_stored_and_invalid_ones_named,
    response_distinguishes_duplicates_from_conflicts,
    id_is_unique_per_report_kind,
    pipeline_of_the_item_takes_precedence,
    report_older_than_a_day_is_backfill,
    metrics_can_be_reported_directly,
    unreadable_bodies_are_refused,
    concurrent_reports_are_neither_lost_nor_duplicated,
    identical_concurrent_reports_are_stored_once,
    graphql_mutations_follow_the_same_rules,
    counts_up_to_the_database_maximum_are_accepted,
}

async fn object_array_and_ndjson_are_accepted(database: Database) {
    let server = Server::start(database).await;
    let (status, body) = server.report(RUNS, &run("a")).await;
    assert_eq!((status, &body["results"][0]["status"]), (201, &json!("stored")), "{body}");
    assert!(Uuid::try_parse(body["results"][0]["id"].as_str().expect("an id")).is_ok());
    let (status, body) = server.report(RUNS, &json!([run("a"), run("b")])).await;
    assert_eq!((status, body["results"].as_array().map(Vec::len)), (201, Some(2)));
    assert_eq!(body["results"][1]["index"], 1);
    let lines = format!("{}\n{}\n", run("b"), run("c"));
    for content_type in ["application/x-ndjson", "application/ndjson", "application/jsonl; charset=utf-8"] {
        let request = server.post(RUNS).header("content-type", content_type).body(lines.clone());
        assert_eq!(answer(request).await.0, 201, "{content_type}");
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(lines.as_bytes()).expect("compressed");
    let request = server.post(RUNS).header("content-type", "application/x-ndjson").header("content-encoding", "gzip");
    assert_eq!(answer(request.body(gzip.finish().expect("compressed"))).await.0, 201);
    let status = server.status("").await;
    assert_eq!(status["scraping_health"]["articles_collected"], 3 * 11);
    assert_eq!(status["scraping_health"]["total_sources"], 3);
    server.stop().await;
}

async fn run_registers_its_source_and_writes_a_metric(database: Database) {
    let server = Server::start(database).await;
    let before = revision(&server.status("").await["revision"]);
    let body = server.store_runs(RUNS, &[run(" punch ")]).await;
    assert!(revision(&body["revisions"]["default"]) > before);
    let query = "{ sources { key enabled lastRunState }
        dataQualityMetrics { nodes { source metricType geocodingAttempts geocodingSuccessRate status } } }";
    let metric = json!({"source": "punch", "metricType": "SOURCE_SPECIFIC", "geocodingAttempts": 20,
        "geocodingSuccessRate": 90.0, "status": "HEALTHY"});
    let source = json!({"key": "punch", "enabled": true, "lastRunState": "OK"});
    let expect = json!({"sources": [source], "dataQualityMetrics": {"nodes": [metric]}});
    assert_eq!(server.data(query, json!({})).await, expect);
    server.stop().await;
}

async fn run_without_counts_writes_no_metric(database: Database) {
    let server = Server::start(database).await;
    server.store_runs(RUNS, &[json!({"source": "punch", "timestamp": now()})]).await;
    let query = "{ dataQualityMetrics { nodes { id } } sourceRuns { nodes { geocodingAttempts articlesCollected } } }";
    let data = server.data(query, json!({})).await;
    assert_eq!(data["dataQualityMetrics"]["nodes"], json!([]));
    assert_eq!(data["sourceRuns"]["nodes"], json!([{"geocodingAttempts": null, "articlesCollected": null}]));
    assert_eq!(server.status("").await["data_quality"]["basis"], "none");
    server.stop().await;
}

async fn valid_items_are_stored_and_invalid_ones_named(database: Database) {
    let server = Server::start(database).await;
    let bad = with(run(""), json!({"geocoding_successes": 21, "artcles": 1}));
    let (status, body) = server.report(RUNS, &json!([run("a"), bad, 5, run("b")])).await;
    assert_eq!(status, 207, "{body}");
    let statuses: Vec<&Value> = body["results"].as_array().expect("results").iter().map(|r| &r["status"]).collect();
    assert_eq!(statuses, ["stored", "refused", "refused", "stored"]);
    let errors = body["results"][1]["errors"].as_array().expect("errors");
    let fields: Vec<&str> = errors.iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(fields, ["source", "geocoding_successes", "artcles"]);
    assert!(errors.iter().all(|error| error["message"] != "" && error["expected"] != ""));
    assert_eq!(server.status("").await["scraping_health"]["total_sources"], 2);

    let (status, body) = server.report(RUNS, &json!([{"outcome": "ok"}, {"timestamp": now()}])).await;
    assert_eq!((status, body["revisions"].clone()), (422, json!({})), "{body}");
    server.stop().await;
}

async fn response_distinguishes_duplicates_from_conflicts(database: Database) {
    let server = Server::start(database).await;
    let first = with(run("a"), json!({"id": Uuid::from_u128(1)}));
    let stored = server.store_runs(RUNS, std::slice::from_ref(&first)).await;
    let (status, again) = server.report(RUNS, &first).await;
    assert_eq!((status, &again["results"][0]["status"]), (200, &json!("duplicate")));
    assert_eq!(again["revisions"], stored["revisions"], "a duplicate changes nothing");
    let nulls = with(first.clone(), json!({"pipeline": null, "error": null}));
    assert_eq!(server.report(RUNS, &nulls).await.0, 200, "null says nothing");

    let other = with(first.clone(), json!({"articles_collected": 4}));
    let (status, conflict) = server.report(RUNS, &other).await;
    assert_eq!((status, &conflict["results"][0]["errors"][0]["field"]), (409, &json!("id")), "{conflict}");
    let elsewhere = with(first.clone(), json!({"pipeline": "other"}));
    assert_eq!(server.report(RUNS, &elsewhere).await.0, 201, "the id is unique within its source");
    assert_eq!(server.report(RUNS, &elsewhere).await.0, 200, "stored before");
    assert_eq!(server.report(RUNS, &json!([first, run("b")])).await.0, 200, "stored and duplicate");
    assert_eq!(server.report(RUNS, &json!([other, run("b")])).await.0, 207, "stored and conflict");
    assert_eq!(server.report(RUNS, &json!([other, {}])).await.0, 422, "conflicts and invalid items together");
    let twice = with(run("c"), json!({"id": Uuid::from_u128(2)}));
    let (status, body) = server.report(RUNS, &json!([twice, twice])).await;
    assert_eq!((status, &body["results"][1]["status"]), (200, &json!("duplicate")), "within one request");
    server.stop().await;
}

async fn id_is_unique_per_report_kind(database: Database) {
    let server = Server::start(database).await;
    let id = json!({"id": Uuid::from_u128(1)});
    server.store_runs(RUNS, &[with(run("a"), id.clone())]).await;
    let metric =
        json!({"metric_type": "aggregate", "timestamp": now(), "geocoding_attempts": 1, "geocoding_successes": 1});
    assert_eq!(server.report(METRICS, &with(metric, id)).await.0, 201);
    server.stop().await;
}

async fn pipeline_of_the_item_takes_precedence(database: Database) {
    let server = Server::start(database).await;
    let body = json!([run("a"), with(run("b"), json!({"pipeline": "two"}))]);
    let (status, answer) = server.report(&format!("{RUNS}?pipeline=one"), &body).await;
    assert_eq!(status, 201);
    let revisions = answer["revisions"].as_object().expect("revisions");
    assert_eq!(revisions.keys().collect::<Vec<_>>(), ["one", "two"]);
    for (pipeline, source) in [("one", "a"), ("two", "b")] {
        let status = server.status(&format!("?pipeline={pipeline}")).await;
        assert_eq!(status["scraping_health"]["sources"][0]["source"], source);
        assert_eq!(status["scraping_health"]["total_sources"], 1, "two pipelines do not see each other");
    }
    assert_eq!(server.status("").await["scraping_health"]["total_sources"], 0);
    let (status, answer) = server.report(&format!("{RUNS}?pipeline=No"), &run("a")).await;
    assert_eq!((status, &answer["results"][0]["errors"][0]["field"]), (422, &json!("pipeline")));
    server.stop().await;
}

async fn report_older_than_a_day_is_backfill(database: Database) {
    let server = Server::start(database).await;
    let old = with(run("a"), json!({"timestamp": ago(chrono::TimeDelta::hours(25)), "outcome": "failed"}));
    server.store_runs(RUNS, &[old]).await;
    let data = server.data("{ sourceRuns { nodes { backfill state } } sources { lastRun } }", json!({})).await;
    assert_eq!(data["sourceRuns"]["nodes"], json!([{"backfill": true, "state": "FAILED"}]));
    assert_eq!(data["sources"], json!([{"lastRun": null}]), "backfill never freshens a source");
    assert_eq!(server.status("").await["scraping_health"]["failed_sources"], 0);
    server.stop().await;
}

async fn metrics_can_be_reported_directly(database: Database) {
    let server = Server::start(database).await;
    let counts = json!({"timestamp": now(), "geocoding_attempts": 48, "geocoding_successes": 42,
        "geocoding_success_rate": 87.5, "validation_attempts": 39, "validation_passes": 36});
    let of = |kind: &str| with(counts.clone(), json!({"metric_type": kind}));
    assert_eq!(server.report(METRICS, &of("aggregate")).await.0, 201);
    let quality = server.status("").await["data_quality"].clone();
    assert_eq!(quality["geocoding_success_rate"], 87.5);
    assert_eq!(quality["validation_pass_rate"], 92.3);
    assert_eq!((quality["basis"].as_str(), quality["status"].as_str()), (Some("aggregate"), Some("healthy")));
    let (status, body) = server.report(METRICS, &of("source-specific")).await;
    assert_eq!((status, &body["results"][0]["errors"][0]["field"]), (422, &json!("source")));
    let (status, body) = server.report(METRICS, &with(of("aggregate"), json!({"geocoding_success_rate": 90}))).await;
    assert_eq!((status, &body["results"][0]["errors"][0]["expected"]), (422, &json!("87.5 (within 0.1), or no rate")));
    server.stop().await;
}

async fn unreadable_bodies_are_refused(database: Database) {
    let server = Server::start(database).await;
    let large = vec![b' '; 8 * 1024 * 1024 + 1];
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&large).expect("compressed");
    let bomb = bomb.finish().expect("compressed");
    let json = "application/json";
    let many = json!(vec![json!({}); 1_001]).to_string();
    for (content_type, encoding, body, expect, words) in [
        (json, None, b"{\n  \"source\": }".to_vec(), 400, "line 2 column 13"),
        ("application/x-ndjson", None, b"{}\n{]".to_vec(), 400, "line 2 column 2"),
        (json, None, large, 413, "8 MiB"),
        (json, Some("gzip"), bomb, 413, "8 MiB"),
        (json, None, many.into_bytes(), 413, "1000"),
        ("text/plain", None, b"{}".to_vec(), 415, "application/json"),
        ("application/x-www-form-urlencoded", None, b"{}".to_vec(), 415, "application/json"),
    ] {
        let mut request = server.post(RUNS).header("content-type", content_type).body(body);
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        let (status, problem) = answer(request).await;
        assert_eq!((status, &problem["status"]), (expect, &json!(expect)), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{words} in {problem}");
    }
    assert_eq!(answer(server.get(RUNS)).await.0, 405);
    assert_eq!(answer(server.get("/nowhere")).await.0, 404);
    server.stop().await;
}

async fn concurrent_reports_are_neither_lost_nor_duplicated(database: Database) {
    let server = Server::start(database).await;
    let reports = (0..200).map(|number| {
        let pipeline = if number % 2 == 0 { "even" } else { "odd" };
        let body = with(run(&format!("s{}", number % 7)), json!({"pipeline": pipeline, "articles_collected": number}));
        let server = &server;
        async move { (pipeline, server.report(RUNS, &body).await) }
    });
    let mut acknowledged = std::collections::HashMap::<&str, Vec<u64>>::new();
    for (pipeline, (status, body)) in join_all(reports).await {
        assert_eq!(status, 201, "{body}");
        acknowledged.entry(pipeline).or_default().push(revision(&body["revisions"][pipeline]));
    }
    for (pipeline, sum) in [("even", 9_900), ("odd", 10_000)] {
        let status = server.status(&format!("?pipeline={pipeline}")).await;
        assert_eq!(status["scraping_health"]["articles_collected"], sum, "{pipeline}");
        assert_eq!(Some(&revision(&status["revision"])), acknowledged[pipeline].iter().max(), "the newest of all");
    }
    server.stop().await;
}

async fn identical_concurrent_reports_are_stored_once(database: Database) {
    let server = Server::start(database).await;
    let body = with(run("a"), json!({"id": Uuid::from_u128(9)}));
    let answers = join_all((0..20).map(|_| server.report(RUNS, &body))).await;
    let stored = answers.iter().filter(|(status, _)| *status == 201).count();
    let duplicates = answers.iter().filter(|(status, _)| *status == 200).count();
    assert_eq!((stored, duplicates), (1, 19));
    assert_eq!(server.status("").await["scraping_health"]["articles_collected"], 3);
    server.stop().await;
}

async fn graphql_mutations_follow_the_same_rules(database: Database) {
    let server = Server::start(database).await;
    let record = "mutation($inputs: [SourceRunInput!]!) { recordSourceRuns(inputs: $inputs, pipeline: \"news\") {
        revisions { pipeline revision } results { index id status errors { field expected } } } }";
    let good = json!({"id": Uuid::from_u128(1), "source": "punch", "timestamp": now(), "outcome": "FAILED",
        "geocodingAttempts": 5, "geocodingSuccesses": 4});
    let bad = json!({"source": "punch", "timestamp": "yesterday", "geocodingAttempts": 5, "geocodingSuccesses": 6});
    let data = server.data(record, json!({"inputs": [good, bad]})).await;
    let answer = &data["recordSourceRuns"];
    assert_eq!(answer["revisions"][0]["pipeline"], "news");
    assert_eq!(
        (&answer["results"][0]["status"], &answer["results"][1]["status"]),
        (&json!("STORED"), &json!("REFUSED"))
    );
    let fields: Vec<&Value> =
        answer["results"][1]["errors"].as_array().expect("errors").iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["timestamp", "geocodingSuccesses"]);

    let rest = json!({"id": Uuid::from_u128(1), "source": "punch", "timestamp": good["timestamp"], "outcome": "failed",
        "geocoding_attempts": 5, "geocoding_successes": 4});
    assert_eq!(server.report(&format!("{RUNS}?pipeline=news"), &rest).await.0, 200, "the same, by the other door");

    let one = "mutation { recordSourceRun(input: {source: \"a\", timestamp: \"TIME\"}) { results { status } }
        recordDataQuality(input: {metricType: HOURLY, timestamp: \"TIME\", validationAttempts: 1, validationPasses: 1}) {
            results { status } }
        recordDataQualityMetrics(inputs: []) { results { status } } }";
    let data = server.data(&one.replace("TIME", &now()), json!({})).await;
    assert_eq!(data["recordSourceRun"]["results"][0]["status"], "STORED");
    assert_eq!(data["recordDataQuality"]["results"][0]["status"], "STORED");
    assert_eq!(data["recordDataQualityMetrics"]["results"], json!([]));
    server.stop().await;
}

async fn counts_up_to_the_database_maximum_are_accepted(database: Database) {
    let server = Server::start(database).await;
    let most = 4_503_599_627_370_495_i64;
    let large = json!({"articles_collected": most, "geocoding_attempts": most, "geocoding_successes": most});
    server.store_runs(RUNS, &[with(run("a"), large.clone()), with(run("a"), large)]).await;
    let status = server.status("").await;
    assert_eq!(status["scraping_health"]["articles_collected"], 2 * most);
    let data = server.data("{ pipelineStatus { dataQuality { geocodingAttempts } } }", json!({})).await;
    assert_eq!(data["pipelineStatus"]["dataQuality"]["geocodingAttempts"], 2 * most);
    server.stop().await;
}
