use std::fs::Permissions;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pipewatch::domain::key::PipelineKey;
use serde_json::json;
use tempfile::TempDir;

use crate::support::database::PrivatePostgres;
use crate::support::faults::SilentProxy;
use crate::support::reporters::Reporters;
use crate::support::server::Process;
use crate::support::timed_store::{TimedStore, lines};
use crate::support::{ALLOWANCE, DEADLINE, Database, eventually, run, with};

/// The user id of `nobody`, which owns nothing.
const NOBODY: u32 = 65_534;
/// How soon others continue after a failure: the lease and the timeouts of sessions expire within 15 s.
const WITHIN: Duration = ALLOWANCE.saturating_add(Duration::from_secs(15));
/// The metric of finished evaluations.
const EVALUATIONS: &str = "pipewatch_evaluation_seconds_count";

/// Freezes a server in the middle of a transaction that holds locks.
async fn freeze(server: &Process, database: &Database) {
    let held = "SELECT count(*)::text FROM pg_stat_activity AS session JOIN pg_locks AS held USING (pid) \
                WHERE session.datname = current_database() AND session.state = 'idle in transaction' \
                AND held.mode = 'RowShareLock' AND held.relation = 'pipelines'::regclass AND held.granted";
    eventually("a frozen transaction", || async {
        server.send("STOP");
        // Statements in progress end in the database.
        let first = lines(database, held).await;
        let second = lines(database, held).await;
        let is_held = first == second && second[0] != "0";
        if !is_held {
            server.send("CONT");
        }
        is_held.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_continue_when_a_server_freezes() {
    let database = Database::postgres().await;
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let often = ["--evaluation-interval", "1s"];
    // The first server evaluates.
    let frozen = Process::serve(first.path(), &database.url, &often);
    eventually("an evaluation", || async { (frozen.metric(EVALUATIONS).await > 0.5).then_some(()) }).await;
    let other = Process::serve(second.path(), &database.url, &often);
    let load = Reporters::start(&frozen.url, 8, 20);
    load.are_acknowledged(DEADLINE).await;
    freeze(&frozen, &database).await;
    load.abandon();

    let begun = Instant::now();
    assert!(other.metric(EVALUATIONS).await < 0.5, "only one server evaluates");
    let reporters = Reporters::start(&other.url, 4, 1);
    reporters.are_acknowledged(WITHIN).await;
    println!("the other server stores reports after {:?}", begun.elapsed());
    eventually("the other server evaluates", || async { (other.metric(EVALUATIONS).await > 0.5).then_some(()) }).await;
    println!("the other server evaluates after {:?}", begun.elapsed());
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    reporters.finish().await;
}

/// A `PgBouncer` in session mode, with minimal settings.
struct Pooler {
    url: String,
    child: Child,
    _folder: TempDir,
}

impl Pooler {
    fn start(postgres: &PrivatePostgres) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/pgbouncer.sh");
        let found = Command::new(script).stderr(Stdio::inherit()).output().expect("scripts/pgbouncer.sh");
        assert!(found.status.success(), "scripts/pgbouncer.sh has printed the reason above");
        let program = String::from_utf8(found.stdout).expect("a path");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display();
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=pipewatch\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {path}\n\
             auth_type = any\npool_mode = session\ndefault_pool_size = 20\nignore_startup_parameters = extra_float_digits\n",
            postgres.port
        );
        std::fs::write(folder.path().join("settings.ini"), settings).expect("written");
        let mut command = Command::new(program.trim());
        command.arg(folder.path().join("settings.ini")).stderr(Stdio::null()).stdout(Stdio::null());
        // It refuses to run as root.
        if std::fs::metadata("/proc/self").expect("this process").uid() == 0 {
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("a folder for all");
            command.uid(NOBODY).gid(NOBODY);
        }
        let child = command.spawn().expect("PgBouncer");
        let host = folder.path().display().to_string().replace('/', "%2F");
        let url = format!("postgres://pipewatch@localhost:6432/{}?host={host}", postgres.database.name());
        Self { url, child, _folder: folder }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_set_their_timeouts() {
    let postgres = PrivatePostgres::start().await;
    let pooler = Pooler::start(&postgres);
    eventually("the pooler", || async { sea_orm::Database::connect(&pooler.url).await.ok() }).await;
    let database = &postgres.database;
    let folder = tempfile::tempdir().expect("a folder");
    drop(Process::serve(folder.path(), &database.url, &[]));
    database.execute(&note_settings("source_runs")).await;
    for url in [&database.url, &pooler.url] {
        let server = Process::serve(folder.path(), url, &[]);
        database.execute("DELETE FROM noted").await;
        let reporters = Reporters::start(&server.url, 4, 20);
        reporters.are_acknowledged(DEADLINE).await;
        let expect = [
            "client_connection_check_interval 2s",
            "idle_in_transaction_session_timeout 5s",
            "lock_timeout 3s",
            "statement_timeout 8s",
            "tcp_keepalives_count 3",
            "tcp_keepalives_idle 10",
            "tcp_keepalives_interval 5",
            "tcp_user_timeout 10000",
        ];
        assert_eq!(noted(database).await, expect, "{url}");
        reporters.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_have_a_separate_timeout() {
    let database = Database::postgres().await;
    let store = TimedStore::open(&database, "2026-03-02T00:00:00Z").await;
    store.runs(&[with(run("a"), json!({"timestamp": "2026-03-01T00:00:00Z"}))]).await;
    database.execute(&note_settings("quality_rollups")).await;
    store.store.rebuild_rollups(&PipelineKey::default()).await.expect("rebuilt");
    let noted = noted(&database).await;
    assert!(noted.iter().any(|line| line.starts_with("statement_timeout ")), "{noted:?}");
    assert!(!noted.contains(&"statement_timeout 8s".to_owned()), "{noted:?}");
    store.close().await;
}

/// Returns the noted settings.
async fn noted(database: &Database) -> Vec<String> {
    lines(database, "SELECT name || ' ' || setting FROM noted ORDER BY name").await
}

/// Creates a trigger that notes what `SHOW` returns for the timeouts of a session that writes to a table.
fn note_settings(table: &str) -> String {
    format!(
        "CREATE TABLE noted (name text PRIMARY KEY, setting text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO noted SELECT name, current_setting(name) FROM unnest(ARRAY[
                 'client_connection_check_interval', 'idle_in_transaction_session_timeout', 'lock_timeout',
                 'statement_timeout', 'tcp_keepalives_count', 'tcp_keepalives_idle', 'tcp_keepalives_interval',
                 'tcp_user_timeout']) AS timeouts(name)
                 ON CONFLICT DO NOTHING;
             RETURN NULL;
         END $$;
         CREATE TRIGGER note AFTER INSERT ON {table} EXECUTE FUNCTION note()"
    )
}

/// Freezes the PostgreSQL backend of a transaction that holds a lock on a pipeline, and returns its process id.
async fn freeze_backend(database: &Database) -> String {
    let holders = "SELECT pid::text FROM pg_stat_activity AS session JOIN pg_locks AS held USING (pid) \
                   WHERE session.state = 'idle in transaction' AND held.mode = 'RowShareLock' \
                   AND held.relation = 'pipelines'::regclass AND held.granted ORDER BY pid";
    let signal = |name: &str, pid: &str| {
        let sent = Command::new("kill").args([&format!("-{name}"), pid]).status().expect("kill");
        assert!(sent.success());
    };
    eventually("a frozen backend", || async {
        let pid = lines(database, holders).await.into_iter().next()?;
        signal("STOP", &pid);
        // A statement that arrived before the signal completes.
        let is_held = lines(database, holders).await.contains(&pid) && lines(database, holders).await.contains(&pid);
        if !is_held {
            signal("CONT", &pid);
        }
        is_held.then_some(pid)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_continue_when_a_backend_freezes() {
    let postgres = PrivatePostgres::start().await;
    let database = &postgres.database;
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let often = ["--evaluation-interval", "1s"];
    let frozen = Process::serve(first.path(), &database.url, &often);
    let other = Process::serve(second.path(), &database.url, &often);
    let evaluations = async || frozen.metric(EVALUATIONS).await + other.metric(EVALUATIONS).await;
    eventually("an evaluation", || async { (evaluations().await > 0.5).then_some(()) }).await;
    let load = Reporters::start(&frozen.url, 8, 20);
    load.are_acknowledged(DEADLINE).await;
    let pid = freeze_backend(database).await;
    load.abandon();

    // The frozen transaction holds the lock on its own pipeline only.
    let begun = Instant::now();
    let reporters = [&frozen, &other].map(|server| Reporters::start_on(&server.url, "other", 4, 1));
    for reporters in &reporters {
        println!("reports are stored after {:?}", reporters.are_acknowledged(WITHIN).await);
    }
    let before = evaluations().await;
    eventually("an evaluation", || async { (evaluations().await > before).then_some(()) }).await;
    println!("pipelines are evaluated after {:?}", begun.elapsed());
    assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
    for reporters in reporters {
        reporters.finish().await;
    }

    assert!(Command::new("kill").args(["-CONT", &pid]).status().expect("kill").success());
    let reporters = Reporters::start(&other.url, 4, 1);
    reporters.are_acknowledged(WITHIN).await;
    reporters.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_replaced() {
    let database = Database::postgres().await;
    let proxy = SilentProxy::start(&database).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &proxy.url, &["--evaluation-interval", "1s"]);
    let reporters = Reporters::start(&server.url, 8, 1);
    for _ in 0..2 {
        reporters.are_acknowledged(DEADLINE).await;
        proxy.fall_silent();
        reporters.are_refused().await;
        proxy.forward_new();
        let before = server.metric(EVALUATIONS).await;
        let begun = Instant::now();
        let took = reporters.are_acknowledged(WITHIN).await;
        eventually("an evaluation", || async { (server.metric(EVALUATIONS).await > before).then_some(()) }).await;
        println!("reports are stored again after {took:?}, and evaluated after {:?}", begun.elapsed());
        assert!(begun.elapsed() < WITHIN, "{:?}", begun.elapsed());
        eventually("it listens", || async {
            (server.metric("pipewatch_cluster_listener_connected").await > 0.5).then_some(())
        })
        .await;
    }
    reporters.finish().await;
    assert_eq!(server.signal("TERM").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listening_connection_is_replaced_with_the_pool() {
    let database = Database::postgres().await;
    let proxy = SilentProxy::start(&database).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &proxy.url, &[]);
    let listeners = async || {
        let listeners = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() \
                         AND query LIKE 'LISTEN %'";
        lines(&database, listeners).await.remove(0)
    };
    eventually("it listens", || async { (listeners().await == "1").then_some(()) }).await;
    let reporters = Reporters::start(&server.url, 4, 1);
    reporters.are_acknowledged(DEADLINE).await;
    proxy.fall_silent();
    reporters.are_refused().await;
    proxy.forward_new();
    reporters.are_acknowledged(WITHIN).await;
    // The silent connection stays open on the database's side.
    eventually("it listens on a new connection", || async { (listeners().await == "2").then_some(()) }).await;
    reporters.finish().await;
}
