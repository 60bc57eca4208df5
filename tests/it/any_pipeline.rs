use chrono::TimeDelta;
use pipewatch::clock::Clock;
use pipewatch::config::Flags;
use pipewatch::store::{MigrateTo, Store};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::timed_store::{TimedStore, at, rollups};
use crate::support::{Database, Server, ago, now, run, with};

const RUNS: &str = "/api/v1/source-runs";
const METRICS: &str = "/api/v1/data-quality-metrics";
/// The largest count.
const MOST: u64 = 9_007_199_254_740_991;

on_both_databases! {
    run_ids_are_texts_unique_within_a_source,
    run_stored_under_its_uuid_is_found_again,
    pruned_runs_are_recognised_by_source,
    report_without_timestamp_can_be_repeated,
    details_of_a_run_are_shown,
    end_of_a_run_wins_over_its_start,
    long_texts_are_cut_with_a_warning,
    named_counts_are_summed_everywhere,
    sums_stop_at_the_largest_count,
    rollback_is_refused_while_values_need_the_new_schema,
    mutations_take_all_fields
}

/// A run that ended a minute ago, so that a repeated report is the same.
fn ended(change: Value) -> Value {
    with(json!({"source": "a", "timestamp": ago(TimeDelta::minutes(1))}), change)
}

async fn run_ids_are_texts_unique_within_a_source(database: Database) {
    let server = Server::start(database).await;
    let uuid = Uuid::from_u128(7);
    for id in ["scheduled__2026-01-01T00:00:00+00:00", "ä, \"b\" 'c' \\", "42", &uuid.to_string()] {
        let one = ended(json!({"id": id}));
        for (change, expect) in [
            (json!({}), ("stored", 201)),
            (json!({}), ("duplicate", 200)),
            (json!({"articles_collected": 1}), ("refused", 409)),
            (json!({"source": "b"}), ("stored", 201)),
            (json!({"source": "b"}), ("duplicate", 200)),
            (json!({"pipeline": "other"}), ("stored", 201)),
            (json!({"pipeline": "other"}), ("duplicate", 200)),
        ] {
            let (status, body) = server.report(RUNS, &with(one.clone(), change.clone())).await;
            let result = &body["results"][0];
            assert_eq!((result["status"].as_str(), status), (Some(expect.0), expect.1), "{id} {change}: {body}");
            assert_eq!(result["id"], id, "{body}");
            assert!(result.get("warnings").is_none(), "{body}");
        }
    }
    let twice = ended(json!({"id": "x"}));
    let batch = json!([
        twice,
        ended(json!({"id": "x", "source": "b"})),
        twice,
        ended(json!({"id": "y", "outcome": "running"})),
        ended(json!({"id": "y"})),
        {"source": "a"},
    ]);
    let (_, body) = server.report(RUNS, &batch).await;
    let statuses: Vec<_> = body["results"].as_array().expect("results").iter().map(|it| it["status"].clone()).collect();
    assert_eq!(statuses, ["stored", "stored", "duplicate", "stored", "stored", "stored"], "{body}");
    assert!(Uuid::try_parse(body["results"][5]["id"].as_str().expect("an id")).is_ok(), "{body}");
    let query = "{ sourceRuns(source: \"a\", first: 100) { nodes { id } } }";
    let shown = server.data(query, json!({})).await.to_string();
    for id in ["scheduled__2026-01-01T00:00:00+00:00", "42", &uuid.to_string(), "\"x\"", "\"y\""] {
        assert!(shown.contains(id), "{id} in {shown}");
    }
    server.stop().await;
}

async fn run_stored_under_its_uuid_is_found_again(database: Database) {
    let server = Server::start(database).await;
    let (id, mixed) = ("0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11", "0194AEF2-6B1E-7C3A-9A51-0F6F1D1E9D11");
    let start = ended(json!({"id": id, "outcome": "running"}));
    assert_eq!(server.report(RUNS, &start).await.0, 201);
    assert_eq!(server.report(RUNS, &with(start.clone(), json!({"pipeline": "other"}))).await.0, 201);
    let (status, body) = server.report(RUNS, &ended(json!({"id": mixed}))).await;
    assert_eq!((status, &body["results"][0]["id"]), (201, &json!(mixed)), "the end of the same run");
    assert_eq!(server.report(RUNS, &ended(json!({"id": id, "pipeline": "other"}))).await.0, 201);
    for pipeline in ["default", "other"] {
        let query = format!("{{ sourceRuns(pipeline: \"{pipeline}\") {{ nodes {{ id state }} }} }}");
        let nodes = server.data(&query, json!({})).await["sourceRuns"]["nodes"].take();
        assert_eq!(nodes, json!([{"id": id, "state": "OK"}]), "{pipeline}");
    }
    server.stop().await;
}

async fn pruned_runs_are_recognised_by_source(database: Database) {
    let fixture = TimedStore::open(&database, "2026-01-10T00:00:00Z").await;
    let of = |source: &str, id: &str| json!({"source": source, "id": id, "timestamp": "2026-01-09T00:00:00Z"});
    let uuid = Uuid::from_u128(3).to_string();
    fixture.runs(&[of("a", "x"), of("a", &uuid), of("b", &uuid)]).await;
    fixture.set_now("2026-01-20T00:00:00Z");
    let retention = pipewatch::store::retention::Retention { raw: TimeDelta::days(2), hourly: TimeDelta::days(700) };
    let pruned = fixture.store.prune(&retention).await.expect("pruned");
    fixture.close().await;
    assert!(pruned >= 3, "{pruned} rows");
    let server = Server::start(database).await;
    for (source, id, expect) in [("a", "x", 200), ("a", uuid.as_str(), 200), ("b", uuid.as_str(), 200), ("c", "x", 201)]
    {
        assert_eq!(server.report(RUNS, &of(source, id)).await.0, expect, "{source} {id}");
    }
    server.stop().await;
}

async fn report_without_timestamp_can_be_repeated(database: Database) {
    let server = Server::start(database).await;
    let report = json!({"source": "a", "id": "nightly", "duration": 1.5, "counts": {"rows": 3}});
    assert_eq!(server.report(RUNS, &report).await.0, 201);
    assert_eq!(server.report(RUNS, &report).await.0, 200, "the same report");
    let stamped = with(report, json!({"timestamp": now()}));
    assert_eq!(server.report(RUNS, &stamped).await.0, 409, "another report");
    let metric = json!({"metric_type": "aggregate", "id": Uuid::from_u128(1), "counts": {"rows": 3}});
    assert_eq!(server.report(METRICS, &metric).await.0, 201);
    assert_eq!(server.report(METRICS, &metric).await.0, 200);
    let source = server.status("").await["scraping_health"]["sources"][0].take();
    assert_eq!((&source["status"], &source["runs"]), (&json!("healthy"), &json!(1)));
    server.stop().await;
}

const SHOWN: &str = "{ sourceRuns { nodes { id url tags attempt parent durationSeconds error log state
    counts { name value unit } } } }";

async fn details_of_a_run_are_shown(database: Database) {
    let server = Server::start(database).await;
    let report = ended(json!({
        "id": "manual__1", "url": "https://airflow.example/log?run=1", "tags": ["nightly", "ünï"], "attempt": 2,
        "parent": "dag 7", "duration": 90.25, "outcome": "failed", "error": "line 1\n  line 2\r\n\tline 3",
        "log": "out\u{0}put\n", "counts": {"rows_loaded": 3_000_000_000_u64, "payload_bytes": 5, "lag_seconds": 0},
        "articles_collected": 12
    }));
    server.store_runs(RUNS, &[report]).await;
    let run = server.data(SHOWN, json!({})).await["sourceRuns"]["nodes"][0].take();
    assert_eq!(
        run,
        json!({"id": "manual__1", "url": "https://airflow.example/log?run=1", "tags": ["nightly", "ünï"], "attempt": 2,
        "parent": "dag 7", "durationSeconds": 90.25, "error": "line 1\n  line 2\r\n\tline 3", "log": "out\u{fffd}put\n",
        "state": "FAILED", "counts": [
            {"name": "articles", "value": 12, "unit": "PLAIN"},
            {"name": "lag_seconds", "value": 0, "unit": "SECONDS"},
            {"name": "payload_bytes", "value": 5, "unit": "BYTES"},
            {"name": "rows_loaded", "value": 3_000_000_000_u64, "unit": "PLAIN"},
        ]})
    );
    server.store_runs(RUNS, &[json!({"source": "b", "timestamp": now()})]).await;
    let plain = server.data(SHOWN, json!({})).await["sourceRuns"]["nodes"][0].take();
    let expect = json!({"url": null, "tags": [], "attempt": null, "parent": null, "durationSeconds": null,
        "error": null, "log": null, "state": "OK", "counts": []});
    assert_eq!(with(plain.clone(), expect), plain);
    server.stop().await;
}

async fn end_of_a_run_wins_over_its_start(database: Database) {
    let server = Server::start(database).await;
    let start = |id: &str| {
        let details =
            json!({"url": "http://start", "tags": ["start"], "attempt": 1, "parent": "p", "outcome": "running"});
        with(json!({"id": id, "source": id, "timestamp": ago(TimeDelta::minutes(3))}), details)
    };
    let end = |id: &str| json!({"id": id, "source": id, "timestamp": ago(TimeDelta::minutes(2)), "url": "http://end"});
    // One after the other, in one batch, and in the reverse order.
    server.store_runs(RUNS, &[start("a")]).await;
    server.store_runs(RUNS, &[end("a")]).await;
    server.store_runs(RUNS, &[start("b"), end("b")]).await;
    server.store_runs(RUNS, &[end("c"), start("c")]).await;
    server.store_runs(RUNS, &[end("d")]).await;
    server.store_runs(RUNS, &[start("d")]).await;
    let nodes = server.data(SHOWN, json!({})).await["sourceRuns"]["nodes"].take();
    assert_eq!(nodes.as_array().map(Vec::len), Some(4), "{nodes}");
    for run in nodes.as_array().expect("runs") {
        let merged =
            json!({"url": "http://end", "tags": ["start"], "attempt": 1, "parent": "p", "durationSeconds": 60.0});
        let span = run["durationSeconds"].as_f64().expect("a duration");
        assert!((59.0..61.0).contains(&span), "{run}");
        assert_eq!(with(run.clone(), with(merged, json!({"durationSeconds": span}))), *run);
    }
    server.stop().await;
}

async fn long_texts_are_cut_with_a_warning(database: Database) {
    let server = Server::start(database).await;
    let long = format!("first\n{}\nlast", "é".repeat(10_000));
    let report = ended(json!({"id": "x", "outcome": "failed", "error": long, "log": long}));
    for expect in ["stored", "duplicate"] {
        let (_, body) = server.report(RUNS, &report).await;
        let result = &body["results"][0];
        assert_eq!(result["status"], expect, "{body}");
        assert_eq!(
            (&result["warnings"][0]["field"], &result["warnings"][1]["field"]),
            (&json!("error"), &json!("log"))
        );
        assert!(result["warnings"][0]["message"].as_str().is_some_and(|message| message.contains("16 KiB")), "{body}");
    }
    let run = server.data(SHOWN, json!({})).await["sourceRuns"]["nodes"][0].take();
    let text = |name: &str| run[name].as_str().expect("a text").to_owned();
    let (error, output) = (text("error"), text("log"));
    assert!(error.starts_with("first\né") && error.ends_with("[… cut after 16 KiB]") && !error.contains("last"));
    assert!(output.starts_with("[cut") && output.ends_with("é\nlast") && !output.contains("first"));
    assert!([&error, &output].iter().all(|text| (16_000..17_000).contains(&text.len())));
    server.stop().await;
}

async fn named_counts_are_summed_everywhere(database: Database) {
    let server = Server::start(database).await;
    let of = |source: &str, rows: u64| ended(json!({"source": source, "counts": {"rows": rows, "events": 1}}));
    server.store_runs(RUNS, &[of("a", 3_000_000_000), of("b", 4), run("b")]).await;
    let query = "{ pipelineStatus { scrapingHealth { eventsExtracted counts { name value unit } }
        dataQuality { checks { name } } } }";
    let status = server.data(query, json!({})).await["pipelineStatus"].take();
    let expect = json!([
        {"name": "articles", "value": 3, "unit": "PLAIN"},
        {"name": "events", "value": 4, "unit": "PLAIN"},
        {"name": "rows", "value": 3_000_000_004_u64, "unit": "PLAIN"},
    ]);
    assert_eq!(status["scrapingHealth"], json!({"eventsExtracted": 4, "counts": expect}));
    let plain = server.status("").await["scraping_health"]["counts"].take();
    assert_eq!(plain, json!({"articles": 3, "events": 4, "rows": 3_000_000_004_u64}));
    for (source, expect) in [("null", 3_000_000_004_u64), ("\"a\"", 3_000_000_000), ("\"b\"", 4)] {
        let query = format!(
            "{{ qualityHistory(check: \"counts.rows\", source: {source}, bucket: DAY, from: \"{}\", to: \"{}\") {{
                check basis points {{ total attempts }} }} }}",
            ago(TimeDelta::days(2)),
            now()
        );
        let history = server.data(&query, json!({})).await["qualityHistory"].take();
        let points = history["points"].as_array().expect("points").iter();
        assert_eq!(points.filter_map(|point| point["total"].as_u64()).sum::<u64>(), expect, "{history}");
    }
    // Built-in checks without attempts are not listed.
    server.store_runs("/api/v1/source-runs?pipeline=loads", &[of("a", 1)]).await;
    let query = "{ pipelineStatus(pipeline: \"loads\") { dataQuality { status checks { name } geocodingAttempts } } }";
    let quality = server.data(query, json!({})).await["pipelineStatus"]["dataQuality"].take();
    assert_eq!(quality, json!({"status": "PENDING", "checks": [], "geocodingAttempts": 0}));
    let plain = server.status("?pipeline=loads").await["data_quality"].take();
    assert_eq!(plain["geocoding_attempts"], 0, "the plain JSON stays");
    server.stop().await;
}

async fn sums_stop_at_the_largest_count(database: Database) {
    let fixture = TimedStore::open(&database, "2026-03-02T12:00:00Z").await;
    let most = |minute: u32| {
        json!({"source": "a", "timestamp": format!("2026-03-02T11:{minute:02}:00Z"), "articles_collected": MOST,
            "counts": {"rows": MOST}, "checks": [{"name": "c", "attempts": MOST, "passes": MOST}],
            "steps": [{"name": "s", "state": "ok", "items_in": MOST, "items_out": MOST}],
            "geocoding_attempts": MOST, "geocoding_successes": MOST})
    };
    for minute in 0..3 {
        fixture.runs(&(0..700).map(|_| most(minute)).collect::<Vec<_>>()).await;
    }
    let written = rollups(&database, "default").await;
    for series in ["articles", "counts.rows"] {
        let line = format!("a|source-specific|{series}|day|2026-03-02T00:00:00|2100 {MOST} 0");
        assert!(written.contains(&line), "{line} in {written:#?}");
    }
    assert!(written.contains(&format!("a|source-specific|c|hour|2026-03-02T11:00:00|2100 {MOST} {MOST}")));
    fixture.store.rebuild_rollups(&"default".parse().expect("a key")).await.expect("rebuilt");
    assert_eq!(rollups(&database, "default").await, written, "a rebuild gives the same totals");
    fixture.close().await;
    let database = {
        let server = Server::start_at(database, Flags::default(), at("2026-03-02T12:00:00Z")).await;
        let query = "{ pipelineStatus { steps { itemsIn } dataQuality { geocodingAttempts }
            scrapingHealth { articlesCollected counts { value } } } }";
        let status = server.data(query, json!({})).await["pipelineStatus"].take();
        assert_eq!(status["scrapingHealth"]["counts"], json!([{"value": MOST}, {"value": MOST}]), "{status}");
        assert_eq!(status["dataQuality"]["geocodingAttempts"], MOST);
        assert_eq!(status["steps"][0]["itemsIn"], MOST);
        server.stop().await
    };
    drop(database);
}

async fn rollback_is_refused_while_values_need_the_new_schema(database: Database) {
    let mut database = database;
    for (report, reason) in [
        (json!({"id": Uuid::from_u128(1), "url": "http://a", "tags": ["a"], "attempt": 1}), None),
        (json!({"id": "nightly"}), Some("source_runs have ids that are not UUIDs")),
        (json!({"articles_collected": 2_147_483_648_u64}), Some("source_runs have counts above 2147483647")),
        (json!({"geocoding_attempts": MOST, "geocoding_successes": 1}), Some("counts above 2147483647")),
        (json!({"steps": [{"name": "s", "state": "ok", "items_in": MOST}]}), Some("counts above 2147483647")),
        (json!({"checks": [{"name": "c", "attempts": MOST, "passes": 1}]}), Some("metric_checks have counts above")),
        (json!({"counts": {"rows": 1}}), Some("source_runs have named counts")),
    ] {
        let server = Server::start(database).await;
        let (status, body) = server.report("/api/v1/source-runs?pipeline=temporary", &ended(report.clone())).await;
        assert_eq!(status, 201, "{body}");
        database = server.stop().await;
        let store = Store::open(&database.url, Clock::system()).await.expect("open");
        let later =
            store.migrations().await.expect("steps").iter().rev().take_while(|it| !it.name.contains("m0021")).count();
        store.migrate(MigrateTo::Down(u32::try_from(later).expect("few"))).await.expect("later migrations go down");
        let down = store.migrate(MigrateTo::Down(1)).await;
        match (down, reason) {
            (Ok(()), None) => {}
            (Err(error), Some(reason)) => {
                let error = format!("{error:?}");
                assert!(error.contains("cannot roll back: 1 rows of") && error.contains(reason), "{report}: {error}");
            }
            (down, _) => panic!("{report}: {down:?}"),
        }
        store.migrate(MigrateTo::Up(None)).await.expect("up");
        store.close().await.expect("closed");
        let server = Server::start(database).await;
        let query = "{ sourceRuns(pipeline: \"temporary\") { nodes { id source } } }";
        let nodes = server.data(query, json!({})).await["sourceRuns"]["nodes"].take();
        assert_eq!(nodes.as_array().map(Vec::len), Some(1), "{report}: nothing is lost");
        database = server.stop().await;
        // The server may remove the rows of a pipeline later.
        database.execute("DELETE FROM pipelines WHERE key = 'temporary'").await;
    }
}

async fn mutations_take_all_fields(database: Database) {
    let server = Server::start(database).await;
    let report = "mutation($input: SourceRunInput!) { recordSourceRun(input: $input) {
        results { id status warnings { field message } errors { field expected } } } }";
    let input = json!({"id": "a/1", "source": "a", "url": "https://a.example", "tags": ["x"], "attempt": 3, "parent": "p",
        "duration": 2, "counts": [{"name": "rows_loaded", "value": MOST}], "error": "e\n".repeat(10_000), "log": "l",
        "articlesCollected": 3_000_000_000_u64});
    let result = server.data(report, json!({"input": input})).await["recordSourceRun"]["results"][0].take();
    assert_eq!((&result["id"], &result["status"]), (&json!("a/1"), &json!("STORED")), "{result}");
    assert_eq!(result["warnings"][0]["field"], "error");
    let run = server.data(SHOWN, json!({})).await["sourceRuns"]["nodes"][0].take();
    assert_eq!((&run["attempt"], &run["counts"][1]["value"]), (&json!(3), &json!(MOST)), "{run}");

    let bad =
        json!({"source": "a", "counts": [{"name": "rows_loaded", "value": -1}], "attempt": 0, "articlesCollected": -1});
    let result = server.data(report, json!({"input": bad})).await["recordSourceRun"]["results"][0].take();
    let fields: Vec<_> = result["errors"].as_array().expect("errors").iter().map(|it| it["field"].clone()).collect();
    assert_eq!(fields, ["counts.rows_loaded", "articlesCollected", "attempt"], "{result}");
    server.stop().await;
}
