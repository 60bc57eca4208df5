use pipewatch::config::Flags;
use serde_json::{Value, json};

use crate::support::clients::{Events, Socket};
use crate::support::server::answer;
use crate::support::{Database, Server, eventually, run};

const RUNS: &str = "/api/v1/source-runs";
const STATUS: &str = "/api/v1/monitoring/pipeline-status";
const FIELDS: &str = "{ revision timestamp overallStatus alerts { type severity state title message timestamp } }";

on_both_databases! { missing_table_is_reported_to_subscribers_until_it_is_back, outage_before_the_first_status_is_an_error }

/// Those who watch the default pipeline, each in another way.
struct Watchers {
    events: Events,
    plain: Socket,
    graphql: Socket,
}

impl Watchers {
    async fn open(server: &Server) -> Self {
        let mut graphql = Socket::graphql(server).await;
        graphql.subscribe("1", &format!("subscription {{ pipelineStatusUpdates {FIELDS} }}")).await;
        Self { events: Events::open(server, "").await, plain: Socket::plain(server, "").await, graphql }
    }

    /// The first statuses, one of each watcher, that satisfy. None of the streams may end before.
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

fn is_in_trouble(status: &Value) -> bool {
    status["alerts"].as_array().is_some_and(|alerts| !alerts.is_empty())
}

/// What breaks comes between `known` and the end of this: all are told, and later all is as it was.
async fn is_told(server: &Server, watchers: &mut Watchers, known: &Value) {
    for status in watchers.until(is_in_trouble).await {
        let alert = &status["alerts"][0];
        for (field, expect) in [("type", "server"), ("severity", "high"), ("state", "firing")] {
            assert!(alert[field].as_str().expect("a word").eq_ignore_ascii_case(expect), "{alert}");
        }
        let message = alert["message"].as_str().expect("words");
        assert!(!message.contains("source_runs") && !message.contains("SELECT"), "{message}");
        assert_eq!(status["revision"], known["revision"], "the data is the same");
        assert!(status["timestamp"].as_str() > known["timestamp"].as_str(), "at a later instant");
        let overall = status["overall_status"].as_str().or(status["overallStatus"].as_str()).expect("a word");
        assert!(overall.eq_ignore_ascii_case("error"), "{overall}");
    }
    let (code, polled) = answer(server.get(STATUS)).await;
    assert_eq!((code, is_in_trouble(&polled)), (200, true), "{polled}");
    assert_eq!(polled["scraping_health"]["articles_collected"], 3, "what was known is shown");
    let queried = server.data(&format!("{{ pipelineStatus {FIELDS} }}"), json!({})).await;
    assert!(is_in_trouble(&queried["pipelineStatus"]), "{queried}");
}

async fn has_passed(server: &Server, watchers: &mut Watchers, known: &Value) {
    for status in watchers.until(|status| !is_in_trouble(status)).await {
        assert_eq!(status["revision"], known["revision"]);
    }
    let polled = server.status("").await;
    assert_eq!((&polled["overall_status"], is_in_trouble(&polled)), (&known["overall_status"], false));
}

async fn start(database: Database) -> (Server, Watchers, Value) {
    let server = Server::start_with(database, Flags { interval: Some("100ms".into()), ..Flags::default() }).await;
    server.store_runs(RUNS, &[run("a")]).await;
    let mut watchers = Watchers::open(&server).await;
    let [known, ..] = watchers.until(|_| true).await;
    assert_eq!((&known["overall_status"], &known["alerts"]), (&json!("healthy"), &json!([])));
    (server, watchers, known)
}

async fn missing_table_is_reported_to_subscribers_until_it_is_back(database: Database) {
    let (server, mut watchers, known) = start(database).await;
    for _ in 0..2 {
        server.database.execute("ALTER TABLE source_runs RENAME TO hidden").await;
        is_told(&server, &mut watchers, &known).await;
        server.database.execute("ALTER TABLE hidden RENAME TO source_runs").await;
        has_passed(&server, &mut watchers, &known).await;
    }
    drop(watchers);
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
    let (server, mut watchers, known) = start(Database::postgres().await).await;
    let name = server.database.name().to_owned();
    server.database.administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    server.database.administer(&cut).await;
    is_told(&server, &mut watchers, &known).await;
    let is_unhealthy = || async { (answer(server.get("/api/health")).await.0 == 503).then_some(()) };
    eventually("health says so as well", is_unhealthy).await;
    server.database.administer(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    has_passed(&server, &mut watchers, &known).await;
    drop(watchers);
    server.stop().await;
}
