use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;
use uuid::Uuid;

use crate::support::faults::SmallDisk;
use crate::support::reporters::Reporters;
use crate::support::server::{Process, answer, client};
use crate::support::timed_store::lines;
use crate::support::{DEADLINE, Database, eventually};

/// How soon a server that cannot write is not ready.
const UNREADY_WITHIN: Duration = Duration::from_secs(5);
/// How soon it stores reports again.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// The status and the words of `GET /api/health/ready`.
async fn ready(server: &Process) -> (u16, String) {
    let (status, body) = answer(client().get(format!("{}/api/health/ready", server.url))).await;
    (status, body["status"].as_str().expect("a word").to_owned())
}

/// Waits until the server is not ready, which must be soon, and gives the reason.
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

/// The plain status.
async fn status(server: &Process) -> Value {
    answer(client().get(format!("{}/api/v1/monitoring/pipeline-status", server.url))).await.1
}

/// The ids of all runs, as a connection from outside sees them: none twice.
async fn stored(database: &Database) -> BTreeSet<Uuid> {
    let ids = lines(database, "SELECT lower(hex(id)) FROM source_runs").await;
    let unique: BTreeSet<Uuid> = ids.iter().map(|id| id.parse().expect("an id")).collect();
    assert_eq!(unique.len(), ids.len(), "none twice");
    unique
}

/// Reports while the disk is full, and when there is room again.
async fn lose_nothing(folder: &std::path::Path, fill: impl Fn(&Process), free: impl Fn(&Process)) {
    let database = Database::existing(format!("sqlite://{}/pipewatch.db", folder.display()));
    let server = Process::serve(folder, &database.url, &[]);
    let reporters = Reporters::start(&server.url, 4, 20);
    reporters.are_acknowledged(DEADLINE).await;
    for _ in 0..2 {
        fill(&server);
        reporters.are_refused().await;
        assert_eq!(becomes_unready(&server).await, "database not writable");
        let shown = status(&server).await;
        assert_eq!(shown["alerts"][0]["title"], "Reports cannot be stored", "{shown}");
        assert_eq!(shown["overall_status"], "error");
        free(&server);
        becomes_ready(&server).await;
        reporters.are_acknowledged(BACK_WITHIN).await;
        let shown = status(&server).await;
        assert_eq!(shown["alerts"], Value::Array(vec![]), "the trouble is over: {shown}");
    }
    let acknowledged = reporters.finish().await;
    let missing = |stored: &BTreeSet<Uuid>| acknowledged.difference(stored).count();
    assert_eq!(missing(&stored(&database).await), 0, "of {} acknowledged, for another connection", acknowledged.len());
    server.kill();
    assert_eq!(missing(&stored(&database).await), 0, "of {} acknowledged, after kill -9", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_loses_no_acknowledged_report() {
    let Some(disk) = SmallDisk::mount(16) else { return };
    lose_nothing(disk.path(), |_| disk.fill(), |_| disk.free()).await;
}
