//! Attacks and failures, each with honest clients beside it. A file for each area; `make soak` runs them longer, with the
//! figures that are promised.

/// Subscriptions to the events of alerts.
mod alert_events;
/// Logs, caches and metrics.
mod audit;
/// Arguments, fields and parameters.
mod bad_input;
/// Request bodies.
mod bodies;
/// Pages of other sites, DNS rebinding, and credentials.
mod browsers;
/// Reporters that name more and more.
mod cardinality;
/// A clock that is wrong, and an evaluation that does not come.
mod clock;
/// Servers on one PostgreSQL that freeze, and connections that fall silent.
mod cluster;
/// Connections: what they send too slowly, too fast, or never read.
mod connections;
/// A database that fails: full, locked, read-only, silent.
mod database;
/// Documents that cost too much, on every transport of GraphQL.
mod documents;
/// Settings that would leave the server open, and credentials that are guessed.
mod failing_closed;
/// Migrations, rebuilds and retention.
mod maintenance;
/// Removal of large pipelines and sources.
mod removal;
/// The SQLite file: one server at a time, noticed when it is gone, and no larger than it must be.
mod sqlite_file;

use std::time::Instant;

use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::in_time;
use crate::support::server::{Process, client};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_clients_are_served_without_an_attack() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let honest = HonestClients::start(&server, None).await;
    let (client, begun) = (client(), Instant::now());
    while begun.elapsed() < attack_length() {
        let page = in_time("an answer", client.get(&server.url).send()).await.expect("an answer");
        in_time("a body", page.bytes()).await.expect("a body");
    }
    honest.finish(&server).await;
}
