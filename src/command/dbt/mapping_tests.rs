use super::*;

fn artifacts() -> Artifacts {
    let manifest = json!({
        "metadata": {"project_name": "Shop_EU"},
        "nodes": {
            "model.Shop_EU.orders": {"tags": ["daily", "model"]},
            "test.Shop_EU.a": {"attached_node": "model.Shop_EU.orders", "test_metadata": {"name": "not_null"}},
            "test.Shop_EU.b": {"attached_node": "model.Shop_EU.orders", "test_metadata": {"name": "not_null"}},
            "test.Shop_EU.c": {"attached_node": null, "depends_on": {"nodes": ["source.Shop_EU.raw.orders"]}, "name": "Events"},
            "test.Shop_EU.d": {"depends_on": {"nodes": []}, "name": "__"}
        },
        "sources": {"source.Shop_EU.raw.orders": {"tags": []}}
    });
    let timing = json!([{"name": "compile", "completed_at": "2026-01-01T00:00:01.5Z"},
        {"name": "execute", "completed_at": "2026-01-01T00:00:02"}]);
    let result = |id: &str, status: &str| json!({"unique_id": id, "status": status, "message": null});
    let with = |mut result: Value, name: &str, value: Value| {
        result[name] = value;
        result
    };
    let orders = with(result("model.Shop_EU.orders", "success"), "timing", timing);
    let orders = with(orders, "adapter_response", json!({"rows_affected": 120, "bytes_processed": -1}));
    let orders = with(with(orders, "execution_time", json!(1.25)), "message", json!("OK"));
    let run_results = json!({
        "metadata": {"invocation_id": "i-1", "generated_at": "2026-01-01T00:00:03Z"}, "elapsed_time": 3.5,
        "args": {"which": "build"},
        "results": [
            orders,
            with(result("test.Shop_EU.a", "pass"), "failures", json!(0)),
            with(with(result("test.Shop_EU.b", "fail"), "failures", json!(3)), "message", json!("Got 3 results")),
            result("test.Shop_EU.c", "warn"),
            result("test.Shop_EU.d", "pass"),
            result("test.Shop_EU.a", "skipped"),
            result("model.other.x.v2", "skipped"),
            result("operation.Shop_EU.hook-0", "success"),
        ]
    });
    Artifacts { manifest, run_results: Some(run_results), sources: None }
}

fn mapped(artifacts: &Artifacts) -> Vec<(String, Value)> {
    let mapped = reports(artifacts, None).expect("artifacts");
    mapped.entries.into_iter().map(|entry| (entry.path, entry.report)).collect()
}

#[test]
fn models_are_runs_and_tests_are_checks() {
    let runs = SOURCE_RUNS.to_owned();
    let expect = [
        (
            runs.clone(),
            json!({"id": "i-1", "pipeline": "shop_eu", "source": "dbt build", "timestamp": "2026-01-01T00:00:03Z",
            "duration": 3.5, "outcome": "failed", "error": "test.Shop_EU.b: Got 3 results", "tags": ["dbt"],
            "checks": [{"name": "test", "attempts": 1, "passes": 1}], "counts": {"failing_rows": 0}}),
        ),
        (
            runs.clone(),
            json!({"id": "i-1/orders", "pipeline": "shop_eu", "source": "orders", "timestamp": "2026-01-01T00:00:02Z",
            "parent": "i-1", "duration": 1.25, "outcome": "ok", "tags": ["model", "daily"],
            "counts": {"rows_affected": 120, "failing_rows": 3},
            "checks": [{"name": "not_null", "attempts": 2, "passes": 1}]}),
        ),
        (
            runs,
            json!({"id": "i-1/other.x.v2", "pipeline": "shop_eu", "source": "other.x.v2", "timestamp": "2026-01-01T00:00:03Z",
            "parent": "i-1", "outcome": "aborted", "tags": ["model"]}),
        ),
        (
            METRICS.to_owned(),
            json!({"id": metric_id("i-1", "shop_eu", "raw.orders"), "pipeline": "shop_eu", "source": "raw.orders",
            "timestamp": "2026-01-01T00:00:03Z", "metric_type": "source-specific",
            "checks": [{"name": "dbt_events", "attempts": 1, "passes": 0}], "counts": {"failing_rows": 0}}),
        ),
    ];
    assert_eq!(mapped(&artifacts()), expect);
}

#[test]
fn freshness_is_a_run_per_source() {
    let result = |id: &str, status: &str, age: f64| {
        json!({"unique_id": id, "status": status, "snapshotted_at": "2026-01-01T00:00:00Z",
        "max_loaded_at_time_ago_in_s": age, "criteria": {"error_after": {"count": 12, "period": "hour"}}})
    };
    let sources = json!({
        "metadata": {"invocation_id": "i-2", "generated_at": "2026-01-01T00:00:03Z"}, "elapsed_time": 1,
        "results": [
            result("source.Shop_EU.raw.orders", "error", 50_000.9),
            {"unique_id": "source.Shop_EU.raw.gone", "status": "runtime error", "error": "no table"},
        ]
    });
    let reports = mapped(&Artifacts { run_results: None, sources: Some(sources), ..artifacts() });
    assert_eq!(reports[0].1["source"], "dbt source freshness");
    assert_eq!(reports[0].1["error"], "source.Shop_EU.raw.orders: error\nsource.Shop_EU.raw.gone: no table");
    assert_eq!(
        reports[1].1,
        json!({"id": "i-2/raw.orders", "pipeline": "shop_eu", "source": "raw.orders", "timestamp": "2026-01-01T00:00:00Z",
        "parent": "i-2", "outcome": "failed", "tags": ["source"], "counts": {"age_seconds": 50_000},
        "error": "raw.orders was loaded 50000 seconds ago, later than error_after (12 hour)",
        "checks": [{"name": "freshness", "attempts": 1, "passes": 0}]})
    );
    assert_eq!((&reports[2].1["error"], reports[2].1.get("checks")), (&json!("no table"), None));
}

#[test]
fn commands_that_run_nothing_are_skipped() {
    let mut artifacts = artifacts();
    artifacts.run_results.as_mut().expect("results")["args"]["which"] = "compile".into();
    let mapped = reports(&artifacts, Some("p")).expect("artifacts");
    assert_eq!((mapped.entries.len(), mapped.notices.len()), (0, 1));
}

#[test]
fn names_are_sanitised() {
    for (name, expect) in [("Not Null!", "not_null_"), ("__é", "test"), ("geocoding", "dbt_geocoding"), ("a-b", "a-b")]
    {
        assert_eq!(check_name(name), expect, "{name}");
    }
    assert_eq!(pipeline_key("_My Shop.EU"), "my-shop.eu");
}

#[test]
fn surplus_tests_are_summed() {
    let mut tests = Tests::default();
    (0..60).for_each(|number| tests.add(format!("t{number}"), number % 2 == 0, 1));
    let mut report = Map::new();
    tests.add_to(&mut report);
    let checks = report["checks"].as_array().expect("a list");
    assert_eq!((checks.len(), &checks[49]), (50, &json!({"name": "other_tests", "attempts": 11, "passes": 5})));
    assert_eq!(report["counts"]["failing_rows"], 60);
}

/// The artifacts of the real dbt, and the reports that the Python package makes of them.
#[test]
fn both_programs_make_the_same_reports() {
    let read = |name: &str| {
        let path = format!("{}/tests/data/dbt/{name}.json", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice::<Value>(&std::fs::read(path).expect("a file")).expect("JSON")
    };
    let artifacts = Artifacts {
        manifest: read("manifest"),
        run_results: Some(read("run_results")),
        sources: Some(read("sources")),
    };
    let reports: Vec<_> =
        mapped(&artifacts).into_iter().map(|(path, report)| json!({"path": path, "report": report})).collect();
    assert_eq!(Value::from(reports), read("reports"));
}
