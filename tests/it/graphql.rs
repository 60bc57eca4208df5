use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::support::server::answer;
use crate::support::{Database, Server, ago, run, with};

const RUNS: &str = "/api/v1/source-runs";

on_both_databases! {
    history_is_paginated_newest_first,
    history_is_filtered,
    invalid_arguments_are_named,
    sources_can_be_registered_before_their_first_report,
    get_accepts_queries_only,
    content_type_follows_accept,
    batch_is_executed_in_order,
}

async fn history_is_paginated_newest_first(database: Database) {
    let server = Server::start(database).await;
    let at = |minutes: i64| {
        with(run("a"), json!({"timestamp": ago(TimeDelta::minutes(minutes)), "articles_collected": minutes}))
    };
    // Several rows have the same timestamp: the id orders them, and no row is lost at a page boundary.
    let twin = at(100);
    server.store_runs(RUNS, &(0..7).map(at).chain([twin.clone(), twin.clone(), twin]).collect::<Vec<_>>()).await;
    // Only metrics of sources, since the server may write hourly metrics concurrently.
    for (field, only, sum) in [
        ("sourceRuns", "", "articlesCollected"),
        ("dataQualityMetrics", ", metricType: SOURCE_SPECIFIC", "geocodingAttempts"),
    ] {
        let query = format!(
            "query($after: String) {{ {field}(first: 4, after: $after{only}) {{
                nodes {{ id {sum} }} pageInfo {{ hasNextPage hasPreviousPage endCursor }} }} }}"
        );
        let (mut after, mut seen, mut pages) = (Value::Null, vec![], 0);
        loop {
            let page = server.data(&query, json!({"after": after})).await[field].clone();
            seen.extend(page["nodes"].as_array().expect("nodes").iter().map(|node| node["id"].to_string()));
            assert_eq!(page["pageInfo"]["hasPreviousPage"], pages > 0);
            pages += 1;
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
            if pages == 1 {
                server.store_runs(RUNS, &[run("new")]).await;
            }
        }
        let unique: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!((pages, unique.len(), seen.len()), if field == "sourceRuns" { (3, 10, 10) } else { (3, 11, 11) });
    }
    let data = server.data("{ sourceRuns { nodes { articlesCollected } } }", json!({})).await;
    let order: Vec<u64> = data["sourceRuns"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .filter_map(|n| n["articlesCollected"].as_u64())
        .collect();
    assert_eq!(order[2..], [0, 1, 2, 3, 4, 5, 6, 100, 100, 100]);
    server.stop().await;
}

async fn history_is_filtered(database: Database) {
    let server = Server::start(database).await;
    let at = |source: &str, minutes: i64, outcome: &str| {
        with(run(source), json!({"timestamp": ago(TimeDelta::minutes(minutes)), "outcome": outcome}))
    };
    server
        .store_runs(RUNS, &[at("a", 10, "ok"), at("a", 20, "failed"), at("b", 30, "failed"), at("b", 40, "aborted")])
        .await;
    let aggregate = json!({"metric_type": "aggregate", "timestamp": ago(TimeDelta::minutes(5)),
        "geocoding_attempts": 1, "geocoding_successes": 1});
    assert_eq!(server.report("/api/v1/data-quality-metrics", &aggregate).await.0, 201);
    let (from, to) = (ago(TimeDelta::minutes(35)), ago(TimeDelta::minutes(15)));
    for (field, arguments, expect) in [
        ("sourceRuns", String::new(), 4),
        ("sourceRuns", "(source: \"a\")".into(), 2),
        ("sourceRuns", "(outcome: FAILED)".into(), 2),
        ("sourceRuns", "(source: \"a\", outcome: FAILED)".into(), 1),
        ("sourceRuns", format!("(from: \"{from}\")"), 3),
        ("sourceRuns", format!("(to: \"{to}\")"), 3),
        ("sourceRuns", format!("(from: \"{from}\", to: \"{to}\")"), 2),
        ("sourceRuns", "(source: \"unknown\")".into(), 0),
        ("dataQualityMetrics", "(metricType: AGGREGATE)".into(), 1),
        ("dataQualityMetrics", "(metricType: SOURCE_SPECIFIC, source: \"b\")".into(), 2),
        ("dataQualityMetrics", "(metricType: SOURCE_SPECIFIC)".into(), 4),
        ("dataQualityMetrics", "(metricType: HOURLY, source: \"a\")".into(), 0),
        ("dataQualityMetrics", format!("(metricType: SOURCE_SPECIFIC, from: \"{from}\", to: \"{to}\")"), 2),
    ] {
        let data = server.data(&format!("{{ {field}{arguments} {{ nodes {{ id }} }} }}"), json!({})).await;
        assert_eq!(data[field]["nodes"].as_array().map(Vec::len), Some(expect), "{field}{arguments}");
    }
    server.stop().await;
}

async fn invalid_arguments_are_named(database: Database) {
    let server = Server::start(database).await;
    for (arguments, words) in [
        ("first: 0", "first"),
        ("first: 501", "500"),
        ("after: \"x\"", "after"),
        ("from: \"yesterday\"", "from"),
        ("source: \"\"", "source"),
        ("pipeline: \"No\"", "pipeline"),
    ] {
        let answer = server.graphql(&format!("{{ sourceRuns({arguments}) {{ nodes {{ id }} }} }}"), json!({})).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{words} in {answer}");
    }
    let code = server.error_code("{ sourceRuns(pipeline: \"nothing\") { nodes { id } } }", json!({})).await;
    assert_eq!(code, "PIPELINE_NOT_FOUND");
    let code = server.error_code("mutation { removeSource(source: \"unknown\") }", json!({})).await;
    assert_eq!(code, "SOURCE_NOT_FOUND");
    server.stop().await;
}

async fn sources_can_be_registered_before_their_first_report(database: Database) {
    let server = Server::start(database).await;
    let upsert = "mutation { upsertSource(pipeline: \"news\", source: \"punch\", enabled: true) { pipeline key enabled lastRun } }";
    let data = server.data(upsert, json!({})).await;
    assert_eq!(data["upsertSource"], json!({"pipeline": "news", "key": "punch", "enabled": true, "lastRun": null}));
    let status = server.status("?pipeline=news").await;
    assert_eq!(status["scraping_health"]["total_sources"], 1);
    assert_eq!(status["overall_status"], "pending", "no run yet");
    let first = crate::support::revision(&status["revision"]);
    server.data(upsert, json!({})).await;
    assert!(crate::support::revision(&server.status("?pipeline=news").await["revision"]) > first);
    server.stop().await;
}

async fn get_accepts_queries_only(database: Database) {
    let server = Server::start(database).await;
    let get = |query: &str| server.get("/graphql").query(&[("query", query)]);
    let (status, body) = answer(get("{ pipelineStatus { overallStatus } }")).await;
    assert_eq!((status, &body["data"]["pipelineStatus"]["overallStatus"]), (200, &json!("PENDING")));
    let response = get("mutation { upsertSource(source: \"a\") { key } }").send().await.expect("a response");
    assert_eq!((response.status().as_u16(), response.headers()["allow"].as_bytes()), (405, &b"POST"[..]));
    assert_eq!(server.status("").await["scraping_health"]["total_sources"], 0, "nothing was changed");
    let (_, body) = answer(get("subscription { pipelineStatusUpdates { revision } }")).await;
    let message = body["errors"][0]["message"].as_str().expect("a message");
    assert!(message.contains("graphql-transport-ws") && message.contains("Server-Sent Events"), "{message}");
    server.stop().await;
}

async fn content_type_follows_accept(database: Database) {
    let server = Server::start(database).await;
    let (graphql, json) = ("application/graphql-response+json", "application/json");
    for (accept, query, status, content_type) in [
        (graphql, "{ pipelines { key } }", 200, graphql),
        (json, "{ pipelines { key } }", 200, json),
        (graphql, "{ nothing }", 400, graphql),
        (json, "{ nothing }", 200, json),
        (graphql, "", 400, graphql),
    ] {
        let request = server.post("/graphql").header("accept", accept).json(&json!({"query": query}));
        let response = request.send().await.expect("a response");
        assert_eq!(response.status(), status, "{accept} {query}");
        let given = response.headers()["content-type"].to_str().expect("text").to_owned();
        assert_eq!(given, format!("{content_type}; charset=utf-8"));
        let body: Value = response.json().await.expect("JSON");
        assert_eq!(body.get("data").is_some(), query.contains("pipelines"), "no data on a request error: {body}");
    }
    let request = server.post("/graphql").header("content-type", "text/plain").body("{}");
    assert_eq!(answer(request).await.0, 415);
    assert_eq!(answer(server.get("/graphql").header("accept", "image/png")).await.0, 406);
    server.stop().await;
}

async fn batch_is_executed_in_order(database: Database) {
    let server = Server::start(database).await;
    let upsert =
        |source: &str| json!({"query": format!("mutation {{ upsertSource(source: \"{source}\") {{ key }} }}")});
    let count = json!({"query": "query Count { pipelineStatus { scrapingHealth { totalSources } } }",
        "operationName": "Count", "variables": null});
    let batch = json!([upsert("a"), count, {"query": "{ nothing }"}, upsert("b"), count, {"query": "{"}]);
    for (accept, content_type) in [
        ("application/json", "application/json; charset=utf-8"),
        ("application/graphql-response+json", "application/graphql-response+json; charset=utf-8"),
    ] {
        let request = server.post("/graphql").header("accept", accept).json(&batch);
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], content_type);
        let results: Value = response.json().await.expect("JSON");
        let total = |index: usize| &results[index]["data"]["pipelineStatus"]["scrapingHealth"]["totalSources"];
        assert_eq!(results.as_array().map(Vec::len), Some(6), "{results}");
        assert_eq!(results[0]["data"]["upsertSource"]["key"], "a");
        assert!(results[2].get("data").is_none() && results[2]["errors"][0]["message"].is_string(), "{results}");
        assert!(results[5].get("data").is_none() && results[5]["errors"][0]["message"].is_string(), "{results}");
        assert!(total(1).as_u64() >= Some(1) && total(4) == 2, "{results}");
    }
    assert_eq!(answer(server.post("/graphql").json(&json!([count]))).await.1.as_array().map(Vec::len), Some(1));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batch_shares_one_budget() {
    let server = Server::start(Database::sqlite()).await;
    let failed = with(run("a"), json!({"outcome": "failed", "error": "x".repeat(16_000)}));
    server.store_runs(RUNS, &vec![failed; 340]).await;
    let batch = |count: usize, query: &str| json!(vec![json!({"query": query}); count]);
    let names = |count: usize| format!("{{ {} }}", "__typename ".repeat(count));
    let costly = "{ sourceRuns(first: 500) { nodes { a: id b: id c: id d: id e: id f: id g: id h: id i: id j: id } } }";
    for (body, code, words) in [
        (batch(11, "{ __typename }"), "TOO_MANY_OPERATIONS", "at most 10"),
        (batch(2, &format!("{{ __typename }} # {}", "x".repeat(17_000))), "DOCUMENT_TOO_LARGE", "32768"),
        (batch(2, &names(501)), "TOO_MANY_SELECTIONS", "1002"),
        (batch(10, costly), "OPERATION_TOO_COSTLY", "max_complexity"),
        (batch(1, "subscription { pipelineStatusUpdates { revision } }"), "", "subscription"),
        (json!([{"query": "{ __typename }"}, {"query": ""}]), "", "query"),
        (json!([]), "", "empty"),
    ] {
        let (status, answer) = answer(server.post("/graphql").json(&body)).await;
        let error = &answer["errors"][0];
        assert_eq!(status, 400, "{answer:.300}");
        assert_eq!(error["extensions"]["code"].as_str().unwrap_or_default(), code, "{answer:.300}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{words}: {answer:.300}");
    }
    // Alone each of them passes.
    for query in [names(501), costly.to_owned()] {
        assert_eq!(answer(server.post("/graphql").json(&batch(1, &query))).await.0, 200);
    }
    // 5.4 MB each: the second one has no room.
    let (status, results) =
        answer(server.post("/graphql").json(&batch(3, "{ sourceRuns(first: 340) { nodes { error } } }"))).await;
    assert_eq!(status, 200);
    assert_eq!(results[0]["data"]["sourceRuns"]["nodes"].as_array().map(Vec::len), Some(340));
    for index in [1, 2] {
        assert_eq!(results[index]["errors"][0]["extensions"]["code"], "ANSWER_TOO_LARGE", "{:.300}", results[index]);
    }
    // At most 20 errors in all.
    let (_, results) = answer(server.post("/graphql").json(&batch(10, "{ a b c d e }"))).await;
    let errors = results.as_array().expect("a list").iter().filter_map(|result| result["errors"].as_array());
    assert!(errors.map(Vec::len).sum::<usize>() <= 20, "{results}");
    // A stream has one operation.
    let request = server.post("/graphql").header("accept", "text/event-stream").json(&batch(1, "{ __typename }"));
    assert_eq!(answer(request).await.0, 400);
    // Uploads are not switched on by a dependency.
    let request = server.post("/graphql").header("content-type", "multipart/form-data; boundary=x").body("--x--");
    assert_eq!(answer(request).await.0, 415);
    server.stop().await;
}
