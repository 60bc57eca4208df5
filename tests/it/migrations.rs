use serde_json::json;

use pipewatch::clock::Clock;
use pipewatch::store::{MigrateTo, Store};

use crate::support::timed_store::rollups;
use crate::support::{Database, Server, run, with};

on_both_databases! {
    migrations_apply_roll_back_and_reapply_with_data,
    no_migrate_fails_without_tables,
    rollup_migration_includes_existing_rows,
    window_migration_includes_existing_checks,
}

async fn migrations_apply_roll_back_and_reapply_with_data(database: Database) {
    let server = Server::start(database).await;
    server.store_runs("/api/v1/source-runs", &[run("a")]).await;
    let database = server.stop().await;

    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    let applied = async || store.migrations().await.expect("steps").iter().filter(|step| step.applied).count();
    let all = applied().await;
    assert_eq!(store.migrations().await.expect("steps").len(), all);
    for left in (0..all).rev() {
        store.migrate(MigrateTo::Down(1)).await.expect("down");
        assert_eq!(applied().await, left);
    }
    store.migrate(MigrateTo::Up(Some(1))).await.expect("up");
    assert_eq!(applied().await, 1);
    store.migrate(MigrateTo::Up(None)).await.expect("up");
    store.migrate(MigrateTo::Up(None)).await.expect("nothing to do the second time");
    assert_eq!(applied().await, all);
    store.close().await.expect("closed");

    let server = Server::start(database).await;
    assert_eq!(server.status("").await["scraping_health"]["total_sources"], 0, "down took the data along");
    server.store_runs("/api/v1/source-runs", &[run("a")]).await;
    assert_eq!(server.status("").await["scraping_health"]["total_sources"], 1);
    let query = "{ sourceRuns { nodes { source } } dataQualityMetrics { nodes { source } } }";
    let data = server.data(query, json!({})).await;
    assert_eq!(data["sourceRuns"], data["dataQualityMetrics"]);
    server.stop().await;
}

async fn no_migrate_fails_without_tables(database: Database) {
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    assert!(store.prepare().await.is_err());
    assert!(store.migrations().await.expect("steps").iter().all(|step| !step.applied));
    store.close().await.expect("closed");
}

async fn rollup_migration_includes_existing_rows(database: Database) {
    let server = Server::start(database).await;
    server.store_runs("/api/v1/source-runs", &[run("a"), run("b")]).await;
    let database = server.stop().await;
    let before = rollups(&database, "default").await;
    assert!(!before.is_empty());
    down_and_up(&database, "rollups").await;
    assert_eq!(rollups(&database, "default").await, before);
}

async fn window_migration_includes_existing_checks(database: Database) {
    let server = Server::start(database).await;
    let checked = with(run("a"), json!({"checks": [{"name": "deduplication", "attempts": 40, "passes": 39}]}));
    server.store_runs("/api/v1/source-runs", &[checked, run("b")]).await;
    let query = "{ pipelineStatus { dataQuality { checks { name attempts passes } } } }";
    let before = server.data(query, json!({})).await;
    assert!(before.to_string().contains("deduplication"), "{before}");
    let database = server.stop().await;
    down_and_up(&database, "windows_of_checks").await;
    let server = Server::start(database).await;
    assert_eq!(server.data(query, json!({})).await, before);
    server.stop().await;
}

/// Rolls back the migrations down to this one and applies them again.
async fn down_and_up(database: &Database, step: &str) {
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    while store.migrations().await.expect("steps").iter().any(|one| one.applied && one.name.contains(step)) {
        store.migrate(MigrateTo::Down(1)).await.expect("down");
    }
    store.migrate(MigrateTo::Up(None)).await.expect("up");
    for rebuild in store.pending_rebuilds().await.expect("read") {
        store.resume_rebuild(&rebuild.pipeline, |_| {}).await.expect("rebuilt");
    }
    store.close().await.expect("closed");
}
