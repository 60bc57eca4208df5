use serde_json::json;

use super::*;

pub(super) fn context() -> ReportContext {
    ReportContext {
        received_at: crate::domain::time::parse_rfc3339("2026-01-28T15:30:45Z").expect("a time"),
        pipeline: Ok(PipelineKey::default()),
    }
}

/// The fields with errors after a change of a valid item.
pub(super) fn invalid_fields(kind: ReportKind, mut item: Value, change: Value) -> Vec<String> {
    match (&mut item, change) {
        (Value::Object(item), Value::Object(change)) => item.extend(change),
        (item, other) => *item = other,
    }
    match Report::parse(kind, item, &context()) {
        Ok(_) => vec![],
        Err(errors) => errors.into_iter().map(|error| error.field).collect(),
    }
}

#[test]
fn misspelt_field_gets_a_suggestion() {
    let item = json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "artcles_colected": 3});
    let errors = Report::parse(ReportKind::SourceRun, item, &context()).expect_err("an unknown field");
    assert_eq!(errors[0].expected, "did you mean articles_collected?");
}

#[test]
fn invalid_pipeline_parameter_is_an_error_of_items_without_pipeline() {
    let context = ReportContext { pipeline: "Bad".parse(), ..context() };
    let item = |pipeline: Value| json!({"source": "punch", "timestamp": "2026-01-28T15:00:00Z", "pipeline": pipeline});
    assert!(Report::parse(ReportKind::SourceRun, item(json!("news")), &context).is_ok());
    let errors = Report::parse(ReportKind::SourceRun, item(Value::Null), &context).expect_err("no good pipeline");
    assert_eq!(errors[0].field, "pipeline");
}

#[test]
fn digest_depends_only_on_the_content() {
    let parse = |item: Value| Report::parse(ReportKind::SourceRun, item, &context()).expect("good").digest();
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
