//! Attacks and failures, each with honest clients running. One file per area; `make soak` runs them longer and checks
//! the promised figures.

mod alert_events;
mod audit;
mod bad_input;
mod bodies;
mod browsers;
mod cardinality;
mod clock;
mod cluster;
mod connections;
mod database;
mod documents;
mod failing_closed;
mod long_lists;
mod maintenance;
mod removal;
mod responses;
mod sqlite_file;
mod subscription_limits;
mod upgrades;

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
