use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::domain::viewer::Viewer;
use crate::http::error::Problem;
use crate::http::state::Services;

/// `GET /metrics`: the metrics of the server, then those of pipelines and sources, in Prometheus' text format.
pub(in crate::http) async fn serve(State(services): State<Arc<Services>>, _: Viewer) -> Response {
    match &services.metrics {
        Some(metrics) => {
            // Computing a status counts as well.
            let pipelines = services.monitor.prometheus().await;
            let mut text = metrics.render();
            text.push_str(&pipelines);
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
        }
        None => Problem::new(StatusCode::NOT_FOUND, "NO_METRICS", "metrics are disabled").into_response(),
    }
}
