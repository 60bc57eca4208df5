use std::time::Instant;

use pipewatch::config::Flags;
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::{Database, Server, revision, run, with};

const RUNS: &str = "/api/v1/source-runs";

on_both_databases! {
    all_transports_send_the_same_revision,
    revisions_increase_by_one,
    status_is_resent_every_interval_without_a_change,
    burst_is_coalesced_and_the_last_change_is_sent,
    pipelines_are_isolated,
    overview_is_one_stream,
    changes_of_another_server_are_seen,
    client_with_a_newer_revision_gets_at_least_that_revision,
}

async fn all_transports_send_the_same_revision(database: Database) {
    let server = Server::start(database).await;
    let mut events = Events::open(&server, "").await;
    let mut plain = Socket::plain(&server, "").await;
    let mut graphql = Socket::graphql(&server).await;
    graphql.subscribe("1", "subscription { pipelineStatusUpdates { revision timestamp } }").await;
    events.next().await.expect("the first at once");
    plain.next().await;
    graphql.next().await;

    let answer = server.store_runs(RUNS, &[run("a")]).await;
    let committed = &answer["revisions"]["default"];
    let event = events.next().await.expect("an event").json();
    let message = plain.next().await;
    let next = graphql.next().await["payload"]["data"]["pipelineStatusUpdates"].clone();
    let polled = server.status("").await;
    let query = "{ pipelineStatus { revision timestamp } }";
    let queried = server.data(query, json!({})).await["pipelineStatus"].clone();
    for (what, shown) in
        [("event", &event), ("message", &message), ("next", &next), ("polled", &polled), ("queried", &queried)]
    {
        assert_eq!(&shown["revision"], committed, "{what}");
        assert_eq!(shown["timestamp"], event["timestamp"], "{what}: one computation for all");
    }
    drop((events, plain, graphql));
    server.stop().await;
}

async fn revisions_increase_by_one(database: Database) {
    let server = Server::start(database).await;
    let mut plain = Socket::plain(&server, "").await;
    let mut last = revision(&plain.next().await["revision"]);
    for _ in 0..5 {
        let answer = server.store_runs(RUNS, &[run("a")]).await;
        let committed = revision(&answer["revisions"]["default"]);
        assert!(committed > last);
        assert_eq!(revision(&server.status("").await["revision"]), committed, "a poll after a commit returns it");
        assert_eq!(revision(&plain.next().await["revision"]), committed);
        last = committed;
    }
    drop(plain);
    server.stop().await;
}

async fn status_is_resent_every_interval_without_a_change(database: Database) {
    let server = Server::start_with(database, Flags { interval: Some("200ms".into()), ..Flags::default() }).await;
    let mut plain = Socket::plain(&server, "").await;
    let mut before = plain.next().await;
    for _ in 0..3 {
        let status = plain.next().await;
        assert_eq!(status["revision"], before["revision"]);
        assert!(status["timestamp"].as_str() > before["timestamp"].as_str(), "newer at the same revision");
        before = status;
    }
    drop(plain);
    server.stop().await;
}

async fn burst_is_coalesced_and_the_last_change_is_sent(database: Database) {
    // The interval is longer than the test, so every message is caused by a change.
    let server = Server::start_with(database, Flags { interval: Some("1h".into()), ..Flags::default() }).await;
    let mut plain = Socket::plain(&server, "").await;
    plain.next().await;
    let begun = Instant::now();
    let mut committed = Value::Null;
    for number in 0..100 {
        let answer = server.store_runs(RUNS, &[with(run("a"), json!({"articles_collected": number}))]).await;
        committed = answer["revisions"]["default"].clone();
    }
    let took = begun.elapsed();
    let mut messages = 0;
    while plain.next().await["revision"] != committed {
        messages += 1;
    }
    let most = took.as_millis() / 100 + 2;
    assert!(messages <= most, "{messages} messages of 100 changes in {took:?}");
    drop(plain);
    server.stop().await;
}

async fn pipelines_are_isolated(database: Database) {
    let server = Server::start_with(database, Flags { interval: Some("1h".into()), ..Flags::default() }).await;
    for pipeline in ["one", "two"] {
        server.store_runs(&format!("{RUNS}?pipeline={pipeline}"), &[run("a")]).await;
    }
    let mut one = Socket::plain(&server, "?pipeline=one").await;
    let mut two = Socket::plain(&server, "?pipeline=two").await;
    let (first, _) = (one.next().await, two.next().await);
    let two_again = server.store_runs(&format!("{RUNS}?pipeline=two"), &[run("b")]).await;
    let message = two.next().await;
    assert_eq!(message["revision"], two_again["revisions"]["two"]);
    assert_eq!(server.status("?pipeline=one").await, first, "untouched, and not even computed again");
    let one_again = server.store_runs(&format!("{RUNS}?pipeline=one"), &[run("a")]).await;
    assert_eq!(one.next().await["revision"], one_again["revisions"]["one"], "its next message is of its own change");
    drop((one, two));
    server.stop().await;
}

async fn overview_is_one_stream(database: Database) {
    let server = Server::start(database).await;
    let mut graphql = Socket::graphql(&server).await;
    let fields = "key overallStatus revision totalSources articlesCollected dataQualityStatus openAlerts";
    graphql.subscribe("1", &format!("subscription {{ pipelinesUpdates {{ {fields} }} }}")).await;
    let mut overview = async || graphql.next().await["payload"]["data"]["pipelinesUpdates"].clone();
    let keys = |overview: &Value| -> Vec<String> {
        overview.as_array().expect("a list").iter().filter_map(|one| Some(one["key"].as_str()?.to_owned())).collect()
    };
    assert_eq!(keys(&overview().await), ["default"]);
    let answer = server.store_runs(&format!("{RUNS}?pipeline=news"), &[run("a")]).await;
    let shown = loop {
        let shown = overview().await;
        if keys(&shown) == ["default", "news"] {
            break shown;
        }
    };
    assert_eq!(shown[1]["revision"], answer["revisions"]["news"]);
    assert_eq!((&shown[1]["overallStatus"], &shown[1]["articlesCollected"]), (&json!("HEALTHY"), &json!(3)));
    assert_eq!((&shown[1]["dataQualityStatus"], &shown[1]["openAlerts"]), (&json!("HEALTHY"), &json!(0)));
    let queried = server.data(&format!("{{ pipelines {{ {fields} }} }}"), json!({})).await;
    assert_eq!(queried["pipelines"], shown);
    server.data("mutation { removePipeline(pipeline: \"news\") }", json!({})).await;
    while keys(&overview().await) != ["default"] {}
    drop(graphql);
    server.stop().await;
}

async fn changes_of_another_server_are_seen(database: Database) {
    if !database.is_postgres() {
        // An SQLite file is used by one server only.
        return;
    }
    let url = database.url.clone();
    let one = Server::start(database).await;
    // The interval is longer than the test, so every message is caused by a change.
    let rarely = Flags { interval: Some("1h".into()), ..Flags::default() };
    let two = Server::start_with(Database::existing(url), rarely).await;
    let mut plain = Socket::plain(&two, "").await;
    let before = plain.next().await;
    let answer = one.store_runs(RUNS, &[run("a")]).await;
    while plain.next().await["revision"] == before["revision"] {}
    assert_eq!(two.status("").await["revision"], answer["revisions"]["default"]);
    drop(plain);
    two.stop().await;
    one.stop().await;
}

async fn client_with_a_newer_revision_gets_at_least_that_revision(database: Database) {
    let url = database.url.clone();
    let one = Server::start_with(database, Flags { interval: Some("1h".into()), ..Flags::default() }).await;
    one.store_runs(RUNS, &[run("a")]).await;
    // An SQLite file has one server, which is never behind.
    let other = if one.database.is_postgres() { Some(Server::start(Database::existing(url)).await) } else { None };
    let two = other.as_ref().unwrap_or(&one);
    // The pipeline already has a subscriber on this server, so its snapshot counts as current.
    let mut watching = Events::open(two, "").await;
    watching.next().await.expect("an event");
    for _ in 0..10 {
        let answer = one.store_runs(RUNS, &[run("a")]).await;
        let committed = &answer["revisions"]["default"];
        let mut events = Events::resume(two, "", committed.as_str().expect("digits")).await;
        assert_eq!(
            &json!(events.next().await.expect("an event").id),
            committed,
            "not older than the client's revision"
        );
    }
    for id in ["9223372036854775807", "-1", "nonsense", ""] {
        let mut events = Events::resume(two, "", id).await;
        assert_eq!(events.next().await.expect("an event").event, "status", "{id:?}");
    }
    drop(watching);
    if let Some(other) = other {
        other.stop().await;
    }
    one.stop().await;
}
