use serde_json::json;

use super::*;

pub(super) fn arrival() -> Arrival {
    Arrival {
        received_at: crate::domain::time::parse_rfc3339("2026-01-28T15:30:45Z").expect("a time"),
        pipeline: Ok(PipelineKey::default()),
    }
}

/// The fields that are at fault when an item is changed so.
pub(super) fn faults(kind: ReportKind, mut item: Value, change: Value) -> Vec<String> {
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
