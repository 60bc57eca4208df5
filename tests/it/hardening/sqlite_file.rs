use std::path::{Path, PathBuf};
use std::process::Output;

use pipewatch::config::Flags;
use pipewatch::domain::status::RuleBook;
use pipewatch::store::retention::Retention;
use sea_orm::{ConnectionTrait as _, Statement, TransactionTrait as _};
use serde_json::{Value, json};

use crate::support::clients::Events;
use crate::support::server::{Process, answer, client, program};
use crate::support::timed_store::{TimedStore, lines};
use crate::support::{Database, Server, eventually, run, with};

const RUNS: &str = "/api/v1/source-runs";
const MIB: u64 = 1024 * 1024;

/// The database file of a test.
fn file(database: &Database) -> PathBuf {
    database.url.strip_prefix("sqlite://").expect("a SQLite URL").into()
}

fn wal_size(file: &Path) -> u64 {
    let wal = format!("{}-wal", file.display());
    Path::new(&wal).metadata().map_or(0, |wal| wal.len())
}

fn size(file: &Path) -> u64 {
    file.metadata().expect("the file").len()
}

fn pipewatch(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = program(folder).args(arguments).output().expect("the program");
    (status.code(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn second_server_on_a_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    std::os::unix::fs::symlink("pipewatch.db", folder.path().join("link.db")).expect("a link");
    let absolute = format!("sqlite://{}/pipewatch.db", folder.path().display());
    for url in ["sqlite://pipewatch.db", "sqlite:./pipewatch.db?mode=rwc", "sqlite://link.db", &absolute] {
        let (code, said) = pipewatch(folder.path(), &["serve", "--listen", "127.0.0.1:0", "--database-url", url]);
        assert_eq!(code, Some(1), "{url}: {said}");
        for part in ["pipewatch.db", "in use by another pipewatch process", "stop it first", "pipewatch.db.lock"] {
            assert!(said.contains(part), "{url}: {part} in {said}");
        }
    }
    let (code, said) = pipewatch(folder.path(), &["migrate", "down"]);
    assert!(code == Some(1) && said.contains("in use"), "{said}");
    for arguments in [&["migrate", "status"][..], &["rollups", "rebuild"]] {
        let (code, said) = pipewatch(folder.path(), arguments);
        assert_eq!(code, Some(0), "{arguments:?} works while a server runs: {said}");
    }
    assert_eq!(answer(client().get(format!("{}/api/health/ready", server.url))).await.0, 200);
    // The kernel releases the lock, however its holder ended.
    server.kill();
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    assert!(server.signal("TERM").success());
    drop(Process::serve(folder.path(), "sqlite://link.db", &[]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_or_replaced_file_is_detected() {
    for is_replaced in [false, true] {
        let server = Server::start_with(Database::sqlite(), quick()).await;
        server.store_runs(RUNS, &[run("a")]).await;
        let mut events = Events::open(&server, "").await;
        assert!(is_well(&events.next().await.expect("a status").json()));
        let (file, aside) = (file(&server.database), file(&server.database).with_extension("aside"));
        std::fs::rename(&file, &aside).expect("renamed");
        if is_replaced {
            std::fs::copy(&aside, &file).expect("copied");
        }
        let (code, refusal) = server.report(RUNS, &run("a")).await;
        assert_eq!((code, &refusal["code"]), (503, &json!("DATABASE_UNAVAILABLE")), "nothing is acknowledged");
        eventually("the server is not ready", || async {
            (answer(server.get("/api/health/ready")).await.0 == 503).then_some(())
        })
        .await;
        while is_well(&events.next().await.expect("the stream stays open").json()) {}

        // The same file, moved back, can be used again.
        std::fs::rename(&aside, &file).expect("renamed");
        eventually("the server is ready", || async {
            (answer(server.get("/api/health/ready")).await.0 == 200).then_some(())
        })
        .await;
        server.store_runs(RUNS, &[run("a")]).await;
        while !is_well(&events.next().await.expect("the stream stays open").json()) {}
        drop(events);
        server.stop().await;
    }
}

/// Compute statuses often.
fn quick() -> Flags {
    Flags { interval: Some("200ms".into()), ..Flags::default() }
}

fn is_well(status: &Value) -> bool {
    status["alerts"].as_array().is_some_and(Vec::is_empty)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_is_empty_after_a_clean_stop() {
    let server = Server::start(Database::sqlite()).await;
    let file = file(&server.database);
    // SQLite checkpoints only when the last connection closes, and this one stays open.
    let other = server.database.connect().await;
    let count = "SELECT COUNT(*) FROM source_runs";
    other.execute_unprepared(count).await.expect("valid SQL");
    server.store_runs(RUNS, &[run("a")]).await;
    assert!(wal_size(&file) > 0);
    let database = server.stop().await;
    assert_eq!(wal_size(&file), 0);
    other.close().await.expect("closed");
    assert_eq!(lines(&database, "SELECT CAST(COUNT(*) AS varchar) FROM source_runs").await, ["1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wal_blocked_by_a_reader_is_truncated() {
    let server = Server::start(Database::sqlite()).await;
    let file = file(&server.database);
    let other = server.database.connect().await;
    let reader = other.begin().await.expect("a transaction");
    let statement = Statement::from_string(reader.get_database_backend(), "SELECT COUNT(*) FROM source_runs");
    reader.query_one_raw(statement).await.expect("valid SQL");
    let enlarge = "CREATE TABLE filler (value BLOB); \
                INSERT INTO filler WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70) \
                SELECT zeroblob(1048576) FROM n";
    server.database.execute(enlarge).await;
    server.store_runs(RUNS, &[run("a")]).await;
    assert!(wal_size(&file) > 64 * MIB, "{}", wal_size(&file));
    reader.rollback().await.expect("ended");
    other.close().await.expect("closed");
    eventually("the WAL is small", || async { (wal_size(&file) < 16 * MIB).then_some(()) }).await;
    server.store_runs(RUNS, &[run("a")]).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn space_of_removed_rows_is_returned() {
    let database = Database::sqlite();
    let file = file(&database);
    let fixture = TimedStore::open(&database, "2026-01-01T12:00:00Z").await;
    fill(&fixture).await;
    fixture.set_now("2026-06-15T12:00:00Z");
    fixture.store.write_hourly_metrics(&RuleBook::default()).await.expect("closed hours");
    fixture.store.prune(&Retention::default()).await.expect("pruned");
    fixture.store.checkpoint().await.expect("a checkpoint");
    let before = size(&file);
    assert!(before > 12 * MIB, "{before}");
    let given = fixture.store.give_back_space().await.expect("given back");
    fixture.store.checkpoint().await.expect("a checkpoint");
    assert!(given > 0 && size(&file) < 6 * MIB, "{} of {before}", size(&file));
    assert_eq!(fixture.store.give_back_space().await.expect("nothing more"), 0);
    fixture.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn file_without_incremental_vacuum_is_converted() {
    let database = Database::sqlite();
    let mode = async || lines(&database, "SELECT CAST(auto_vacuum AS varchar) FROM pragma_auto_vacuum").await;
    database_as_before(&database).await;
    assert_eq!(mode().await, ["0"]);
    let folder = tempfile::tempdir().expect("a folder");
    let (code, said) = pipewatch(folder.path(), &["migrate", "--database-url", &database.url, "up"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(mode().await, ["2"]);

    let database = Database::sqlite();
    database_as_before(&database).await;
    let database = Server::start(database).await.stop().await;
    let mode = lines(&database, "SELECT CAST(auto_vacuum AS varchar) FROM pragma_auto_vacuum").await;
    assert_eq!(mode, ["2"], "a server converts a small file when it starts");
}

/// A file created by an earlier version.
async fn database_as_before(database: &Database) {
    std::fs::File::create(file(database)).expect("created");
    database
        .execute("PRAGMA journal_mode = WAL; CREATE TABLE other (value TEXT); INSERT INTO other VALUES ('kept')")
        .await;
}

/// Runs with long error texts: 16 MB.
async fn fill(fixture: &TimedStore) {
    let error = "an error of a source that fails ".repeat(125);
    for hour in 0..4 {
        let failed = |second: i64| {
            let timestamp = crate::support::timed_store::at("2026-01-01T00:00:00Z")
                + chrono::TimeDelta::hours(hour)
                + chrono::TimeDelta::seconds(second);
            with(run("a"), json!({"timestamp": timestamp.to_rfc3339(), "outcome": "failed", "error": error}))
        };
        fixture.runs(&(0..1_000).map(failed).collect::<Vec<_>>()).await;
    }
}
