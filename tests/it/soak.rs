use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::{Database, Server, in_time, revision, run, with};

on_both_databases! { reporters_and_subscribers_under_load }

const PIPELINES: [&str; 3] = ["one", "two", "three"];
const REPORTERS: usize = 4;

/// Duration of the load; `make soak` sets a longer one.
fn length() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(2))
}

/// Reporters and subscribers under load: revisions only increase, and the final status contains every acknowledged
/// report.
async fn reporters_and_subscribers_under_load(database: Database) {
    let server = Arc::new(Server::start(database).await);
    for pipeline in PIPELINES {
        server.store_runs(&format!("/api/v1/source-runs?pipeline={pipeline}"), &[run("first")]).await;
    }
    let newest: Arc<[AtomicU64; 3]> = Arc::default();
    let articles: Arc<[AtomicU64; 3]> = Arc::default();
    let all_reported: Arc<AtomicBool> = Arc::default();
    let end = Instant::now() + length();
    let reporters = (0..REPORTERS * PIPELINES.len()).map(|number| {
        let (server, newest, articles) = (Arc::clone(&server), Arc::clone(&newest), Arc::clone(&articles));
        tokio::spawn(async move {
            let (index, mut count) = (number % PIPELINES.len(), 0);
            let path = format!("/api/v1/source-runs?pipeline={}", PIPELINES[index]);
            while Instant::now() < end {
                count += 1;
                let report = with(run(&format!("s{number}")), json!({"articles_collected": count}));
                let answer = server.store_runs(&path, &[report]).await;
                newest[index].fetch_max(revision(&answer["revisions"][PIPELINES[index]]), Ordering::Relaxed);
                articles[index].fetch_add(count, Ordering::Relaxed);
            }
        })
    });
    let reporters: Vec<_> = reporters.collect();

    let mut subscriber = Vec::new();
    for pipeline in PIPELINES {
        let query = format!("?pipeline={pipeline}&sources=none");
        for _ in 0..5 {
            subscriber.push(Subscriber::Plain(Socket::plain(&server, &query).await));
            subscriber.push(Subscriber::Events(Events::open(&server, &query).await));
            let mut socket = Socket::graphql(&server).await;
            let fields =
                "pipeline revision timestamp scraping_health: scrapingHealth { articles_collected: articlesCollected }";
            socket
                .subscribe(
                    "1",
                    &format!(
                        "subscription {{ status: pipelineStatusUpdates(pipeline: \"{pipeline}\") {{ {fields} }} }}"
                    ),
                )
                .await;
            subscriber.push(Subscriber::Graphql(socket));
        }
    }
    let watching = subscriber.into_iter().map(|mut subscriber| {
        let (newest, all_reported) = (Arc::clone(&newest), Arc::clone(&all_reported));
        tokio::spawn(async move {
            let mut before = (0, String::new());
            loop {
                let status = subscriber.next().await;
                let now = (revision(&status["revision"]), status["timestamp"].as_str().expect("a time").to_owned());
                assert!(now > before, "{now:?} after {before:?}");
                let index = PIPELINES.iter().position(|key| status["pipeline"] == *key).expect("its pipeline");
                if all_reported.load(Ordering::Acquire) && now.0 >= newest[index].load(Ordering::Relaxed) {
                    return (subscriber, index, status["scraping_health"]["articles_collected"].clone());
                }
                before = now;
            }
        })
    });
    let watching: Vec<_> = watching.collect();
    for reporter in reporters {
        reporter.await.expect("a reporter without errors");
    }
    all_reported.store(true, Ordering::Release);
    let seen = in_time("the last change", join_all(watching)).await;
    for subscriber in seen {
        let (_open, index, shown) = subscriber.expect("a subscriber without errors");
        // Three articles belong to the first run.
        assert_eq!(shown, articles[index].load(Ordering::Relaxed) + 3, "the final status");
    }
    in_time("the end", Arc::into_inner(server).expect("the only reference").stop()).await;
}

enum Subscriber {
    Plain(Socket),
    Events(Events),
    Graphql(Socket),
}

impl Subscriber {
    async fn next(&mut self) -> Value {
        match self {
            Self::Plain(socket) => socket.next().await,
            Self::Events(events) => events.next().await.expect("an event").json(),
            Self::Graphql(socket) => socket.next().await["payload"]["data"]["status"].clone(),
        }
    }
}
