use serde_json::json;

use super::*;

fn arrival() -> Arrival {
    Arrival {
        received_at: crate::domain::time::parse_rfc3339("2026-01-28T15:30:45Z").expect("a time"),
        pipeline: Ok(PipelineKey::default()),
    }
}

fn faults(kind: ReportKind, change: Value) -> Vec<String> {
    let mut item = match kind {
        ReportKind::SourceRun => json!({
            "source": "punch", "timestamp": "2026-01-28T15:00:00Z", "articles_collected": 3, "events_extracted": 2,
            "geocoding_attempts": 48, "geocoding_successes": 42, "validation_attempts": 39, "validation_passes": 36,
        }),
        ReportKind::DataQuality => json!({
            "metric_type": "aggregate", "timestamp": "2026-01-28T15:00:00Z",
            "geocoding_attempts": 48, "geocoding_successes": 42,
        }),
    };
    match (&mut item, change) {
        (Value::Object(item), Value::Object(change)) => item.extend(change),
        (item, other) => *item = other,
    }
    match Report::parse(kind, item, &arrival()) {
        Ok(_) => vec![],
        Err(faults) => faults.into_iter().map(|fault| fault.field).collect(),
    }
}

#[test]
fn each_bad_field_is_named() {
    use ReportKind::{DataQuality, SourceRun};
    let long = "x".repeat(256);
    for (kind, change, expect) in [
        (SourceRun, json!({}), vec![]),
        (SourceRun, json!({"error": null, "outcome": null}), vec![]),
        (SourceRun, json!({"pipeline": "news"}), vec![]),
        (SourceRun, json!({"pipeline": null}), vec![]),
        (SourceRun, json!({"pipeline": "News"}), vec!["pipeline"]),
        (SourceRun, json!({"source": "  "}), vec!["source"]),
        (SourceRun, json!({"source": long}), vec!["source"]),
        (SourceRun, json!({"source": null}), vec!["source"]),
        (SourceRun, json!({"source": 5}), vec!["source"]),
        (SourceRun, json!({"timestamp": "2026-01-28T15:00:00"}), vec!["timestamp"]),
        (SourceRun, json!({"timestamp": "2026-01-28T15:35:45Z"}), vec![]),
        (SourceRun, json!({"timestamp": "2026-01-28T15:35:46Z"}), vec!["timestamp"]),
        (SourceRun, json!({"timestamp": "1969-12-31T23:59:59Z"}), vec!["timestamp"]),
        (SourceRun, json!({"timestamp": 1_769_614_245}), vec!["timestamp"]),
        (SourceRun, json!({"outcome": "success"}), vec!["outcome"]),
        (SourceRun, json!({"id": "run-1"}), vec!["id"]),
        (SourceRun, json!({"articles_collected": -1}), vec!["articles_collected"]),
        (SourceRun, json!({"articles_collected": 1.5}), vec!["articles_collected"]),
        (SourceRun, json!({"articles_collected": 2_147_483_647}), vec![]),
        (SourceRun, json!({"articles_collected": 2_147_483_648_u32}), vec!["articles_collected"]),
        (SourceRun, json!({"articles_collected": "3"}), vec!["articles_collected"]),
        (SourceRun, json!({"geocoding_successes": 49}), vec!["geocoding_successes"]),
        (SourceRun, json!({"geocoding_successes": null}), vec!["geocoding_successes"]),
        (SourceRun, json!({"geocoding_attempts": null}), vec!["geocoding_attempts"]),
        (SourceRun, json!({"geocoding_success_rate": 87.4}), vec![]),
        (SourceRun, json!({"geocoding_success_rate": 87.7}), vec!["geocoding_success_rate"]),
        (SourceRun, json!({"validation_pass_rate": 101}), vec!["validation_pass_rate"]),
        (SourceRun, json!({"error": "a\u{0}b"}), vec!["error"]),
        (SourceRun, json!({"artcles_collected": 3}), vec!["artcles_collected"]),
        (SourceRun, json!({"source": "", "timestamp": 1, "outcome": 2}), vec!["source", "timestamp", "outcome"]),
        (SourceRun, json!([1]), vec![""]),
        (SourceRun, json!({"started_at": "2026-01-28T15:00:00Z"}), vec![]),
        (SourceRun, json!({"started_at": "2026-01-28T15:00:01Z"}), vec!["started_at"]),
        (SourceRun, json!({"steps": [{"name": "collection", "state": "ok", "items_in": 3, "items_out": 2}]}), vec![]),
        (SourceRun, json!({"steps": [{"name": "A", "state": "done"}]}), vec!["steps[0].name", "steps[0].state"]),
        (SourceRun, json!({"steps": [{"name": "a", "state": "running"}]}), vec!["steps[0].state"]),
        (
            SourceRun,
            json!({"steps": [{"name": "a", "state": "ok"}, {"name": "a", "state": "ok", "items_in": -1}]}),
            vec!["steps[1].name", "steps[1].items_in"],
        ),
        (
            SourceRun,
            json!({"steps": [{"name": "a", "state": "ok", "started_at": "2026-01-28T15:00:01Z",
                "ended_at": "2026-01-28T15:00:00Z"}]}),
            vec!["steps[0].ended_at"],
        ),
        (SourceRun, json!({"checks": []}), vec![]),
        (SourceRun, json!({"checks": [{"name": "deduplication", "attempts": 40, "passes": 39}]}), vec![]),
        (SourceRun, json!({"checks": {}}), vec!["checks"]),
        (SourceRun, json!({"checks": [1]}), vec!["checks[0]"]),
        (SourceRun, json!({"checks": [{}]}), vec!["checks[0].name", "checks[0].attempts", "checks[0].passes"]),
        (SourceRun, json!({"checks": [{"name": "A", "attempts": 1, "passes": 1}]}), vec!["checks[0].name"]),
        (SourceRun, json!({"checks": [{"name": "geocoding", "attempts": 1, "passes": 1}]}), vec!["checks[0].name"]),
        (SourceRun, json!({"checks": [{"name": "articles", "attempts": 1, "passes": 1}]}), vec!["checks[0].name"]),
        (SourceRun, json!({"checks": [{"name": "a", "attempts": 1, "passes": 2}]}), vec!["checks[0].passes"]),
        (SourceRun, json!({"checks": [{"name": "a", "attempts": 1, "passes": 1, "rate": 1}]}), vec!["checks[0].rate"]),
        (
            SourceRun,
            json!({"checks": [{"name": "a", "attempts": 1, "passes": 1}, {"name": "a", "attempts": 1, "passes": 1}]}),
            vec!["checks[1].name"],
        ),
        (SourceRun, json!({"checks": vec![json!({"name": "a", "attempts": 1, "passes": 1}); 51]}), vec!["checks"]),
        (DataQuality, json!({}), vec![]),
        (DataQuality, json!({"metric_type": null}), vec!["metric_type"]),
        (DataQuality, json!({"metric_type": "daily"}), vec!["metric_type"]),
        (DataQuality, json!({"source": "punch"}), vec!["source"]),
        (DataQuality, json!({"metric_type": "source-specific"}), vec!["source"]),
        (DataQuality, json!({"metric_type": "source-specific", "source": "punch"}), vec![]),
        (DataQuality, json!({"metric_type": "hourly", "source": "punch"}), vec![]),
        (DataQuality, json!({"metric_type": "hourly"}), vec![]),
        (DataQuality, json!({"status": "healthy"}), vec!["status"]),
        (
            DataQuality,
            json!({"geocoding_attempts": null, "geocoding_successes": null,
                "checks": [{"name": "a", "attempts": 0, "passes": 0}]}),
            vec![],
        ),
        (DataQuality, json!({"geocoding_attempts": null, "geocoding_successes": null}), vec!["geocoding_attempts"]),
    ] {
        assert_eq!(faults(kind, change.clone()), expect, "{kind:?} with {change}");
    }
}

#[test]
fn the_start_of_a_run_has_an_id_and_no_results() {
    let id = Uuid::from_u128(1);
    let start = json!({"id": id, "source": "punch", "timestamp": "2026-01-28T15:00:00Z", "outcome": "running"});
    for (change, expect) in [
        (json!({}), vec![]),
        (json!({"steps": [{"name": "a", "state": "running"}, {"name": "b", "state": "pending"}]}), vec![]),
        (json!({"id": null}), vec!["id"]),
        (json!({"id": 1}), vec!["id"]),
        (json!({"started_at": "2026-01-28T15:00:00Z"}), vec!["started_at"]),
        (json!({"articles_collected": 0, "error": "x"}), vec!["articles_collected", "error"]),
        (json!({"geocoding_attempts": 1, "geocoding_successes": 1}), vec!["geocoding_attempts", "geocoding_successes"]),
    ] {
        let (mut item, change) = (start.clone(), change);
        item.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let faults = Report::parse(ReportKind::SourceRun, item, &arrival()).err().unwrap_or_default();
        let fields: Vec<_> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, expect, "{change}");
    }
}

#[test]
fn a_mistyped_field_is_recognised() {
    let item = json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "artcles_colected": 3});
    let faults = Report::parse(ReportKind::SourceRun, item, &arrival()).expect_err("an unknown field");
    assert_eq!(faults[0].expected, "articles_collected?");
}

#[test]
fn a_bad_pipeline_of_the_request_is_a_fault_of_the_items_that_use_it() {
    let arrival = Arrival { pipeline: "Bad".parse(), ..arrival() };
    let item = |pipeline: Value| json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "pipeline": pipeline});
    assert!(Report::parse(ReportKind::SourceRun, item(json!("news")), &arrival).is_ok());
    let faults = Report::parse(ReportKind::SourceRun, item(Value::Null), &arrival).expect_err("no good pipeline");
    assert_eq!(faults[0].field, "pipeline");
}

#[test]
fn the_digest_tells_bodies_apart_and_nothing_else() {
    let parse = |item: Value| Report::parse(ReportKind::SourceRun, item, &arrival()).expect("good").digest();
    let first = parse(json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "outcome": "ok"}));
    for (same, item) in [
        (true, json!({"source": " punch ", "timestamp": "2026-01-28T16:00:00+01:00", "outcome": "ok", "error": null})),
        (false, json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z"})),
        (false, json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "outcome": "failed"})),
        (
            false,
            json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "outcome": "ok", "articles_collected": 0}),
        ),
        (true, json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "outcome": "ok", "checks": []})),
        (
            false,
            json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "outcome": "ok",
                "checks": [{"name": "a", "attempts": 0, "passes": 0}]}),
        ),
    ] {
        assert_eq!(parse(item.clone()) == first, same, "{item}");
    }
}

#[test]
fn what_is_reported_a_day_late_is_backfill() {
    for (timestamp, expect) in [("2026-01-27T15:30:45Z", false), ("2026-01-27T15:30:44Z", true)] {
        let item = json!({"source": "punch", "timestamp": timestamp});
        let Ok(Report::SourceRun(report)) = Report::parse(ReportKind::SourceRun, item, &arrival()) else {
            panic!("a good report")
        };
        assert_eq!(report.is_backfill(), expect, "{timestamp}");
    }
}
