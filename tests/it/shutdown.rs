use pipewatch::config::Flags;
use serde_json::json;

use crate::support::clients::{Events, Socket};
use crate::support::server::Process;
use crate::support::{Database, Server, in_time, run};

on_both_databases! { shutdown_ends_streams_and_closes_sockets, committed_reports_survive_a_restart }

async fn shutdown_ends_streams_and_closes_sockets(database: Database) {
    let server = Server::start_with(database, Flags { shutdown_timeout: Some("10s".into()), ..Flags::default() }).await;
    let mut events = Events::open(&server, "").await;
    let mut plain = Socket::plain(&server, "").await;
    let mut graphql = Socket::graphql(&server).await;
    graphql.subscribe("1", "subscription { pipelineStatusUpdates { revision } }").await;
    events.next().await.expect("an event");
    plain.next().await;
    graphql.next().await;
    server.begin_stop();
    assert_eq!(in_time("the stream's end", events.next()).await, None);
    assert_eq!(plain.end().await, Some(1012));
    assert_eq!(graphql.end().await, Some(1012));
    server.stop().await;
}

async fn committed_reports_survive_a_restart(database: Database) {
    let server = Server::start(database).await;
    let answer = server.store_runs("/api/v1/source-runs", &[run("a")]).await;
    let server = Server::start(server.stop().await).await;
    let status = server.status("").await;
    assert_eq!(status["revision"], answer["revisions"]["default"]);
    assert_eq!(status["scraping_health"]["articles_collected"], 3);
    server.stop().await;
}

#[test]
fn sigint_and_sigterm_shut_down_gracefully() {
    for signal in ["TERM", "INT"] {
        let folder = tempfile::tempdir().expect("a folder");
        let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
        assert_eq!(server.signal(signal).code(), Some(0), "{signal}");
    }
}

#[tokio::test]
async fn in_flight_request_is_answered() {
    let server = Server::start(Database::sqlite()).await;
    let inputs: Vec<_> = (0..1_000).map(|_| run("a")).collect();
    let request = server.post("/api/v1/source-runs").json(&json!(inputs));
    let answer = tokio::spawn(crate::support::server::answer(request));
    // The shutdown starts while the report is being stored; an accepted report is still answered.
    crate::support::eventually("the source", || async {
        let status = server.status("").await;
        (status["scraping_health"]["total_sources"] == 1).then_some(())
    })
    .await;
    server.begin_stop();
    assert_eq!(in_time("a response", answer).await.expect("no panic").0, 201);
    server.stop().await;
}
