use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::http::Services;
use crate::store::health::DatabaseProblem;

/// Whether the process answers at all.
pub(super) async fn live() -> Response {
    Json(json!({"status": "live"})).into_response()
}

/// Whether this server should be sent work: it is not stopping, and its database can be read
/// and written to.
pub(super) async fn ready(State(services): State<Arc<Services>>) -> Response {
    let unready = if services.streams.stop.is_cancelled() {
        Some("stopping")
    } else {
        services.store.health().problem.map(|(problem, _)| match problem {
            DatabaseProblem::Unreadable => "database unavailable",
            DatabaseProblem::NotWritable => "database not writable",
            DatabaseProblem::WriterStuck => "writer stuck",
        })
    };
    let status = if unready.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (status, Json(json!({"status": unready.unwrap_or("ready")}))).into_response()
}

/// What there is to say of the server in one look.
pub(super) async fn serve(State(services): State<Arc<Services>>) -> Response {
    let answers = services.store.health().problem.is_none();
    let status = if answers { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let health = json!({
        "status": if answers { "healthy" } else { "error" },
        "version": env!("CARGO_PKG_VERSION"),
        "database": {"kind": services.store.backend(), "status": if answers { "healthy" } else { "error" }},
        "connections": services.streams.registry.len(),
        "pipelines": services.store.known_pipelines().len(),
    });
    (status, Json(health)).into_response()
}
