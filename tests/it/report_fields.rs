use serde_json::json;

use crate::support::server::Process;
use crate::support::shell::{ran, ran_with_input, stored_runs};

const FIELDS: &str = "id counts { name value } url tags attempt durationSeconds parent error log state";

#[tokio::test]
async fn record_sends_every_field() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let id = "scheduled__2026-01-01T00:00:00+00:00";
    std::fs::write(folder.path().join("log.txt"), "one\ntwo\n").expect("written");
    let arguments = [
        "record",
        "-p",
        "billing",
        "-s",
        "load",
        "--id",
        id,
        "--count",
        "rows=3000000000",
        "--count",
        "bytes=81234567890",
        "--url",
        "https://example.org/run/1",
        "--tag",
        "nightly",
        "--tag",
        "full",
        "--attempt",
        "2",
        "--parent",
        "dag",
        "--duration",
        "1m30s",
        "--log",
        "log.txt",
        "--error",
        "first\nsecond",
    ];
    let ran = ran(folder.path(), &server.url, &arguments);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(
        stored_runs(&server.url, "billing", FIELDS).await,
        [
            json!({"id": id, "counts": [{"name": "bytes", "value": 81_234_567_890_u64}, {"name": "rows", "value": 3_000_000_000_u64}],
            "url": "https://example.org/run/1", "tags": ["nightly", "full"], "attempt": 2, "durationSeconds": 90.0,
            "parent": "dag", "error": "first\nsecond", "log": "one\ntwo\n", "state": "FAILED"})
        ]
    );
}

#[tokio::test]
async fn cut_error_is_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let report = json!({"source": "load", "error": "x".repeat(20_000)}).to_string();
    let ran = ran_with_input(folder.path(), &server.url, &["record"], &report);
    assert_eq!((ran.status, ran.stdout.starts_with("stored ")), (0, true), "{ran:?}");
    assert!(ran.stderr.contains("warning: ") && ran.stderr.contains("error: "), "{ran:?}");
}

#[tokio::test]
async fn run_sends_counts_that_the_command_prints_or_writes() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let script = "echo 'pipewatch: rows=1 files=2'; echo 'pipewatch: rows=120' >&2; \
        echo '{\"counts\": {\"bytes\": 5}, \"tags\": [\"full\"]}' > \"$PIPEWATCH_REPORT\"; exit 3";
    let arguments = ["run", "-s", "load", "--id", "manual 1", "--attempt", "3", "--send-log", "--", "sh", "-c", script];
    let ran = ran(folder.path(), &server.url, &arguments);
    assert_eq!((ran.status, ran.stdout.as_str()), (3, "pipewatch: rows=1 files=2\n"), "{ran:?}");
    let runs = stored_runs(&server.url, "default", FIELDS).await;
    let run = &runs[0];
    assert_eq!((&run["id"], &run["attempt"], &run["tags"]), (&json!("manual 1"), &json!(3), &json!(["full"])));
    let counts = run["counts"].as_array().expect("a list");
    let counts: Vec<_> = counts.iter().map(|count| (count["name"].as_str(), count["value"].as_u64())).collect();
    // Both streams are read at the same time, so either line with rows may be the last.
    assert_eq!((counts[0], counts[1], counts[2].0), ((Some("bytes"), Some(5)), (Some("files"), Some(2)), Some("rows")));
    assert!(run["log"].as_str().is_some_and(|log| log.contains("files=2")), "{run}");
}
