//! The OpenAPI description of the REST API. Bodies are described by the types of `api` that parse or render them. Tests
//! validate real responses against all of them.

/// The errors of the routes.
mod errors;
/// OpenLineage events.
mod lineage;
/// The routes of reports, statuses and the server.
mod paths;
/// Pings.
mod pings;

use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use bytes::Bytes;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, OpenApi};
use utoipa::{Modify, OpenApi as _};

use crate::domain::viewer::Viewer;
use crate::http::state::Services;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Pipewatch",
        description = "Data pipelines report their runs and data quality counts; subscribers receive the live status. GraphQL \
                       with subscriptions is at `/graphql` and described by its own schema."
    ),
    paths(
        paths::poll,
        paths::stream,
        paths::websocket,
        paths::badge,
        paths::source_runs,
        paths::data_quality_metrics,
        pings::success_by_get,
        pings::success_by_post,
        pings::signal_by_get,
        pings::signal_by_post,
        lineage::one,
        lineage::batch,
        paths::health,
        paths::live,
        paths::ready,
        paths::metrics,
        paths::description
    ),
    tags(
        (name = "watch", description = "The status of a pipeline: polled, or streamed on every change"),
        (name = "report", description = "Reports of source runs and data quality counts, pings, and OpenLineage events"),
        (name = "server", description = "The health and the metrics of the server")
    ),
    security((), ("bearer" = []), ("query" = [])),
    modifiers(&Tokens)
)]
struct Description;

/// How a token is sent, where the server asks for one.
struct Tokens;

impl Modify for Tokens {
    fn modify(&self, description: &mut OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of the access tokens of the server"));
        let query = ApiKeyValue::with_description(
            "access_token",
            "An access token, for EventSource and WebSocket of browsers, which cannot set headers",
        );
        let components = ComponentsBuilder::from(description.components.take().unwrap_or_default())
            .security_scheme("bearer", SecurityScheme::Http(bearer.build()))
            .security_scheme("query", SecurityScheme::ApiKey(ApiKey::Query(query)));
        description.components = Some(components.build());
    }
}

/// The description as JSON, with a line at its end.
pub fn json() -> String {
    let json = Description::openapi().to_pretty_json().expect("plain structures always serialise");
    format!("{}\n", json.trim_end())
}

/// `GET /api/openapi.json`.
pub(in crate::http) async fn serve(State(_): State<Arc<Services>>, _: Viewer) -> Response<Body> {
    static JSON: LazyLock<Bytes> = LazyLock::new(|| json().into());
    let mut response = Response::new(Body::from(JSON.clone()));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
