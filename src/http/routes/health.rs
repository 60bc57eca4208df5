use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::domain::alert::SelfCheck;
use crate::http::state::Services;
use crate::store::health::DatabaseProblem;

/// Liveness: the process responds.
pub(in crate::http) async fn live() -> Response {
    Json(json!({"status": "live"})).into_response()
}

/// Readiness: the server is not stopping, its database can be read and written to, and its clock is right.
pub(in crate::http) async fn ready(State(services): State<Arc<Services>>) -> Response {
    let unready = if services.hub.stop.is_cancelled() {
        Some("stopping")
    } else {
        services.store.health().problem.map(|(problem, _)| match problem {
            DatabaseProblem::Unreadable => "database unavailable",
            DatabaseProblem::NotWritable => "database not writable",
            DatabaseProblem::WriterStuck => "writer stuck",
        })
    };
    let answer = match (unready, services.self_monitor.clock().problem) {
        (None, None) => return Json(json!({"status": "ready"})).into_response(),
        (Some(why), _) => json!({"status": why}),
        (None, Some(detail)) => json!({"status": "clock skew", "detail": detail}),
    };
    (StatusCode::SERVICE_UNAVAILABLE, Json(answer)).into_response()
}

/// The health of the server. A late evaluation does not affect it, since another server may be responsible.
pub(in crate::http) async fn serve(State(services): State<Arc<Services>>) -> Response {
    let answers = services.store.health().problem.is_none();
    let [clock, evaluation] = [services.self_monitor.clock(), services.self_monitor.evaluation()];
    let is_well = answers && clock.problem.is_none();
    let part = |check: SelfCheck| match check.problem {
        None => json!({"status": "healthy"}),
        Some(detail) => json!({"status": "error", "detail": detail}),
    };
    let health = json!({
        "status": if is_well { "healthy" } else { "error" },
        "version": env!("CARGO_PKG_VERSION"),
        "database": {"kind": services.store.backend(), "status": if answers { "healthy" } else { "error" }},
        "clock": part(clock),
        "evaluation": part(evaluation),
        "connections": services.hub.registry.len(),
        "pipelines": services.store.count_pipelines(),
    });
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}
