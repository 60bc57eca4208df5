use serde_json::json;

use pipewatch::clock::Clock;
use pipewatch::store::{MigrateTo, Store};
use sea_orm::ConnectionTrait as _;

use crate::support::timed_store::{lines, rollups};
use crate::support::{Database, Server, run, with};

on_both_databases! {
    migrations_apply_roll_back_and_reapply_with_data,
    no_migrate_fails_without_tables,
    rollup_migration_includes_existing_rows,
    window_migration_includes_existing_checks,
    alerts_of_overdue_sources_keep_their_fingerprints,
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

async fn alerts_of_overdue_sources_keep_their_fingerprints(database: Database) {
    const ALERTS: &str = "SELECT rule || ' ' || kind || ' ' || fingerprint FROM alerts";
    const SILENCES: &str = "SELECT rule || ' ' || reason FROM alert_silences";
    let database = Server::start(database).await.stop().await;
    let store = Store::open(&database.url, Clock::system()).await.expect("open");
    let is_left =
        async || store.migrations().await.expect("steps").iter().any(|it| it.applied && it.name.contains("m0022"));
    while is_left().await {
        store.migrate(MigrateTo::Down(1)).await.expect("down");
    }
    let id = if database.is_postgres() { "gen_random_uuid()" } else { "randomblob(16)" };
    let alert = |rule: &str, kind: &str, streaks: &str| {
        format!(
            "INSERT INTO alerts (id, fingerprint, rule, kind, pipeline, source, state, severity, title, message, started_at, \
             changed_at, {streaks}) VALUES ({id}, 'f-{rule}', '{rule}', '{kind}', 'default', 'a', 'firing', 'low', 't', 'm', \
             CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 1, 0, 0)"
        )
    };
    let old = |rule, kind| alert(rule, kind, "worse, eased, well");
    let new = |rule, kind| alert(rule, kind, "worse_streak, eased_streak, recovered_streak");
    database.execute(&old("silence", "silence")).await;
    let event = "INSERT INTO alert_events (id, alert_id, to_state, severity, reason, title, message, at) \
                 SELECT 1, id, 'firing', 'low', 'found', 't', 'm', CURRENT_TIMESTAMP FROM alerts";
    database.execute(event).await;
    let silence = format!(
        "INSERT INTO alert_silences (id, rule, starts_at, ends_at, author, reason) \
         VALUES ({id}, 'silence', CURRENT_TIMESTAMP, CURRENT_TIMESTAMP, 'ada', 'silence')"
    );
    database.execute(&silence).await;

    store.migrate(MigrateTo::Up(None)).await.expect("up");
    assert_eq!(lines(&database, ALERTS).await, ["overdue overdue f-silence"]);
    assert_eq!(lines(&database, SILENCES).await, ["overdue silence"]);
    assert_eq!(lines(&database, "SELECT CAST(count(*) AS varchar) FROM alert_events").await, ["1"]);
    assert!(is_refused(&database, &new("silence", "overdue")).await, "the rule has a new name");
    assert!(is_refused(&database, &new("server", "silence")).await, "the type has a new name");
    database.execute(&new("server", "overdue")).await;
    database.execute(&new("overdue", "volume")).await;

    database.execute("DELETE FROM alerts WHERE fingerprint <> 'f-silence'").await;
    while is_left().await {
        store.migrate(MigrateTo::Down(1)).await.expect("down");
    }
    assert_eq!(lines(&database, ALERTS).await, ["silence silence f-silence"]);
    assert_eq!(lines(&database, SILENCES).await, ["silence silence"]);
    assert_eq!(lines(&database, "SELECT CAST(count(*) AS varchar) FROM alert_events").await, ["1"]);
    assert!(is_refused(&database, &old("overdue", "silence")).await, "the rule has its old name");
    store.migrate(MigrateTo::Up(None)).await.expect("up again");
    assert_eq!(lines(&database, ALERTS).await, ["overdue overdue f-silence"]);
    store.close().await.expect("closed");
    Server::start(database).await.stop().await;
}

/// Whether the database refuses a statement.
async fn is_refused(database: &Database, sql: &str) -> bool {
    let connection = database.connect().await;
    let refused = connection.execute_unprepared(sql).await.is_err();
    connection.close().await.expect("closed");
    refused
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
