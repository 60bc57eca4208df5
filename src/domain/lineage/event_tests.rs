use super::*;

const RUN: &str = "d46e465b-d358-4d32-83d4-df660ff614dd";

fn event(change: Value) -> Value {
    let mut event = json!({
        "eventType": "COMPLETE", "eventTime": "2026-01-28T15:28:02.123Z", "producer": "https://example.com/producer",
        "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
        "run": {"runId": RUN}, "job": {"namespace": "shop", "name": "load.orders"},
    });
    let (Value::Object(fields), Value::Object(change)) = (&mut event, change) else { panic!("two objects") };
    fields.extend(change);
    event
}

fn report(event: &Value) -> Result<Option<Value>, InvalidEvent> {
    Event::parse(&event.to_string())?.report(&Naming::default())
}

/// The fields of a report beyond those that every report has.
fn fields(event: &Value) -> Value {
    let mut report = report(event).expect("valid").expect("a report");
    let fields = report.as_object_mut().expect("an object");
    for name in ["pipeline", "source", "id", "timestamp", "outcome"] {
        fields.remove(name);
    }
    report
}

#[test]
fn transitions_are_outcomes() {
    for (event_type, expect) in [
        (json!("START"), Some("running")),
        (json!("COMPLETE"), Some("ok")),
        (json!("FAIL"), Some("failed")),
        (json!("ABORT"), Some("aborted")),
        (json!("complete"), Some("ok")),
        (json!("RUNNING"), None),
        (json!("OTHER"), None),
        (json!(null), None),
    ] {
        let expect = expect.map(|outcome| {
            json!({"pipeline": "shop", "source": "load.orders", "id": RUN, "timestamp": "2026-01-28T15:28:02.123Z",
                "outcome": outcome})
        });
        assert_eq!(report(&event(json!({"eventType": event_type}))), Ok(expect), "{event_type}");
    }
}

#[test]
fn times_without_a_zone_are_in_utc() {
    for (time, expect) in [
        ("2021-11-03T10:53:52.427343", "2021-11-03T10:53:52.427343Z"),
        ("2020-12-28T19:52:00.001+10:00", "2020-12-28T19:52:00.001+10:00"),
        ("2020-12-28T19:52:00Z", "2020-12-28T19:52:00Z"),
        ("2020-12-28", "2020-12-28"),
    ] {
        assert_eq!(with_zone(time), expect);
    }
}

#[test]
fn events_of_jobs_and_datasets_are_no_reports() {
    for other in [
        json!({"eventTime": "2026-01-28T15:28:02Z", "producer": "p", "job": {"namespace": "a", "name": "b"}, "inputs": []}),
        json!({"eventTime": "2026-01-28T15:28:02Z", "producer": "p", "dataset": {"namespace": "a", "name": "b"}}),
    ] {
        assert_eq!(report(&other), Ok(None), "{other}");
    }
}

#[test]
fn invalid_events_are_refused() {
    let without = |field: &str| {
        let mut event = event(json!({}));
        event.as_object_mut().expect("an object").remove(field);
        report(&event)
    };
    assert_eq!(without("job"), Err(InvalidEvent::Missing("job")));
    assert_eq!(without("eventTime"), Err(InvalidEvent::Missing("eventTime")));
    assert_eq!(without("producer").map(|report| report.is_some()), Ok(true));
    assert_eq!(report(&json!({})), Err(InvalidEvent::Missing("run")));
    assert_eq!(report(&event(json!({"eventType": "PAUSE"}))), Err(InvalidEvent::UnknownType("PAUSE".into())));
    for malformed in [
        json!([]),
        json!("a"),
        event(json!({"run": {}})),
        event(json!({"run": {"runId": 5}})),
        event(json!({"job": {"namespace": "a"}})),
        event(json!({"eventType": 1})),
    ] {
        assert!(matches!(report(&malformed), Err(InvalidEvent::Malformed(_))), "{malformed}");
    }
}

#[test]
fn facets_are_fields_of_the_report() {
    let output =
        |statistics: Value| json!({"namespace": "a", "name": "b", "outputFacets": {"outputStatistics": statistics}});
    let run = |facets: Value| json!({"runId": RUN, "facets": facets});
    let parent = "f99310b4-3c3c-1a1a-2b2b-c1b95c24ff11";
    for (change, expect) in [
        (json!({}), json!({})),
        (
            json!({"outputs": [output(json!({"rowCount": 5, "size": 10})), output(json!({"rowCount": 7})), {}]}),
            json!({"counts": {"rows": 12, "bytes": 10}}),
        ),
        (json!({"outputs": [output(json!({"rowCount": -1, "size": "many"}))]}), json!({})),
        (
            json!({"outputs": [output(json!({"rowCount": MAX_COUNT})), output(json!({"rowCount": 1}))]}),
            json!({"counts": {"rows": MAX_COUNT}}),
        ),
        (
            json!({"inputs": [{"namespace": "a", "name": "b", "inputFacets": {"dataQualityAssertions": {"assertions": [
                {"assertion": "not_null", "success": true}, {"assertion": "not_null", "success": false}]}}}]}),
            json!({"checks": [{"name": "not_null", "attempts": 2, "passes": 1}], "log": "not_null failed"}),
        ),
        (
            json!({"run": run(json!({"errorMessage": {"message": "broken", "programmingLanguage": "JAVA",
                "stackTrace": "at a\nat b"}}))}),
            json!({"error": "broken\nat a\nat b"}),
        ),
        (
            json!({"run": run(json!({"errorMessage": {"message": "Error: a", "stackTrace": "Error: a\n  at b"}}))}),
            json!({"error": "Error: a\n  at b"}),
        ),
        (
            json!({"run": run(json!({
                "nominalTime": {"nominalStartTime": "2026-01-01T00:00:00Z", "nominalEndTime": "2026-01-02T00:00:00Z"},
                "processing_engine": {"name": "spark", "version": "3.5.0"},
                "parent": {"run": {"runId": parent}, "job": {"namespace": "airflow", "name": "dag"}},
                "tags": {"tags": [{"key": "team", "value": "data", "source": "dbt"}, {"key": "nightly"},
                    {"key": "openlineage_client_version", "value": "1.54.0", "source": "OPENLINEAGE_CLIENT"}]}}))}),
            json!({"parent": parent, "tags": ["nominal_start=2026-01-01T00:00:00Z", "nominal_end=2026-01-02T00:00:00Z",
                "engine=spark 3.5.0", "parent=airflow/dag", "team=data", "nightly"]}),
        ),
        (json!({"run": run(json!({"parentRun": {"run": {"runId": parent}}}))}), json!({"parent": parent})),
        (
            json!({"run": run(json!({"airflow": {"taskInstance": {"log_url": "https://airflow/log", "try_number": 2}}}))}),
            json!({"url": "https://airflow/log", "attempt": 2}),
        ),
        // Unknown facets, and those of another form.
        (
            json!({"run": run(json!({"spark_version": {"a": [[[{}]]]}, "parent": 5, "errorMessage": [], "tags": {"tags": 1},
                "nominalTime": null, "airflow": {"taskInstance": {"log_url": "javascript:1", "try_number": "2"}}})),
                "inputs": 5, "outputs": {"a": 1}, "unknown": 1}),
            json!({}),
        ),
    ] {
        assert_eq!(fields(&event(change.clone())), expect, "{change}");
    }
}

#[test]
fn start_has_no_results() {
    let start = event(json!({"eventType": "START",
        "outputs": [{"outputFacets": {"outputStatistics": {"rowCount": 5}}}],
        "inputs": [{"inputFacets": {"dataQualityAssertions": {"assertions": [{"assertion": "a", "success": false}]}}}],
        "run": {"runId": RUN, "facets": {"errorMessage": {"message": "a"}, "processing_engine": {"version": "1"}}}}));
    assert_eq!(fields(&start), json!({"tags": ["engine=1"]}));
}

#[test]
fn failed_assertions_are_the_error_of_a_failed_run() {
    let inputs =
        json!([{"facets": {"dataQualityAssertions": {"assertions": [{"assertion": "unique", "success": false}]}}}]);
    let failed = fields(&event(json!({"eventType": "FAIL", "inputs": inputs})));
    assert_eq!(failed["error"], "unique failed");
    let message = json!({"runId": RUN, "facets": {"errorMessage": {"message": "a\0b"}}});
    let both = fields(&event(json!({"eventType": "FAIL", "inputs": inputs, "run": message})));
    assert_eq!((&both["error"], &both["log"]), (&json!("a\u{fffd}b"), &json!("unique failed")));
}

#[test]
fn tags_are_plain_distinct_and_bounded() {
    let tags: Vec<_> = (0..40).map(|n| json!({"key": format!("tag\n{}", n % 30), "value": "x".repeat(300)})).collect();
    let run = json!({"runId": RUN, "facets": {"tags": {"tags": tags}}});
    let fields = fields(&event(json!({"run": run})));
    let tags = fields["tags"].as_array().expect("tags");
    assert_eq!(tags.len(), MAX_TAGS);
    assert!(tags.iter().all(|tag| tag.as_str().is_some_and(|tag| tag.starts_with("tag ") && tag.len() == MAX_TAG)));
}

#[test]
fn deep_unknown_facets_are_ignored_and_deep_known_ones_dropped() {
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let text = event(json!({"run": {"runId": RUN, "facets": {"unknown": "DEEP", "tags": {"tags": "DEEP"}}}}));
    let text = text.to_string().replace("\"DEEP\"", &deep);
    assert!(
        Event::parse(&text).and_then(|event| event.report(&Naming::default())).is_ok_and(|report| report.is_some())
    );
}
