use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, any, get, post};

use crate::domain::report::ReportKind;
use crate::http::authority::Hosts;
use crate::http::cors::{CorsOrigins, cors_layer};
use crate::http::error::{method_not_allowed, not_found};
use crate::http::guard::{Guard, Routes};
use crate::http::routes;
use crate::http::state::Services;

/// All routes behind the guard.
pub fn router(services: Services, cors: &CorsOrigins, hosts: Hosts) -> Routes {
    let guard = Guard { hosts, cors: cors.clone(), tokens: services.tokens.clone() };
    let auth_failures = Arc::clone(&services.auth_failures);
    let ingest = |kind| post(move |state, viewer, request| routes::ingest::record(kind, state, viewer, request));
    let ping = |methods: MethodRouter<_>| methods.fallback(routes::ping::other_method);
    let router = Router::new()
        .route("/graphql", any(routes::graphql::serve))
        .route("/api/v1/source-runs", ingest(ReportKind::SourceRun))
        .route("/api/v1/data-quality-metrics", ingest(ReportKind::DataQuality))
        .route("/api/v1/lineage", post(routes::lineage::one))
        .route("/api/v1/lineage/batch", post(routes::lineage::batch))
        .route("/api/v1/ping/{pipeline}/{source}", ping(get(routes::ping::success).post(routes::ping::success)))
        .route("/api/v1/ping/{pipeline}/{source}/{signal}", ping(get(routes::ping::signal).post(routes::ping::signal)))
        .route("/api/v1/monitoring/pipeline-status", get(routes::status::poll::serve))
        .route("/api/v1/monitoring/pipeline-status/stream", get(routes::status::sse::serve))
        .route("/api/v1/ws/monitoring/pipeline-status", get(routes::status::websocket::serve))
        .route("/badge/{file}", get(routes::badge::serve))
        .route("/metrics", get(routes::metrics::serve))
        .route("/api/openapi.json", get(routes::openapi::serve))
        .route("/api/docs", get(routes::pages::docs))
        .route("/api/docs/", get(routes::pages::docs))
        .route("/api/docs/assets/{name}", get(routes::pages::docs_asset))
        .route("/api/health", get(routes::health::serve))
        .route("/api/health/live", get(routes::health::live))
        .route("/api/health/ready", get(routes::health::ready))
        .route("/", get(routes::pages::dashboard))
        .route("/assets/{name}", get(routes::pages::dashboard_asset))
        .route("/graphiql", get(routes::pages::graphiql))
        .route("/graphiql/", get(routes::pages::graphiql))
        .route("/graphiql/assets/{name}", get(routes::pages::graphiql_asset))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed);
    // Without allowed origins no CORS header is needed.
    let router = if *cors == CorsOrigins::None { router } else { router.layer(cors_layer(cors)) };
    // A pointer, because every request copies the state several times.
    Routes::new(router.with_state(Arc::new(services)), guard, auth_failures)
}
