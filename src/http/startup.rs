//! Responses while the server starts: probes are answered at once, all other requests when the routes exist.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::api::health::Readiness;
use crate::http::error::Problem;
use crate::http::guard::Routes;
use crate::http::routes::health;

/// How long a request waits for the routes. Most starts are shorter.
const WAIT: Duration = Duration::from_secs(3);

/// The start of a server, between accepting the first connection and the end of the migrations.
#[derive(Clone, Default)]
pub struct Startup(Arc<State>);

#[derive(Default)]
struct State {
    routes: OnceLock<Routes>,
    is_open: CancellationToken,
    is_migrating: AtomicBool,
}

impl Startup {
    /// Reports that the database is being migrated, which may take long.
    pub fn migrating(&self) {
        self.0.is_migrating.store(true, Ordering::Relaxed);
    }

    /// Opens the routes when the server has started.
    pub fn open(&self, routes: Routes) {
        // It is opened once.
        drop(self.0.routes.set(routes));
        self.0.is_open.cancel();
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let routes = match self.0.routes.get() {
            Some(routes) => routes,
            None => match self.before(request.uri().path()).await {
                Ok(routes) => routes,
                Err(answer) => return answer,
            },
        };
        routes.answer(request).await
    }

    /// The routes, or the response to a request before they exist.
    async fn before(&self, path: &str) -> Result<&Routes, Response> {
        match path {
            "/api/health/live" => return Err(health::live().await),
            "/api/health" | "/api/health/ready" => return Err(self.not_ready()),
            _ => {}
        }
        // It times out, or the routes are there.
        let _ = tokio::time::timeout(WAIT, self.0.is_open.cancelled()).await;
        self.0.routes.get().ok_or_else(|| {
            let (code, detail) = if self.is_migrating() {
                ("MIGRATING", "the server is migrating its database; try again later")
            } else {
                ("STARTING", "the server is starting; try again later")
            };
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).respond_at(path)
        })
    }

    fn not_ready(&self) -> Response {
        let status = if self.is_migrating() { Readiness::Migrating } else { Readiness::Starting };
        health::readiness(status, None)
    }

    fn is_migrating(&self) -> bool {
        self.0.is_migrating.load(Ordering::Relaxed)
    }
}
