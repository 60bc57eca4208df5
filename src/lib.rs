//! Pipewatch: data pipelines report their runs and quality counts, and everyone who watches sees the one true status.
//!
//! Dependencies run one way: `domain` ← `api` ← `push`; `domain` ← `store`; then `ingest`, `status`, `notify`, `maintenance` and
//! `alerting`; then `graphql`; then `http`; then `app`.

/// What finds trouble that no report tells of.
pub mod alerting;
/// The JSON of the REST, Server-Sent Events and plain WebSocket routes.
pub mod api;
/// Puts the parts together.
pub mod app;
/// What time it is, and whether that can be trusted.
pub mod clock;
/// What can be set.
pub mod config;
/// The bundled sample, replayed for ever.
mod demo;
/// The field's own types and rules, pure.
pub mod domain;
/// What can go wrong.
pub mod error;
/// Open files: how many the system allows.
mod files;
/// The GraphQL schema and its resolvers.
pub mod graphql;
/// Routes and transports.
pub mod http;
/// The one way in for reports.
pub mod ingest;
/// What the server does by itself.
pub mod maintenance;
/// Who is told of alerts.
pub mod notify;
/// Connections and fan-out.
pub mod push;
/// Source runs from a file, told again.
pub mod replay;
/// What a server can say of itself.
pub mod self_monitor;
/// When to compute a pipeline's status, and the watched value.
pub mod status;
/// The only place that speaks SQL.
pub mod store;
