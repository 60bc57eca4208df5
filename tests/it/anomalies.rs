//! Anomaly detection, from the report to the alert and its resolution.

use chrono::{DateTime, TimeDelta, Utc};
use pipewatch::config::Flags;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use rand_distr::{Binomial, Distribution as _};
use serde_json::{Value, json};

use crate::support::server::answer;
use crate::support::timed_store::{at, lines};
use crate::support::{Database, Server, eventually, with};

on_both_databases! {
    source_without_data_is_an_anomaly,
    named_count_that_stays_zero_is_an_anomaly,
    drop_and_surge_are_found_once,
    imported_history_is_used_as_baseline_immediately,
    late_reports_correct_the_baseline,
    removed_source_has_no_alert_and_no_error_budget,
}

/// A Monday. The generated data depends on nothing else.
const BEGIN: &str = "2031-01-06T00:00:00Z";
const DAYS: i64 = 21;

fn begin() -> DateTime<Utc> {
    at(BEGIN)
}

async fn start(database: Database, now: DateTime<Utc>) -> Server {
    let flags = Flags { evaluation_interval: Some("100ms".into()), ..Flags::default() };
    Server::start_at(database, flags, now).await
}

/// A run that ended in the given hour, counted from `BEGIN`.
fn run(source: &str, hour: i64, counts: Value) -> Value {
    let ended = begin() + TimeDelta::hours(hour) + TimeDelta::minutes(3);
    with(
        json!({"source": source, "timestamp": ended.to_rfc3339(), "articles_collected": 0, "events_extracted": 0}),
        counts,
    )
}

/// Reports to a pipeline in one transaction, so that an evaluation sees all runs or none.
async fn store(server: &Server, pipeline: &str, runs: &[Value]) {
    let body = runs.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    let request = server.post(&format!("/api/v1/source-runs?pipeline={pipeline}"));
    let (status, answer) = answer(request.header("content-type", "application/x-ndjson").body(body)).await;
    assert_eq!(status, 201, "{answer}");
}

/// Waits until all hours of a pipeline before this one are evaluated.
async fn wait_until_evaluated(database: &Database, pipeline: &str, hour: i64) {
    let to = if database.is_postgres() {
        "to_char(evaluated_until AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"
    } else {
        "replace(substr(evaluated_until, 1, 19), 'T', ' ')"
    };
    let sql = format!("SELECT {to} FROM anomaly_watermarks WHERE pipeline = '{pipeline}'");
    let expected = (begin() + TimeDelta::hours(hour)).format("%Y-%m-%d %H:%M:%S").to_string();
    eventually("the hours are evaluated", || async {
        lines(database, &sql).await.first().is_some_and(|judged| *judged >= expected).then_some(())
    })
    .await;
}

/// The anomalies of the hours since the beginning, newest first.
async fn anomalies(server: &Server, pipeline: &str) -> Vec<Value> {
    let query = "query($pipeline: String!, $from: DateTime) { anomalies(pipeline: $pipeline, from: $from) { nodes {
        id type severity description timestamp source check series method observed expected lower upper sampleSize
        pValue alpha } } }";
    let data = server.data(query, json!({"pipeline": pipeline, "from": BEGIN})).await;
    data["anomalies"]["nodes"].as_array().expect("a list").clone()
}

async fn alerts(server: &Server) -> Vec<Value> {
    let query = "{ alerts { nodes { id rule pipeline source check state severity message } } }";
    server.data(query, json!({})).await["alerts"]["nodes"].as_array().expect("a list").clone()
}

async fn alert(server: &Server, rule: &str, source: &str, state: &str) -> Value {
    eventually(&format!("{rule} of {source} {state}"), || async {
        let is_it = |alert: &Value| alert["rule"] == rule && alert["source"] == source && alert["state"] == state;
        alerts(server).await.into_iter().find(is_it)
    })
    .await
}

async fn source_without_data_is_an_anomaly(database: Database) {
    let server = start(database, begin() + TimeDelta::minutes(10)).await;
    let mut random = StdRng::seed_from_u64(1);
    let five = Binomial::new(500, 0.01).expect("a rate");
    let mut runs = Vec::new();
    // `punch` returns five articles an hour, the other source one a day.
    for hour in -24 * DAYS..0 {
        let articles = five.sample(&mut random);
        runs.push(run("punch", hour, json!({"articles_collected": articles})));
        runs.push(run("sparse", hour, json!({"articles_collected": u8::from(random.random_bool(0.04))})));
    }
    store(&server, "news", &runs).await;
    wait_until_evaluated(&server.database, "news", 0).await;

    // For two days both runs succeed and return nothing.
    for half_day in 0..4 {
        server.advance(TimeDelta::hours(12));
        let hours = 12 * half_day..12 * (half_day + 1);
        let empty: Vec<Value> =
            hours.flat_map(|hour| [run("punch", hour, json!({})), run("sparse", hour, json!({}))]).collect();
        store(&server, "news", &empty).await;
    }
    wait_until_evaluated(&server.database, "news", 48).await;
    let dead = alert(&server, "DEAD_FEED", "punch", "FIRING").await;
    assert!(dead["message"].as_str().expect("a text").contains("returned no data"), "{dead}");
    let found = anomalies(&server, "news").await;
    let of_dead: Vec<&Value> =
        found.iter().filter(|one| one["method"] == "DEAD_FEED" && one["severity"] == "HIGH").collect();
    assert!(of_dead.iter().all(|one| one["source"] == "punch"), "{of_dead:#?}");
    assert_eq!(of_dead.len(), 1, "{of_dead:#?}");
    let status = server.status("?pipeline=news").await;
    assert!(status["alerts"].as_array().expect("alerts").iter().any(|alert| alert["id"] == dead["id"]), "{status}");

    // The report arrives before its hour is complete.
    let back = [run("punch", 48, json!({"articles_collected": 4})), run("sparse", 48, json!({}))];
    store(&server, "news", &back).await;
    server.advance(TimeDelta::hours(1));
    assert_eq!(alert(&server, "DEAD_FEED", "punch", "RESOLVED").await["id"], dead["id"]);
    let all = alerts(&server).await;
    assert!(all.iter().all(|alert| alert["source"] != "sparse"), "{all:#?}");
    server.stop().await;
}

/// A run of an hourly source with 50 attempts and about 20 articles.
fn usual(source: &str, hour: i64, random: &mut StdRng) -> Value {
    let (fifty, twenty) = (Binomial::new(50, 0.9).expect("a rate"), Binomial::new(2_000, 0.01).expect("a rate"));
    let counts = json!({"articles_collected": twenty.sample(random),
        "geocoding_attempts": 50, "geocoding_successes": fifty.sample(random)});
    run(source, hour, counts)
}

async fn named_count_that_stays_zero_is_an_anomaly(database: Database) {
    let server = start(database, begin() + TimeDelta::minutes(10)).await;
    let mut random = StdRng::seed_from_u64(5);
    let five = Binomial::new(500, 0.01).expect("a rate");
    let load = |hour: i64, rows: u64| {
        let ended = begin() + TimeDelta::hours(hour) + TimeDelta::minutes(3);
        json!({"source": "load", "timestamp": ended.to_rfc3339(), "counts": {"rows_loaded": rows}})
    };
    let history: Vec<Value> = (-24 * DAYS..0).map(|hour| load(hour, five.sample(&mut random))).collect();
    store(&server, "billing", &history).await;
    wait_until_evaluated(&server.database, "billing", 0).await;

    for half_day in 0..4 {
        server.advance(TimeDelta::hours(12));
        let empty: Vec<Value> = (12 * half_day..12 * (half_day + 1)).map(|hour| load(hour, 0)).collect();
        store(&server, "billing", &empty).await;
    }
    wait_until_evaluated(&server.database, "billing", 48).await;
    let dead = alert(&server, "DEAD_FEED", "load", "FIRING").await;
    let found = anomalies(&server, "billing").await;
    let of_dead: Vec<&Value> = found.iter().filter(|one| one["method"] == "DEAD_FEED").collect();
    assert!(
        of_dead.iter().all(|one| one["series"].as_str().is_some_and(|series| series.ends_with("rows_loaded"))),
        "{of_dead:#?}"
    );
    assert!(!of_dead.is_empty() && dead["message"].as_str().is_some_and(|text| !text.is_empty()), "{found:#?} {dead}");
    server.stop().await;
}

async fn drop_and_surge_are_found_once(database: Database) {
    let now = begin() + TimeDelta::minutes(10);
    let server = start(database, now).await;
    let mut random = StdRng::seed_from_u64(2);
    for (pipeline, sources) in [("news", &["punch", "vanguard"][..]), ("other", &["the-sun"])] {
        let hours = -24 * DAYS..0;
        let runs: Vec<Value> = hours
            .flat_map(|hour| sources.iter().map(move |source| (hour, source)))
            .map(|(hour, source)| usual(source, hour, &mut random))
            .collect();
        store(&server, pipeline, &runs).await;
        wait_until_evaluated(&server.database, pipeline, 0).await;
    }
    let drop = json!({"geocoding_attempts": 50, "geocoding_successes": 25, "articles_collected": 20});
    let surge = json!({"geocoding_attempts": 50, "geocoding_successes": 45, "articles_collected": 150});
    let low = json!({"geocoding_attempts": 50, "geocoding_successes": 35, "articles_collected": 20});
    store(&server, "news", &[run("punch", 0, drop), run("vanguard", 0, surge)]).await;
    store(&server, "other", &[run("the-sun", 0, low)]).await;
    server.advance(TimeDelta::hours(1));

    let rate = alert(&server, "ANOMALY", "punch", "FIRING").await;
    let volume = alert(&server, "ANOMALY", "vanguard", "FIRING").await;
    assert_eq!((&rate["check"], &volume["check"]), (&json!("geocoding"), &json!("articles")));
    let status = server.status("?pipeline=news").await;
    assert_eq!(status["overall_status"], "error", "{status}");
    for alert in [&rate, &volume] {
        assert!(status["alerts"].as_array().expect("alerts").iter().any(|one| one["id"] == alert["id"]), "{status}");
    }
    let found = anomalies(&server, "news").await;
    for (source, method, series, observed) in
        [("punch", "RATE", "geocoding", json!(50.0)), ("vanguard", "VOLUME", "articles", json!(150.0))]
    {
        let of_it: Vec<&Value> =
            found.iter().filter(|one| one["source"] == source && one["method"] == method).collect();
        let [one] = of_it[..] else { panic!("{of_it:#?}") };
        let number = |name: &str| one[name].as_f64().unwrap_or_else(|| panic!("{name}: {one}"));
        assert_eq!((&one["series"], &one["severity"]), (&json!(series), &json!("HIGH")), "{one}");
        assert_eq!(one["observed"], observed);
        assert!(number("lower") <= number("expected") && number("expected") <= number("upper"), "{one}");
        assert!(number("pValue") < number("alpha") && number("alpha") < 0.01, "{one}");
        let size = one["sampleSize"].as_u64().unwrap_or_else(|| panic!("{one}"));
        assert!(size >= 14, "{one}");
    }

    // A low-severity anomaly is listed and raises no alert.
    wait_until_evaluated(&server.database, "other", 1).await;
    let lows = anomalies(&server, "other").await;
    assert!(lows.iter().any(|one| one["method"] == "RATE"), "{lows:#?}");
    assert!(lows.iter().all(|one| one["severity"] == "LOW"), "{lows:#?}");
    let other = server.status("?pipeline=other").await;
    assert_eq!((&other["overall_status"], &other["alerts"]), (&json!("healthy"), &json!([])), "{other}");
    assert!(other["anomalies"].as_array().is_some_and(|shown| shown.len() >= lows.len()), "{other}");

    // Another server, with a new lease term and an empty cache, finds nothing new.
    let before = alerts(&server).await;
    let server = start(server.stop().await, now + TimeDelta::hours(1)).await;
    let hour: Vec<Value> = ["punch", "vanguard"].iter().map(|source| normal(source, 1)).collect();
    store(&server, "news", &hour).await;
    server.advance(TimeDelta::hours(1));
    wait_until_evaluated(&server.database, "news", 2).await;
    let first_hour = "2031-01-06T00";
    let again: Vec<Value> = anomalies(&server, "news").await;
    let again: Vec<&Value> =
        again.iter().filter(|one| one["timestamp"].as_str().expect("an instant").starts_with(first_hour)).collect();
    assert_eq!(again, found.iter().collect::<Vec<_>>());
    let ids = |alerts: &[Value]| {
        let mut ids: Vec<String> = alerts.iter().map(|alert| alert["id"].to_string()).collect();
        ids.sort_unstable();
        ids
    };
    assert_eq!(ids(&alerts(&server).await), ids(&before), "one alert each");

    // Two normal hours resolve it.
    let hour: Vec<Value> = ["punch", "vanguard"].iter().map(|source| normal(source, 2)).collect();
    store(&server, "news", &hour).await;
    server.advance(TimeDelta::hours(1));
    assert_eq!(alert(&server, "ANOMALY", "punch", "RESOLVED").await["id"], rate["id"]);
    assert_eq!(alert(&server, "ANOMALY", "vanguard", "RESOLVED").await["id"], volume["id"]);
    server.stop().await;
}

fn normal(source: &str, hour: i64) -> Value {
    run(source, hour, json!({"geocoding_attempts": 50, "geocoding_successes": 45, "articles_collected": 20}))
}

/// Imports history that is older than the hours which are re-read at every evaluation.
async fn imported_history_is_used_as_baseline_immediately(database: Database) {
    let server = start(database, begin() + TimeDelta::minutes(10)).await;
    assert!(anomalies(&server, "default").await.is_empty(), "no anomalies at the start");
    wait_until_evaluated(&server.database, "default", 0).await;
    let mut random = StdRng::seed_from_u64(3);
    let runs: Vec<Value> = (-24 * 10..-72).map(|hour| usual("punch", hour, &mut random)).collect();
    store(&server, "default", &runs).await;
    server.advance(TimeDelta::hours(1));
    wait_until_evaluated(&server.database, "default", 1).await;
    let drop = json!({"geocoding_attempts": 50, "geocoding_successes": 25, "articles_collected": 20});
    store(&server, "default", &[run("punch", 1, drop)]).await;
    server.advance(TimeDelta::hours(1));
    wait_until_evaluated(&server.database, "default", 2).await;
    let found = anomalies(&server, "default").await;
    assert!(found.iter().any(|one| one["method"] == "RATE" && one["severity"] == "HIGH"), "{found:#?}");
    server.stop().await;
}

/// Imports history for a source that is known but has too little data to be evaluated; the history is older than late
/// reports.
async fn late_reports_correct_the_baseline(database: Database) {
    let server = start(database, begin() + TimeDelta::minutes(10)).await;
    let mut random = StdRng::seed_from_u64(5);
    let known: Vec<Value> = (-10..0).map(|hour| usual("punch", hour, &mut random)).collect();
    store(&server, "news", &known).await;
    wait_until_evaluated(&server.database, "news", 0).await;
    let past: Vec<Value> = (-24 * 10..-72).map(|hour| usual("punch", hour, &mut random)).collect();
    store(&server, "news", &past).await;
    store(&server, "news", &[run("punch", 0, json!({"geocoding_attempts": 50, "geocoding_successes": 25}))]).await;
    server.advance(TimeDelta::hours(1));
    wait_until_evaluated(&server.database, "news", 1).await;
    let found = anomalies(&server, "news").await;
    assert!(found.iter().any(|one| one["method"] == "RATE" && one["severity"] == "HIGH"), "{found:#?}");
    server.stop().await;
}

async fn removed_source_has_no_alert_and_no_error_budget(database: Database) {
    let server = start(database, begin() + TimeDelta::minutes(10)).await;
    let mut random = StdRng::seed_from_u64(6);
    for (pipeline, sources) in [("news", &["punch", "vanguard"][..]), ("other", &["the-sun"])] {
        for source in sources {
            let runs: Vec<Value> = (-24 * DAYS..0).map(|hour| usual(source, hour, &mut random)).collect();
            store(&server, pipeline, &runs).await;
        }
        wait_until_evaluated(&server.database, pipeline, 0).await;
    }
    let drop = json!({"geocoding_attempts": 50, "geocoding_successes": 25, "articles_collected": 20});
    store(&server, "news", &[run("punch", 0, drop.clone()), run("vanguard", 0, drop.clone())]).await;
    server.advance(TimeDelta::hours(1));
    let of_vanguard = alert(&server, "ANOMALY", "vanguard", "FIRING").await;

    // Evaluations after the removal, in this hour and the next, raise nothing for the removed source.
    server.data("mutation { removeSource(pipeline: \"news\", source: \"vanguard\") }", json!({})).await;
    assert_eq!(alert(&server, "ANOMALY", "vanguard", "RESOLVED").await["id"], of_vanguard["id"]);
    server.data("mutation { removePipeline(pipeline: \"other\") }", json!({})).await;
    store(&server, "news", &[run("punch", 1, drop)]).await;
    server.advance(TimeDelta::hours(1));
    wait_until_evaluated(&server.database, "news", 2).await;
    let found = anomalies(&server, "news").await;
    let newest = found.iter().find(|one| one["method"] == "RATE" && one["source"] == "punch").expect("the drop");
    assert!(newest["timestamp"].as_str().expect("an instant").starts_with("2031-01-06T01"), "{newest}");
    // The false-alert budget is divided among the hours and detectors of one source: two for its rate, three for each
    // volume.
    let share = 1.0 / (8.0 * 24.0 * 30.4375);
    let alpha = newest["alpha"].as_f64().expect("a number");
    assert!((alpha / share - 1.0).abs() < 1e-9, "{alpha} is {share}");
    server.stop().await;
}
