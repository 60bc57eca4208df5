use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use crate::api::health::{Checked, Database, DatabaseKind, Live, Part, Readiness, Ready, ServerHealth};
use crate::domain::alert::SelfCheck;
use crate::http::state::Services;
use crate::store::health::DatabaseProblem;

/// Liveness: the process responds.
pub(in crate::http) async fn live() -> Response {
    Json(Live { status: "live" }).into_response()
}

/// Readiness: the server is not stopping, its database can be read and written to, and its clock is right.
pub(in crate::http) async fn ready(State(services): State<Arc<Services>>) -> Response {
    let problem = services.store.health().problem.map(|(problem, _)| problem);
    let (status, detail) = match (services.hub.stop.is_cancelled(), problem) {
        (true, _) => (Readiness::Stopping, None),
        (_, Some(DatabaseProblem::Unreadable)) => (Readiness::DatabaseUnavailable, None),
        (_, Some(DatabaseProblem::NotWritable)) => (Readiness::DatabaseNotWritable, None),
        (_, Some(DatabaseProblem::WriterStuck)) => (Readiness::WriterStuck, None),
        (false, None) => match services.self_monitor.clock().problem {
            None => (Readiness::Ready, None),
            detail => (Readiness::ClockSkew, detail),
        },
    };
    readiness(status, detail)
}

/// The response with the readiness of the server.
pub(in crate::http) fn readiness(status: Readiness, detail: Option<String>) -> Response {
    let code = if status == Readiness::Ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Ready { status, detail })).into_response()
}

/// The health of the server. A late evaluation does not affect it, since another server may be responsible.
pub(in crate::http) async fn serve(State(services): State<Arc<Services>>) -> Response {
    let answers = services.store.health().problem.is_none();
    let [clock, evaluation] = [services.self_monitor.clock(), services.self_monitor.evaluation()];
    let is_well = answers && clock.problem.is_none();
    let checked = |check: SelfCheck| Checked { status: Part::of(check.problem.is_none()), detail: check.problem };
    // Only PostgreSQL is shared.
    let kind = if services.store.is_shared() { DatabaseKind::Postgres } else { DatabaseKind::Sqlite };
    let health = ServerHealth {
        status: Part::of(is_well),
        version: env!("CARGO_PKG_VERSION"),
        database: Database { kind, status: Part::of(answers) },
        clock: checked(clock),
        evaluation: checked(evaluation),
        connections: services.hub.registry.len() as u64,
        pipelines: services.store.count_pipelines() as u64,
    };
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(health)).into_response()
}
