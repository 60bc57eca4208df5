use std::path::Path;

use serde_json::json;

use crate::support::shell::{ran, stored_runs};
use crate::support::{Database, Server};

const ARTIFACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/dbt");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dbt_invocation_is_reported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    // After the invocation.
    let now = "2026-11-26T11:00:00Z".parse().expect("a time");
    let server = Server::start_at(Database::sqlite(), pipewatch::config::Flags::default(), now).await;
    let (path, url) = (folder.path().to_owned(), server.url.clone());
    let report = move || {
        let (path, url) = (path.clone(), url.clone());
        tokio::task::spawn_blocking(move || ran(&path, &url, &["dbt", ARTIFACTS]))
    };
    for word in ["stored", "duplicate"] {
        let ran = report().await.expect("no panic");
        assert_eq!((ran.status, ran.stdout.matches(word).count()), (0, 9), "{ran:?}");
    }
    let runs = stored_runs(&server.url, "shop", "source state parent counts { name value }").await;
    let of =
        |source: &str| runs.iter().find(|run| run["source"] == source).unwrap_or_else(|| panic!("{source}: {runs:?}"));
    assert_eq!(runs.len(), 8);
    assert_eq!(of("dbt build")["state"], "FAILED");
    assert_eq!(of("forecast")["state"], "ABORTED");
    assert_eq!(of("raw_orders")["counts"], json!([{"name": "rows_affected", "value": 3}]));
    server.stop().await;
}

#[test]
fn unreadable_artifacts_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("target");
    let report = || {
        let ran = ran(folder.path(), "http://127.0.0.1:1", &["dbt", "target"]);
        assert_eq!(ran.status, 66, "{ran:?}");
        ran.stderr
    };
    assert!(report().contains("no manifest.json in target"));
    std::fs::create_dir(&target).expect("created");
    let copy = |name: &str| std::fs::copy(Path::new(ARTIFACTS).join(name), target.join(name)).expect("copied");
    copy("manifest.json");
    assert!(report().contains("neither run_results.json nor sources.json"));
    std::fs::write(target.join("run_results.json"), "{\"args\": {\"which\": \"build\"}}").expect("written");
    assert!(report().contains("run_results.json has no metadata.invocation_id"), "{}", report());
    std::fs::write(target.join("run_results.json"), "[").expect("written");
    assert!(report().contains("run_results.json is not valid JSON"));
}
