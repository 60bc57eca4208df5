use serde_json::{Value, json};

use super::*;
use crate::domain::report::tests::{context, invalid_fields};
use crate::domain::report::{Report, ReportKind};

fn run() -> Value {
    json!({
        "source": "punch", "timestamp": "2026-01-28T15:00:00Z", "articles_collected": 3, "events_extracted": 2,
        "geocoding_attempts": 48, "geocoding_successes": 42, "validation_attempts": 39, "validation_passes": 36,
    })
}

#[test]
fn each_invalid_field_is_named() {
    let long = "x".repeat(256);
    for (change, expect) in [
        (json!({}), vec![]),
        (json!({"error": null, "outcome": null}), vec![]),
        (json!({"pipeline": "news"}), vec![]),
        (json!({"pipeline": null}), vec![]),
        (json!({"pipeline": "News"}), vec!["pipeline"]),
        (json!({"source": "  "}), vec!["source"]),
        (json!({"source": long}), vec!["source"]),
        (json!({"source": null}), vec!["source"]),
        (json!({"source": 5}), vec!["source"]),
        (json!({"timestamp": "2026-01-28T15:00:00"}), vec!["timestamp"]),
        (json!({"timestamp": "2026-01-28T15:35:45Z"}), vec![]),
        (json!({"timestamp": "2026-01-28T15:35:46Z"}), vec!["timestamp"]),
        (json!({"timestamp": "1969-12-31T23:59:59Z"}), vec!["timestamp"]),
        (json!({"timestamp": 1_769_614_245}), vec!["timestamp"]),
        (json!({"outcome": "success"}), vec!["outcome"]),
        (json!({"id": "run-1"}), vec!["id"]),
        (json!({"articles_collected": -1}), vec!["articles_collected"]),
        (json!({"articles_collected": 1.5}), vec!["articles_collected"]),
        (json!({"articles_collected": 2_147_483_647}), vec![]),
        (json!({"articles_collected": 2_147_483_648_u32}), vec!["articles_collected"]),
        (json!({"articles_collected": "3"}), vec!["articles_collected"]),
        (json!({"geocoding_successes": 49}), vec!["geocoding_successes"]),
        (json!({"geocoding_successes": null}), vec!["geocoding_successes"]),
        (json!({"geocoding_attempts": null}), vec!["geocoding_attempts"]),
        (json!({"geocoding_success_rate": 87.4}), vec![]),
        (json!({"geocoding_success_rate": 87.7}), vec!["geocoding_success_rate"]),
        (json!({"validation_pass_rate": 101}), vec!["validation_pass_rate"]),
        (json!({"error": "a\u{0}b"}), vec!["error"]),
        (json!({"artcles_collected": 3}), vec!["artcles_collected"]),
        (json!({"source": "", "timestamp": 1, "outcome": 2}), vec!["source", "timestamp", "outcome"]),
        (json!([1]), vec![""]),
        (json!({"started_at": "2026-01-28T15:00:00Z"}), vec![]),
        (json!({"started_at": "2026-01-28T15:00:01Z"}), vec!["started_at"]),
        (json!({"steps": [{"name": "collection", "state": "ok", "items_in": 3, "items_out": 2}]}), vec![]),
        (json!({"steps": [{"name": "A", "state": "done"}]}), vec!["steps[0].name", "steps[0].state"]),
        (json!({"steps": [{"name": "a", "state": "running"}]}), vec!["steps[0].state"]),
        (
            json!({"steps": [{"name": "a", "state": "ok"}, {"name": "a", "state": "ok", "items_in": -1}]}),
            vec!["steps[1].name", "steps[1].items_in"],
        ),
        (
            json!({"steps": [{"name": "a", "state": "ok", "started_at": "2026-01-28T15:00:01Z",
                "ended_at": "2026-01-28T15:00:00Z"}]}),
            vec!["steps[0].ended_at"],
        ),
        (json!({"checks": []}), vec![]),
        (json!({"checks": [{"name": "deduplication", "attempts": 40, "passes": 39}]}), vec![]),
        (json!({"checks": {}}), vec!["checks"]),
        (json!({"checks": [1]}), vec!["checks[0]"]),
        (json!({"checks": [{}]}), vec!["checks[0].name", "checks[0].attempts", "checks[0].passes"]),
        (json!({"checks": [{"name": "A", "attempts": 1, "passes": 1}]}), vec!["checks[0].name"]),
        (json!({"checks": [{"name": "geocoding", "attempts": 1, "passes": 1}]}), vec!["checks[0].name"]),
        (json!({"checks": [{"name": "articles", "attempts": 1, "passes": 1}]}), vec!["checks[0].name"]),
        (json!({"checks": [{"name": "a", "attempts": 1, "passes": 2}]}), vec!["checks[0].passes"]),
        (json!({"checks": [{"name": "a", "attempts": 1, "passes": 1, "rate": 1}]}), vec!["checks[0].rate"]),
        (
            json!({"checks": [{"name": "a", "attempts": 1, "passes": 1}, {"name": "a", "attempts": 1, "passes": 1}]}),
            vec!["checks[1].name"],
        ),
        (json!({"checks": vec![json!({"name": "a", "attempts": 1, "passes": 1}); 51]}), vec!["checks"]),
    ] {
        assert_eq!(invalid_fields(ReportKind::SourceRun, run(), change.clone()), expect, "{change}");
    }
}

#[test]
fn start_report_has_an_id_and_no_results() {
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
        let errors = Report::parse(ReportKind::SourceRun, item, &context()).err().unwrap_or_default();
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, expect, "{change}");
    }
}

#[test]
fn report_a_day_late_is_backfill() {
    for (timestamp, expect) in [("2026-01-27T15:30:45Z", false), ("2026-01-27T15:30:44Z", true)] {
        let item = json!({"source": "punch", "timestamp": timestamp});
        let Ok(Report::SourceRun(report)) = Report::parse(ReportKind::SourceRun, item, &context()) else {
            panic!("a good report")
        };
        assert_eq!(report.is_backfill(), expect, "{timestamp}");
    }
}
