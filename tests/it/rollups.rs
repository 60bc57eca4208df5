use chrono::TimeDelta;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::key::SourceKey;
use pipewatch::domain::report::ReportKind;
use pipewatch::domain::rollup::RollupBasis;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::support::timed_store::{TimedStore, at, rollups};
use crate::support::{Database, Server, ago, run, with};

const RUNS: &str = "/api/v1/source-runs";
const NOW: &str = "2026-03-02T12:34:56Z";

on_both_databases! {
    reports_are_totalled_by_hour_and_day,
    totals_do_not_depend_on_order_or_batching,
    removed_source_is_subtracted,
    all_series_are_read_in_one_query,
    history_has_totals_and_no_empty_buckets,
    history_uses_one_basis,
    history_is_bounded,
}

async fn reports_are_totalled_by_hour_and_day(database: Database) {
    let fixture = TimedStore::open(&database, NOW).await;
    let run = |source: &str, at: &str, articles: Value, attempts: u32, passes: u32| {
        json!({"source": source, "timestamp": at, "articles_collected": articles,
            "geocoding_attempts": attempts, "geocoding_successes": passes, "outcome": "failed"})
    };
    fixture
        .runs(&[
            run("a", "2026-03-01T23:59:59.999999Z", json!(3), 10, 9),
            run("a", "2026-03-02T00:00:00Z", json!(0), 0, 0),
            run("b", "2026-03-02T01:30:00+01:00", json!(null), 5, 5),
        ])
        .await;
    fixture
        .metrics(&[json!({"metric_type": "aggregate", "timestamp": "2026-03-02T00:10:00Z",
        "validation_attempts": 7, "validation_passes": 6})])
        .await;
    // The failed run of `a` on March 2 has no count, so it adds no volume.
    let expect = [
        "a|source-specific|articles|day|2026-03-01T00:00:00|1 3 0",
        "a|source-specific|articles|hour|2026-03-01T23:00:00|1 3 0",
        "a|source-specific|geocoding|day|2026-03-01T00:00:00|1 10 9",
        "a|source-specific|geocoding|hour|2026-03-01T23:00:00|1 10 9",
        "b|source-specific|geocoding|day|2026-03-02T00:00:00|1 5 5",
        "b|source-specific|geocoding|hour|2026-03-02T00:00:00|1 5 5",
        "|aggregate|validation|day|2026-03-02T00:00:00|1 7 6",
        "|aggregate|validation|hour|2026-03-02T00:00:00|1 7 6",
        "|source-specific|articles|day|2026-03-01T00:00:00|1 3 0",
        "|source-specific|articles|hour|2026-03-01T23:00:00|1 3 0",
        "|source-specific|geocoding|day|2026-03-01T00:00:00|1 10 9",
        "|source-specific|geocoding|day|2026-03-02T00:00:00|1 5 5",
        "|source-specific|geocoding|hour|2026-03-01T23:00:00|1 10 9",
        "|source-specific|geocoding|hour|2026-03-02T00:00:00|1 5 5",
    ];
    assert_eq!(rollups(&database, "default").await, expect);
    // Late reports correct the totals.
    fixture.runs(&[run("a", "2026-03-01T23:00:00Z", json!(1), 2, 0)]).await;
    let corrected = rollups(&database, "default").await;
    for line in [
        "a|source-specific|articles|day|2026-03-01T00:00:00|2 4 0",
        "a|source-specific|geocoding|hour|2026-03-01T23:00:00|2 12 9",
        "|source-specific|geocoding|day|2026-03-01T00:00:00|2 12 9",
    ] {
        assert!(corrected.iter().any(|row| row == line), "{line} in {corrected:#?}");
    }
    assert_eq!(corrected.len(), expect.len());
    fixture.close().await;
}

/// A report with few sources and hours, so that totals overlap.
fn report() -> impl Strategy<Value = (ReportKind, Value)> {
    let count = |most: u32| prop::option::of((0..=most, 0u32..=100));
    let source = prop::sample::select(vec!["punch", "The Guardian (NG)", "\u{e4}\"\\'", "a|b"]);
    let kind = prop::sample::select(vec!["run", "aggregate", "source-specific", "hourly", "hourly-of-source"]);
    let volume = prop::option::of(0u32..500);
    (kind, source, 0i64..3 * 86_400_000, count(30), count(i32::MAX.unsigned_abs()), volume.clone(), volume).prop_map(
        |(kind, source, millis, geocoding, validation, articles, events)| {
            let timestamp = at("2026-02-27T12:00:00Z") + TimeDelta::milliseconds(millis);
            let rows = u64::from(articles.unwrap_or(0)) << 30;
            let mut item = json!({"timestamp": timestamp.to_rfc3339(), "counts": {"rows": rows}});
            let part = |(attempts, percent): (u32, u32)| (attempts, u64::from(attempts) * u64::from(percent) / 100);
            if let Some((attempts, passes)) = geocoding.map(part) {
                item = with(item, json!({"geocoding_attempts": attempts, "geocoding_successes": passes}));
            }
            // A metric without counts is refused.
            if let Some((attempts, passes)) = validation.map(part).or((kind != "run").then_some((1, 1))) {
                item = with(item, json!({"validation_attempts": attempts, "validation_passes": passes}));
            }
            let (report, change) = match kind {
                "run" => {
                    let volumes = json!({"source": source, "articles_collected": articles, "events_extracted": events});
                    (ReportKind::SourceRun, volumes)
                }
                "hourly-of-source" => (ReportKind::DataQuality, json!({"metric_type": "hourly", "source": source})),
                "source-specific" => (ReportKind::DataQuality, json!({"metric_type": kind, "source": source})),
                _ => (ReportKind::DataQuality, json!({"metric_type": kind})),
            };
            (report, with(item, change))
        },
    )
}

async fn totals_do_not_depend_on_order_or_batching(database: Database) {
    let fixture = TimedStore::open(&database, NOW).await;
    let mut runner = TestRunner::deterministic();
    for case in 0..12 {
        let (one, other) = (format!("case-{case}"), format!("case-{case}-otherwise"));
        let reports = prop::collection::vec((report(), 1usize..20), 0..80);
        let reports = reports.new_tree(&mut runner).expect("reports").current();
        let mut rest: Vec<_> = reports.iter().map(|(report, _)| report.clone()).collect();
        let mut sizes = reports.iter().map(|(_, size)| *size);
        let into = |pipeline: &str, items: &[(ReportKind, Value)]| -> Vec<_> {
            items.iter().map(|(kind, item)| (*kind, with(item.clone(), json!({"pipeline": pipeline})))).collect()
        };
        let shuffled = Just(rest.clone()).prop_shuffle().new_tree(&mut runner).expect("an order").current();
        while !rest.is_empty() {
            let size = sizes.next().unwrap_or(1).min(rest.len());
            fixture.record(&into(&one, &rest.drain(..size).collect::<Vec<_>>())).await;
        }
        fixture.record(&into(&other, &shuffled)).await;

        let written = rollups(&database, &one).await;
        assert_eq!(written, rollups(&database, &other).await, "case {case}: order and grouping are no matter");
        if !reports.is_empty() {
            let made = fixture.store.rebuild_rollups(&one.parse().expect("a key")).await.expect("rebuilt");
            assert_eq!(made, written.len() as u64);
        }
        assert_eq!(written, rollups(&database, &one).await, "case {case}: a rebuild gives the same totals");
    }
    fixture.close().await;
}

async fn removed_source_is_subtracted(database: Database) {
    let fixture = TimedStore::open(&database, NOW).await;
    let reports = |pipeline: &str, sources: &[&str]| -> Vec<(ReportKind, Value)> {
        let hours = ["2026-03-02T01:00:00Z", "2026-03-02T02:00:00Z", "2026-02-02T02:00:00Z"];
        let each = sources.iter().flat_map(|source| hours.map(|hour| (source, hour)));
        let runs = each.clone().map(|(source, hour)| {
            (ReportKind::SourceRun, with(run(source), json!({"pipeline": pipeline, "timestamp": hour})))
        });
        let hourly = each.map(|(source, hour)| {
            let metric = json!({"pipeline": pipeline, "metric_type": "hourly", "source": source, "timestamp": hour,
                "geocoding_attempts": 4, "geocoding_successes": 3});
            (ReportKind::DataQuality, metric)
        });
        let aggregate = json!({"pipeline": pipeline, "metric_type": "aggregate", "timestamp": hours[0],
            "geocoding_attempts": 4, "geocoding_successes": 3});
        runs.chain(hourly).chain([(ReportKind::DataQuality, aggregate)]).collect()
    };
    fixture.record(&reports("one", &["a", "b"])).await;
    fixture.record(&reports("two", &["b"])).await;
    assert_ne!(rollups(&database, "one").await, rollups(&database, "two").await);
    let source: SourceKey = "a".parse().expect("a source");
    fixture.store.remove_source(&"one".parse().expect("a key"), &source).await.expect("removed");
    assert_eq!(rollups(&database, "one").await, rollups(&database, "two").await, "as if the source had never reported");
    fixture
        .store
        .remove_source(&"one".parse().expect("a key"), &"b".parse().expect("a source"))
        .await
        .expect("removed");
    assert!(rollups(&database, "one").await.iter().all(|row| row.contains("aggregate")), "nothing of 0 stays");
    fixture.close().await;
}

async fn all_series_are_read_in_one_query(database: Database) {
    let fixture = TimedStore::open(&database, NOW).await;
    let timed = |source: &str, hour: &str| with(run(source), json!({"timestamp": hour}));
    fixture
        .runs(&[
            timed("b", "2026-03-02T03:20:00Z"),
            timed("B", "2026-03-02T01:10:00Z"),
            timed("b", "2026-03-02T02:00:00Z"),
            timed("b", "2026-03-01T23:59:00Z"),
        ])
        .await;
    let since = at("2026-03-02T00:00:00Z");
    let all = fixture.store.hourly_series(&PipelineKey::default(), since).await.expect("read");
    let shown: Vec<_> = all
        .iter()
        .map(|hours| {
            assert_eq!(hours.basis, RollupBasis::SourceSpecific);
            let source = hours.source.as_ref().map_or("", SourceKey::as_str);
            let starts =
                hours.hours.iter().map(|sums| sums.start.format("%H").to_string()).collect::<Vec<_>>().join(" ");
            format!("{source} {} {starts}", hours.series)
        })
        .collect();
    let expect = ["articles", "events", "geocoding", "validation"];
    let expect: Vec<_> = [("", "01 02 03"), ("B", "01"), ("b", "02 03")]
        .iter()
        .flat_map(|(source, hours)| expect.map(|series| format!("{source} {series} {hours}")))
        .collect();
    assert_eq!(shown, expect, "in order, and without the day before");
    let geocoding = all.iter().find(|hours| hours.series.as_str() == "geocoding").expect("a geocoding series");
    let sums = geocoding.hours[0];
    assert_eq!((sums.runs, sums.total, sums.passes), (1, 20, 18));
    assert!(fixture.store.hourly_series(&"none".parse().expect("a key"), since).await.expect("read").is_empty());
    fixture.close().await;
}

async fn history_has_totals_and_no_empty_buckets(database: Database) {
    let server = Server::start(database).await;
    let timed = |source: &str, hours: i64| with(run(source), json!({"timestamp": ago(TimeDelta::hours(hours))}));
    server.store_runs(RUNS, &[timed("a", 50), timed("a", 50), timed("b", 50), timed("a", 2)]).await;
    let query = "query($source: String, $check: String!, $from: DateTime!, $to: DateTime!, $bucket: HistoryBucket!) {
        qualityHistory(source: $source, check: $check, from: $from, to: $to, bucket: $bucket) {
            pipeline source check bucket basis points { start runs attempts passes rate total } } }";
    let (from, to) = (ago(TimeDelta::hours(60)), ago(TimeDelta::zero()));
    for (source, check, bucket, basis, expect) in [
        (json!(null), "geocoding", "HOUR", "SOURCE_SPECIFIC", [[3, 60, 54], [1, 20, 18]]),
        (json!("a"), "geocoding", "HOUR", "SOURCE_SPECIFIC", [[2, 40, 36], [1, 20, 18]]),
        (json!("a"), "validation", "DAY", "SOURCE_SPECIFIC", [[2, 40, 38], [1, 20, 19]]),
    ] {
        let variables = json!({"source": source, "check": check, "from": from, "to": to, "bucket": bucket});
        let history = server.data(query, variables).await["qualityHistory"].clone();
        assert_eq!((&history["source"], &history["check"], &history["basis"]), (&source, &json!(check), &json!(basis)));
        let points = history["points"].as_array().expect("points");
        let read: Vec<_> =
            points.iter().map(|point| ["runs", "attempts", "passes"].map(|field| point[field].as_u64())).collect();
        assert_eq!(read, expect.map(|point| point.map(Some)), "{history}");
        let rate = if check == "geocoding" { 90.0 } else { 95.0 };
        assert!(points.iter().all(|point| point["rate"] == rate && point["total"].is_null()), "{history}");
        assert!(points.iter().all(|point| point["start"].as_str().is_some_and(|start| start.ends_with(":00:00Z"))));
    }
    let variables = json!({"check": "articles", "from": from, "to": to, "bucket": "HOUR"});
    let history = server.data(query, variables).await["qualityHistory"].clone();
    let volume = |runs: u32, total: u32, start: &Value| json!({"start": start, "runs": runs, "total": total, "attempts": null, "passes": null, "rate": null});
    let start = |index: usize| &history["points"][index]["start"];
    assert_eq!(history["points"], json!([volume(3, 9, start(0)), volume(1, 3, start(1))]));
    // The raw rows are not needed.
    server.database.execute("DELETE FROM source_runs").await;
    server.database.execute("DELETE FROM data_quality_metrics").await;
    let variables = json!({"check": "articles", "from": from, "to": to, "bucket": "HOUR"});
    assert_eq!(server.data(query, variables).await["qualityHistory"], history);
    server.stop().await;
}

async fn history_uses_one_basis(database: Database) {
    let server = Server::start(database).await;
    let hourly = |source: Value| {
        json!({"metric_type": "hourly", "source": source, "timestamp": ago(TimeDelta::hours(1)),
        "geocoding_attempts": 10, "geocoding_successes": 1})
    };
    let aggregate = json!({"metric_type": "aggregate", "timestamp": ago(TimeDelta::hours(1)),
        "validation_attempts": 10, "validation_passes": 4});
    let none = json!(null);
    for (path, item, whole, of_source) in [
        (METRICS, hourly(json!("a")), ("HOURLY_OF_SOURCES", &json!(10.0)), ("HOURLY_OF_SOURCES", &json!(10.0))),
        (METRICS, hourly(none.clone()), ("HOURLY", &json!(10.0)), ("HOURLY_OF_SOURCES", &json!(10.0))),
        (RUNS, run("a"), ("SOURCE_SPECIFIC", &json!(90.0)), ("SOURCE_SPECIFIC", &json!(90.0))),
        // For all checks together: the aggregate has no geocoding.
        (METRICS, aggregate, ("AGGREGATE", &none), ("SOURCE_SPECIFIC", &json!(90.0))),
    ] {
        assert_eq!(server.report(path, &item).await.0, 201, "{item}");
        let (from, to) = (ago(TimeDelta::hours(3)), ago(TimeDelta::hours(-3)));
        for (source, (basis, rate)) in [("null", whole), ("\"a\"", of_source)] {
            let query = format!(
                "{{ qualityHistory(source: {source}, check: \"geocoding\", from: \"{from}\", to: \"{to}\", bucket: DAY) \
                 {{ basis points {{ rate }} }} }}"
            );
            let history = server.data(&query, json!({})).await["qualityHistory"].clone();
            assert_eq!((&history["basis"], &history["points"][0]["rate"]), (&json!(basis), rate), "{item}: {source}");
        }
    }
    server.stop().await;
}

const METRICS: &str = "/api/v1/data-quality-metrics";

async fn history_is_bounded(database: Database) {
    let server = Server::start(database).await;
    let answer = async |arguments: &str| {
        let query = format!("{{ qualityHistory({arguments}) {{ basis points {{ runs }} }} }}");
        server.graphql(&query, json!({})).await
    };
    let years = "from: \"2024-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\"";
    for (arguments, code, words) in [
        (format!("check: \"geocoding\", bucket: HOUR, {years}"), "BAD_USER_INPUT", "bucket DAY"),
        (
            "check: \"x\", bucket: DAY, from: \"1990-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\"".to_owned(),
            "BAD_USER_INPUT",
            "shorter",
        ),
        (
            "check: \"x\", bucket: DAY, from: \"2026-01-01T00:00:00Z\", to: \"2026-01-01T00:00:00Z\"".to_owned(),
            "BAD_USER_INPUT",
            "is not before `to`",
        ),
        ("check: \"x\", bucket: DAY, from: \"yesterday\", to: \"today\"".to_owned(), "BAD_USER_INPUT", "from"),
        (format!("check: \"\", bucket: DAY, {years}"), "BAD_USER_INPUT", "check"),
        (format!("check: \"x\", source: \"\", bucket: DAY, {years}"), "BAD_USER_INPUT", "source"),
        (format!("check: \"x\", pipeline: \"none\", bucket: DAY, {years}"), "PIPELINE_NOT_FOUND", "none"),
    ] {
        let answer = answer(&arguments).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], code, "{arguments}: {answer}");
        assert!(error["message"].as_str().is_some_and(|message| message.contains(words)), "{words} in {answer}");
    }
    let nothing = answer(&format!("check: \"geocoding\", source: \"unknown\", bucket: DAY, {years}")).await;
    assert_eq!(nothing["data"]["qualityHistory"], json!({"basis": null, "points": []}));
    server.stop().await;
}
