use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::domain::viewer::Viewer;
use crate::http::error::Problem;
use crate::http::state::Services;

/// `GET /metrics`: all metrics in Prometheus' text format.
pub(in crate::http) async fn serve(State(services): State<Arc<Services>>, _: Viewer) -> Response {
    match &services.metrics {
        Some(metrics) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "NO_METRICS", "metrics are disabled").into_response(),
    }
}
