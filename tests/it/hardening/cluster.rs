use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pipewatch::domain::pipeline::PipelineKey;
use serde_json::json;
use tempfile::TempDir;

use crate::support::faults::SilentProxy;
use crate::support::reporters::Reporters;
use crate::support::server::Process;
use crate::support::timed_store::{TimedStore, lines};
use crate::support::{DEADLINE, Database, eventually, run, with};

/// How soon others go on after a server has frozen.
const WITHIN: Duration = Duration::from_secs(15);
/// Evaluations that have ended.
const EVALUATIONS: &str = "pipewatch_evaluation_seconds_count";

/// Freezes a server in the midst of a transaction that holds locks.
async fn freeze(server: &Process, database: &Database) {
    let held = "SELECT count(*)::text FROM pg_stat_activity AS session JOIN pg_locks AS held USING (pid) \
                WHERE session.datname = current_database() AND session.state = 'idle in transaction' \
                AND held.mode = 'RowShareLock' AND held.relation = 'pipelines'::regclass AND held.granted";
    eventually("a frozen transaction", || async {
        server.send("STOP");
        // What is under way in the database ends.
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
async fn frozen_server_stops_no_other() {
    let database = Database::postgres().await;
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let often = ["--evaluation-interval", "1s"];
    // The first one evaluates.
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

/// A `PgBouncer` in session mode, with as few settings as work.
struct Pooler {
    url: String,
    child: Child,
    _folder: TempDir,
}

impl Pooler {
    fn start(database: &Database) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pgbouncer.sh");
        let found = Command::new(script).stderr(Stdio::inherit()).output().expect("tests/pgbouncer.sh");
        assert!(found.status.success(), "tests/pgbouncer.sh has said above what is missing");
        let program = String::from_utf8(found.stdout).expect("a path");
        let (_, socket) = database.url.split_once("?host=").expect("a PostgreSQL on a socket");
        let socket = socket.replace("%2F", "/");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display();
        let settings = format!(
            "[databases]\n* = host={socket} user=pipewatch\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {path}\n\
             auth_type = any\npool_mode = session\ndefault_pool_size = 20\nignore_startup_parameters = extra_float_digits\n"
        );
        std::fs::write(folder.path().join("settings.ini"), settings).expect("written");
        let mut command = Command::new(program.trim());
        command.arg(folder.path().join("settings.ini")).stderr(Stdio::null()).stdout(Stdio::null());
        // It refuses to run as root, as PostgreSQL does, whose folder only its own user may enter.
        if std::fs::metadata("/proc/self").expect("this process").uid() == 0 {
            let owner = std::fs::metadata(&socket).expect("the folder of the socket");
            std::fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("a folder for all");
            command.uid(owner.uid()).gid(owner.gid());
        }
        let child = command.spawn().expect("PgBouncer");
        let host = folder.path().display().to_string().replace('/', "%2F");
        let url = format!("postgres://pipewatch@localhost:6432/{}?host={host}", database.name());
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
async fn sessions_set_their_timeouts_through_a_pooler() {
    let database = Database::postgres().await;
    let pooler = Pooler::start(&database);
    eventually("the pooler", || async { sea_orm::Database::connect(&pooler.url).await.ok() }).await;
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &pooler.url, &[]);
    let reporters = Reporters::start(&server.url, 4, 20);
    reporters.are_acknowledged(DEADLINE).await;
    database.execute(&note_settings("source_runs")).await;
    reporters.are_acknowledged(DEADLINE).await;
    let expect = [
        "client_connection_check_interval 2000",
        "idle_in_transaction_session_timeout 5000",
        "lock_timeout 3000",
        "statement_timeout 8000",
    ];
    assert_eq!(noted(&database).await, expect);
    reporters.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilds_have_a_timeout_of_their_own() {
    let database = Database::postgres().await;
    let store = TimedStore::open(&database, "2026-03-02T00:00:00Z").await;
    store.runs(&[with(run("a"), json!({"timestamp": "2026-03-01T00:00:00Z"}))]).await;
    database.execute(&note_settings("quality_rollups")).await;
    store.store.rebuild_rollups(&PipelineKey::default()).await.expect("rebuilt");
    let noted = noted(&database).await;
    assert!(noted.iter().any(|line| line.starts_with("statement_timeout ")), "{noted:?}");
    assert!(!noted.contains(&"statement_timeout 8000".to_owned()), "{noted:?}");
    store.close().await;
}

/// What the session that wrote to a table had set.
async fn noted(database: &Database) -> Vec<String> {
    lines(database, "SELECT name || ' ' || setting FROM noted ORDER BY name").await
}

/// Notes what a session that writes to a table has set. Of the timeouts those that hold on any connection: the others are of
/// TCP, and PostgreSQL listens on a socket here.
fn note_settings(table: &str) -> String {
    format!(
        "CREATE TABLE noted (name text PRIMARY KEY, setting text);
         CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             INSERT INTO noted SELECT name, setting FROM pg_settings
                 WHERE name LIKE '%\\_timeout' AND context = 'user' AND source = 'session' AND name NOT LIKE 'tcp%'
                 OR name = 'client_connection_check_interval'
                 ON CONFLICT DO NOTHING;
             RETURN NULL;
         END $$;
         CREATE TRIGGER note AFTER INSERT ON {table} EXECUTE FUNCTION note()"
    )
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
        eventually("it listens", || async { (server.metric("pipewatch_listening").await > 0.5).then_some(()) }).await;
    }
    reporters.finish().await;
    assert_eq!(server.signal("TERM").code(), Some(0));
}
