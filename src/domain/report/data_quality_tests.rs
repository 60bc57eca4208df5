use serde_json::json;

use crate::domain::report::ReportKind;
use crate::domain::report::tests::invalid_fields;

#[test]
fn each_invalid_field_is_named() {
    let metric = json!({
        "metric_type": "aggregate", "timestamp": "2026-01-28T15:00:00Z",
        "geocoding_attempts": 48, "geocoding_successes": 42,
    });
    for (change, expect) in [
        (json!({}), vec![]),
        (json!({"metric_type": null}), vec!["metric_type"]),
        (json!({"metric_type": "daily"}), vec!["metric_type"]),
        (json!({"source": "punch"}), vec!["source"]),
        (json!({"metric_type": "source-specific"}), vec!["source"]),
        (json!({"metric_type": "source-specific", "source": "punch"}), vec![]),
        (json!({"metric_type": "hourly", "source": "punch"}), vec![]),
        (json!({"metric_type": "hourly"}), vec![]),
        (json!({"status": "healthy"}), vec!["status"]),
        (
            json!({"geocoding_attempts": null, "geocoding_successes": null,
                "checks": [{"name": "a", "attempts": 0, "passes": 0}]}),
            vec![],
        ),
        (json!({"geocoding_attempts": null, "geocoding_successes": null}), vec!["geocoding_attempts"]),
        (json!({"geocoding_attempts": null, "geocoding_successes": null, "counts": {"rows": 1}}), vec![]),
        (json!({"counts": {"Rows": 1}}), vec!["counts.Rows"]),
        (json!({"timestamp": null}), vec![]),
        (json!({"id": "run-1"}), vec!["id"]),
    ] {
        assert_eq!(invalid_fields(ReportKind::DataQuality, metric.clone(), change.clone()), expect, "{change}");
    }
}
