use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::http::Services;

/// Whether the process answers at all.
pub(super) async fn live() -> Response {
    Json(json!({"status": "live"})).into_response()
}

/// Whether this server should be sent work: it is not stopping, and its database answers.
pub(super) async fn ready(State(services): State<Arc<Services>>) -> Response {
    let (status, word) = if services.streams.stop.is_cancelled() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping")
    } else if services.store.answers().await {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "database unavailable")
    };
    (status, Json(json!({"status": word}))).into_response()
}

/// What there is to say of the server in one look.
pub(super) async fn serve(State(services): State<Arc<Services>>) -> Response {
    let answers = services.store.answers().await;
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
