use serde_json::{Value, json};

use uuid::Uuid;

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
        (json!({"id": "scheduled__2026-01-01T00:00:00+00:00"}), vec![]),
        (json!({"id": "a\nb"}), vec!["id"]),
        (json!({"id": " a"}), vec!["id"]),
        (json!({"id": "x".repeat(251)}), vec!["id"]),
        (json!({"timestamp": null}), vec![]),
        (json!({"articles_collected": -1}), vec!["articles_collected"]),
        (json!({"articles_collected": 1.5}), vec!["articles_collected"]),
        (json!({"articles_collected": 9_007_199_254_740_991_u64}), vec![]),
        (json!({"articles_collected": 9_007_199_254_740_992_u64}), vec!["articles_collected"]),
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
fn each_invalid_detail_is_named() {
    for (change, expect) in [
        (json!({"url": "https://airflow.example/log?run=1#end"}), vec![]),
        (json!({"url": "HTTP://host"}), vec![]),
        (json!({"url": format!("http://host/{}", "x".repeat(2_036))}), vec![]),
        (json!({"url": format!("http://host/{}", "x".repeat(2_037))}), vec!["url"]),
        (json!({"url": "javascript:alert(1)"}), vec!["url"]),
        (json!({"url": "https://"}), vec!["url"]),
        (json!({"url": "https:///path"}), vec!["url"]),
        (json!({"url": "https://a b"}), vec!["url"]),
        (json!({"tags": []}), vec![]),
        (json!({"tags": ["a", "ä".repeat(255)]}), vec![]),
        (json!({"tags": ["ä".repeat(256)]}), vec!["tags"]),
        (json!({"tags": ["a", "a"]}), vec!["tags"]),
        (json!({"tags": [""]}), vec!["tags"]),
        (json!({"tags": ["a\nb"]}), vec!["tags"]),
        (json!({"tags": "a"}), vec!["tags"]),
        (json!({"tags": (0..16).map(|tag| tag.to_string()).collect::<Vec<_>>()}), vec![]),
        (json!({"tags": (0..17).map(|tag| tag.to_string()).collect::<Vec<_>>()}), vec!["tags"]),
        (json!({"attempt": 1}), vec![]),
        (json!({"attempt": 1_000_000}), vec![]),
        (json!({"attempt": 0}), vec!["attempt"]),
        (json!({"attempt": 1_000_001}), vec!["attempt"]),
        (json!({"parent": "a"}), vec![]),
        (json!({"parent": ""}), vec!["parent"]),
        (json!({"duration": 0}), vec![]),
        (json!({"duration": 31_536_000}), vec![]),
        (json!({"duration": 31_536_000.5}), vec!["duration"]),
        (json!({"duration": -1}), vec!["duration"]),
        (json!({"duration": "1"}), vec!["duration"]),
        (json!({"duration": 60, "started_at": "2026-01-28T14:59:00Z"}), vec![]),
        (json!({"duration": 61, "started_at": "2026-01-28T14:59:00Z"}), vec![]),
        (json!({"duration": 61.001, "started_at": "2026-01-28T14:59:00Z"}), vec!["duration"]),
        (json!({"duration": 10, "timestamp": "1970-01-01T00:00:09Z"}), vec!["duration"]),
        (json!({"log": "a\u{0}b\n"}), vec![]),
        (json!({"log": 1}), vec!["log"]),
        (json!({"error": "x".repeat(100_000)}), vec![]),
        (json!({"counts": {"rows_loaded": 9_007_199_254_740_991_u64, "bytes": 0}}), vec![]),
        (json!({"counts": {"rows": 9_007_199_254_740_992_u64}}), vec!["counts.rows"]),
        (json!({"counts": {"rows": -1, "bytes": 1.5, "A": 1}}), vec!["counts.A", "counts.bytes", "counts.rows"]),
        (json!({"counts": {"rows": null}}), vec!["counts.rows"]),
        (json!({"counts": [1]}), vec!["counts"]),
        (json!({"counts": {"articles": 3, "events": 2}}), vec![]),
        (json!({"counts": {"articles": 4}}), vec!["counts.articles"]),
        (json!({"counts": (0..32).map(|count| (format!("c{count}"), json!(1))).collect::<Value>()}), vec![]),
        (json!({"counts": (0..33).map(|count| (format!("c{count}"), json!(1))).collect::<Value>()}), vec!["counts"]),
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
        (
            json!({"id": "run 1", "timestamp": null, "url": "http://a", "tags": ["a"], "attempt": 2, "parent": "p"}),
            vec![],
        ),
        (json!({"duration": 1, "counts": {"rows": 1}, "log": "x"}), vec!["duration", "counts", "log"]),
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

fn parsed(item: Value) -> crate::domain::report::SourceRunReport {
    match Report::parse(ReportKind::SourceRun, item, &context()) {
        Ok(Report::SourceRun(report)) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn start_follows_from_the_duration() {
    for (change, expect) in [
        (json!({}), None),
        (json!({"duration": 90.5}), Some("2026-01-28T14:58:29.500Z")),
        (json!({"duration": 60, "started_at": "2026-01-28T14:59:00.5Z"}), Some("2026-01-28T14:59:00.500Z")),
        (json!({"duration": 45, "timestamp": null}), Some("2026-01-28T15:30:00Z")),
    ] {
        let mut item = run();
        item.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        let started = parsed(item).started_at.map(crate::domain::time::rfc3339);
        assert_eq!(started.as_deref(), expect, "{change}");
    }
}

#[test]
fn old_fields_are_counts_by_name() {
    let of = |counts: Value| {
        let report = parsed(json!({"source": "a", "counts": counts}));
        (report.articles_collected, report.events_extracted, report.counts.len())
    };
    assert_eq!(of(json!({"articles": 3, "rows": 1})), (Some(3), None, 1));
    assert_eq!(of(json!({"events": 0})), (None, Some(0), 0));
    let named = parsed(json!({"source": "a", "counts": {"articles": 3}}));
    assert_eq!(named.digest, parsed(json!({"source": "a", "articles_collected": 3})).digest);
}

#[test]
fn digest_is_that_of_the_report_as_it_was_sent() {
    let long = "x".repeat(20_000);
    let digest = |item: Value| parsed(item).digest;
    let base = json!({"source": "a", "duration": 5, "error": long, "log": long});
    let later = crate::domain::report::ReportContext {
        received_at: context().received_at + chrono::TimeDelta::hours(1),
        ..context()
    };
    let again = Report::parse(ReportKind::SourceRun, base.clone(), &later).expect("a good report");
    assert_eq!(again.digest(), digest(base.clone()), "the time of the request does not count");
    for change in [
        json!({"error": format!("{long}y")}),
        json!({"log": format!("y{long}")}),
        json!({"duration": 6}),
        json!({"timestamp": "2026-01-28T15:30:45Z"}),
        json!({"url": "http://a"}),
        json!({"tags": ["a"]}),
        json!({"attempt": 1}),
        json!({"parent": "a"}),
        json!({"counts": {"rows": 0}}),
    ] {
        let mut item = base.clone();
        item.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        assert_ne!(digest(item), digest(base.clone()), "{change}");
    }
    let cut = parsed(base);
    assert_eq!(cut.warnings.iter().map(|warning| warning.field).collect::<Vec<_>>(), ["error", "log"]);
    assert!(cut.error.is_some_and(|error| error.len() < 17_000) && cut.log.is_some_and(|log| log.len() < 17_000));
}
