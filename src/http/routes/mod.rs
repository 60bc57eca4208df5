//! Routes, by path.

/// `GET /badge/{pipeline}.svg`: the overall status as a picture.
pub(super) mod badge;
/// `/graphql`: GraphQL over HTTP, event streams, multipart responses and WebSockets.
pub(super) mod graphql;
/// `GET /api/health`, `/live`, `/ready`.
pub(super) mod health;
/// `POST /api/v1/source-runs`, `POST /api/v1/data-quality-metrics`.
pub(super) mod ingest;
/// `POST /api/v1/lineage`: OpenLineage events.
pub(super) mod lineage;
/// `GET /metrics`: metrics for Prometheus.
pub(super) mod metrics;
/// `GET /api/openapi.json`: the description of the REST routes.
pub mod openapi;
/// `GET /`, `GET /graphiql` and `GET /api/docs`: the dashboard, GraphiQL and Swagger UI.
pub(super) mod pages;
/// `/api/v1/ping/{pipeline}/{source}`: runs by URL.
pub(super) mod ping;
/// `/api/v1/monitoring/pipeline-status`: a pipeline's status, polled and streamed.
pub(super) mod status;
