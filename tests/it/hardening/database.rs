use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use sea_orm::{ConnectOptions, ConnectionTrait as _, DatabaseConnection};
use serde_json::Value;
use uuid::Uuid;

use crate::support::clients::Events;
use crate::support::faults::{SilentProxy, SmallDisk};
use crate::support::reporters::Reporters;
use crate::support::server::{Process, answer, client};
use crate::support::timed_store::lines;
use crate::support::{ALLOWANCE, DEADLINE, Database, eventually};

/// The metric of finished evaluations.
const EVALUATIONS: &str = "pipewatch_evaluation_seconds_count";
/// Evaluate all the time.
const OFTEN: [&str; 2] = ["--evaluation-interval", "100ms"];
/// How soon a server that cannot write is not ready.
const UNREADY_WITHIN: Duration = ALLOWANCE.saturating_add(Duration::from_secs(5));
/// How soon it stores reports again.
const BACK_WITHIN: Duration = ALLOWANCE.saturating_add(Duration::from_secs(15));

/// Returns the status and body of `GET /api/health/ready`.
async fn ready(server: &Process) -> (u16, String) {
    let (status, body) = answer(client().get(format!("{}/api/health/ready", server.url))).await;
    (status, body["status"].as_str().expect("a word").to_owned())
}

/// Waits until the server is not ready, which must be soon, and returns the reason.
async fn becomes_unready(server: &Process) -> String {
    let begun = Instant::now();
    let reason = eventually("not ready", || async {
        let (status, word) = ready(server).await;
        (status == 503).then_some(word)
    })
    .await;
    let took = begun.elapsed();
    println!("not ready after {took:?}: {reason}");
    assert!(took < UNREADY_WITHIN, "not ready after {took:?}");
    reason
}

async fn becomes_ready(server: &Process) {
    eventually("ready", || async { (ready(server).await.0 == 200).then_some(()) }).await;
}

/// Returns the plain status.
async fn status(server: &Process) -> Value {
    answer(client().get(format!("{}/api/v1/monitoring/pipeline-status", server.url))).await.1
}

/// Returns the ids of all runs, read on a separate connection. None occurs twice.
async fn stored(database: &Database) -> BTreeSet<Uuid> {
    let ids = lines(database, "SELECT lower(hex(id)) FROM source_runs").await;
    let unique: BTreeSet<Uuid> = ids.iter().map(|id| id.parse().expect("an id")).collect();
    assert_eq!(unique.len(), ids.len(), "none twice");
    unique
}

/// Reports while the disk is full, and when it has space again.
async fn lose_nothing(database: &Database, server: Process, fill: impl Fn(&Process), free: impl Fn(&Process)) {
    let reporters = Reporters::start(&server.url, 4, 20);
    reporters.are_acknowledged(DEADLINE).await;
    for _ in 0..2 {
        fill(&server);
        reporters.are_refused().await;
        assert_eq!(becomes_unready(&server).await, "database not writable");
        eventually("an error in the status", || async {
            let shown = status(&server).await;
            let is_told = shown["alerts"][0]["title"] == "Reports cannot be stored";
            (is_told && shown["overall_status"] == "error").then_some(())
        })
        .await;
        free(&server);
        becomes_ready(&server).await;
        reporters.are_acknowledged(BACK_WITHIN).await;
        eventually("a valid status", || async { (status(&server).await["overall_status"] == "healthy").then_some(()) })
            .await;
        // A transaction that is not committed, like most of the evaluator's, must leave nothing open.
        let evaluated = server.metric(EVALUATIONS).await;
        eventually("evaluations", || async { (server.metric(EVALUATIONS).await > evaluated + 2.0).then_some(()) })
            .await;
        reporters.are_acknowledged(DEADLINE).await;
    }
    let acknowledged = reporters.finish().await;
    let missing = |stored: &BTreeSet<Uuid>| acknowledged.difference(stored).count();
    assert_eq!(missing(&stored(database).await), 0, "of {} acknowledged, for another connection", acknowledged.len());
    server.kill();
    assert_eq!(missing(&stored(database).await), 0, "of {} acknowledged, after kill -9", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_loses_no_acknowledged_report() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let database = Database::existing(format!("sqlite://{}/pipewatch.db", disk.path().display()));
    let server = Process::serve(disk.path(), &database.url, &OFTEN);
    lose_nothing(&database, server, |_| disk.fill(), |_| disk.free()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_cannot_grow_lose_no_acknowledged_report() {
    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::existing(format!("sqlite://{}/pipewatch.db", folder.path().display()));
    let server = Process::serve_with_limited_files(folder.path(), &database.url, &OFTEN);
    lose_nothing(&database, server, |server| server.limit_files("4096"), |server| server.limit_files("unlimited"))
        .await;
}

/// A database fault caused from outside of the server.
struct Fault {
    name: &'static str,
    database: Database,
    /// The URL that the server connects to.
    url: String,
    /// Holds the locks, and whatever must live as long as the fault.
    holder: Option<DatabaseConnection>,
    proxy: Option<SilentProxy>,
    disk: Option<SmallDisk>,
}

impl Fault {
    fn new(name: &'static str, database: Database) -> Self {
        Self { name, url: database.url.clone(), database, holder: None, proxy: None, disk: None }
    }

    async fn begin(&mut self) {
        match self.name {
            "full" => self.disk.as_ref().expect("a disk").fill(),
            "silent" => self.proxy.as_ref().expect("a proxy").fall_silent(),
            "locked" => {
                let mut options = ConnectOptions::new(&self.database.url);
                options.max_connections(1);
                let holder = sea_orm::Database::connect(options).await.expect("a connection");
                let lock = if self.database.is_postgres() {
                    "BEGIN; LOCK TABLE pipelines IN ACCESS EXCLUSIVE MODE"
                } else {
                    "BEGIN EXCLUSIVE"
                };
                holder.execute_unprepared(lock).await.expect("locked");
                self.holder = Some(holder);
            }
            "down" => {
                let name = self.database.name();
                self.database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
                self.database.execute_as_admin(&terminate(name)).await;
            }
            "read-only" => self.set_read_only("= on").await,
            other => panic!("unknown fault: {other}"),
        }
    }

    async fn end(&mut self) {
        match self.name {
            "full" => self.disk.as_ref().expect("a disk").free(),
            "silent" => self.proxy.as_ref().expect("a proxy").forward_new(),
            "locked" => {
                let holder = self.holder.take().expect("it is locked");
                holder.execute_unprepared("ROLLBACK").await.expect("unlocked");
            }
            "down" => {
                let name = self.database.name();
                self.database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
            }
            // Existing sessions are not affected.
            _ => self.database.execute_as_admin(&self.read_only("= off")).await,
        }
    }

    fn read_only(&self, value: &str) -> String {
        format!("ALTER DATABASE {} SET default_transaction_read_only {value}", self.database.name())
    }

    async fn set_read_only(&self, value: &str) {
        self.database.execute_as_admin(&self.read_only(value)).await;
        self.database.execute_as_admin(&terminate(self.database.name())).await;
    }
}

fn terminate(name: &str) -> String {
    format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
}

/// 200 reporters get timely responses during the fault, the server is not ready, and both recover afterwards.
async fn survives(mut fault: Fault) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), &fault.url, &["--interval", "500ms"]);
    let reporters = Reporters::start(&server.url, 200, 1);
    reporters.are_acknowledged(DEADLINE).await;
    let mut subscriber = Events::of_process(&server).await;
    shows(&mut subscriber, false).await;
    let begun = Instant::now();
    fault.begin().await;
    let reason = becomes_unready(&server).await;
    shows(&mut subscriber, true).await;
    println!("{}: {reason}; subscribers see it after {:?}", fault.name, begun.elapsed());
    reporters.are_refused().await;
    assert_eq!(ready(&server).await.0, 503, "{}", fault.name);
    let begun = Instant::now();
    let live = answer(client().get(format!("{}/api/health/live", server.url))).await;
    assert!(live.0 == 200 && begun.elapsed() < ALLOWANCE, "{live:?} after {:?}", begun.elapsed());
    fault.end().await;
    let took = reporters.are_acknowledged(BACK_WITHIN).await;
    println!("{}: reports are stored again after {took:?}", fault.name);
    becomes_ready(&server).await;
    shows(&mut subscriber, false).await;
    reporters.finish().await;
}

/// Waits for a status with or without a server alert.
async fn shows(subscriber: &mut Events, trouble: bool) {
    loop {
        let event = subscriber.next().await.expect("the stream continues");
        if event.event == "status" && (event.json()["alerts"][0]["type"] == "server") == trouble {
            return;
        }
    }
}

macro_rules! survives {
    ($($name:ident: $fault:expr),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            survives($fault).await;
        })+
    };
}

survives! {
    locked_sqlite_answers_in_time: Fault::new("locked", Database::sqlite()),
    locked_postgres_answers_in_time: Fault::new("locked", Database::postgres().await),
    postgres_that_is_down_answers_in_time: Fault::new("down", Database::postgres().await),
    read_only_postgres_answers_in_time: Fault::new("read-only", Database::postgres().await),
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_postgres_answers_in_time() {
    let database = Database::postgres().await;
    let proxy = SilentProxy::start(&database).await;
    survives(Fault { url: proxy.url.clone(), proxy: Some(proxy), ..Fault::new("silent", database) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_answers_in_time() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    let database = Database::existing(format!("sqlite://{}/pipewatch.db", disk.path().display()));
    survives(Fault { disk: Some(disk), ..Fault::new("full", database) }).await;
}
