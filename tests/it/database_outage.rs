use pipewatch::config::Flags;
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::server::answer;
use crate::support::{Database, Server, eventually, run};

const RUNS: &str = "/api/v1/source-runs";
const STATUS: &str = "/api/v1/monitoring/pipeline-status";
const FIELDS: &str = "{ revision timestamp overallStatus alerts { type severity state title message timestamp } }";

on_both_databases! { missing_table_is_reported_to_subscribers_until_it_is_back, outage_before_the_first_status_is_an_error }

/// One subscriber of the default pipeline per transport.
struct Subscribers {
    events: Events,
    plain: Socket,
    graphql: Socket,
}

impl Subscribers {
    async fn open(server: &Server) -> Self {
        let mut graphql = Socket::graphql(server).await;
        graphql.subscribe("1", &format!("subscription {{ pipelineStatusUpdates {FIELDS} }}")).await;
        Self { events: Events::open(server, "").await, plain: Socket::plain(server, "").await, graphql }
    }

    /// The first status on each transport that satisfies the predicate. No stream may end before it.
    async fn until(&mut self, satisfies: impl Fn(&Value) -> bool) -> [Value; 3] {
        let event = loop {
            let status = self.events.next().await.expect("the stream stays open").json();
            if satisfies(&status) {
                break status;
            }
        };
        let message = loop {
            let status = self.plain.next().await;
            if satisfies(&status) {
                break status;
            }
        };
        let next = loop {
            let status = self.graphql.next().await["payload"]["data"]["pipelineStatusUpdates"].take();
            if satisfies(&status) {
                break status;
            }
        };
        [event, message, next]
    }
}

fn has_alert(status: &Value) -> bool {
    status["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
}

/// Every subscriber sees the outage, which starts after `known` was read.
async fn assert_outage_is_reported(server: &Server, subscribers: &mut Subscribers, known: &Value) {
    for status in subscribers.until(has_alert).await {
        let alert = &status["alerts"][0];
        for (field, expect) in [("type", "server"), ("severity", "high"), ("state", "firing")] {
            assert!(alert[field].as_str().expect("a word").eq_ignore_ascii_case(expect), "{alert}");
        }
        let message = alert["message"].as_str().expect("words");
        assert!(!message.contains("source_runs") && !message.contains("SELECT"), "{message}");
        assert_eq!(status["revision"], known["revision"], "the data is unchanged");
        assert!(status["timestamp"].as_str() > known["timestamp"].as_str(), "the timestamp is later");
        let overall = status["overall_status"].as_str().or(status["overallStatus"].as_str()).expect("a word");
        assert!(overall.eq_ignore_ascii_case("error"), "{overall}");
    }
    let (code, polled) = answer(server.get(STATUS)).await;
    assert_eq!((code, has_alert(&polled)), (200, true), "{polled}");
    assert_eq!(polled["scraping_health"]["articles_collected"], 3, "known data is still served");
    let queried = server.data(&format!("{{ pipelineStatus {FIELDS} }}"), json!({})).await;
    assert!(has_alert(&queried["pipelineStatus"]), "{queried}");
}

async fn assert_outage_has_ended(server: &Server, subscribers: &mut Subscribers, known: &Value) {
    for status in subscribers.until(|status| !has_alert(status)).await {
        assert_eq!(status["revision"], known["revision"]);
    }
    let polled = server.status("").await;
    assert_eq!((&polled["overall_status"], has_alert(&polled)), (&known["overall_status"], false));
}

async fn start(database: Database) -> (Server, Subscribers, Value) {
    let server = Server::start_with(database, Flags { interval: Some("100ms".into()), ..Flags::default() }).await;
    server.store_runs(RUNS, &[run("a")]).await;
    let mut subscribers = Subscribers::open(&server).await;
    let [known, ..] = subscribers.until(|_| true).await;
    assert_eq!((&known["overall_status"], &known["alerts"]), (&json!("healthy"), &json!([])));
    (server, subscribers, known)
}

async fn missing_table_is_reported_to_subscribers_until_it_is_back(database: Database) {
    let (server, mut subscribers, known) = start(database).await;
    for _ in 0..2 {
        server.database.execute("ALTER TABLE source_runs RENAME TO hidden").await;
        assert_outage_is_reported(&server, &mut subscribers, &known).await;
        server.database.execute("ALTER TABLE hidden RENAME TO source_runs").await;
        assert_outage_has_ended(&server, &mut subscribers, &known).await;
    }
    drop(subscribers);
    server.stop().await;
}

async fn outage_before_the_first_status_is_an_error(database: Database) {
    let server = Server::start(database).await;
    assert_eq!(answer(server.get("/api/health/ready")).await.0, 200, "the tables are there");
    server.database.execute("ALTER TABLE source_runs RENAME TO hidden").await;
    for path in [STATUS, "/api/v1/monitoring/pipeline-status/stream"] {
        let (code, problem) = answer(server.get(path)).await;
        assert_eq!((code, &problem["code"]), (503, &json!("DATABASE_UNAVAILABLE")), "{problem}");
    }
    server.database.execute("ALTER TABLE hidden RENAME TO source_runs").await;
    assert_eq!(server.status("").await["overall_status"], "pending");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreachable_postgres_is_reported_to_subscribers_until_it_is_back() {
    let (server, mut subscribers, known) = start(Database::postgres().await).await;
    let name = server.database.name().to_owned();
    server.database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server.database.execute_as_admin(&cut).await;
    assert_outage_is_reported(&server, &mut subscribers, &known).await;
    let is_unhealthy = || async { (answer(server.get("/api/health")).await.0 == 503).then_some(()) };
    eventually("health reports it", is_unhealthy).await;
    server.database.execute_as_admin(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    assert_outage_has_ended(&server, &mut subscribers, &known).await;
    drop(subscribers);
    server.stop().await;
}
