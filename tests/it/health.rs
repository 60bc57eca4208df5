use serde_json::json;

use crate::support::server::answer;
use crate::support::{Database, Server};

on_both_databases! { health_reflects_the_database }

async fn health_reflects_the_database(database: Database) {
    let kind = if database.is_postgres() { "postgres" } else { "sqlite" };
    let server = Server::start(database).await;
    assert_eq!(answer(server.get("/api/health/live")).await, (200, json!({"status": "live"})));
    assert_eq!(answer(server.get("/api/health/ready")).await, (200, json!({"status": "ready"})));
    let (status, health) = answer(server.get("/api/health")).await;
    assert_eq!((status, &health["status"], &health["database"]["kind"]), (200, &json!("healthy"), &json!(kind)));
    server.stop().await;
}
