//! The JSON of the health routes.

use serde::Serialize;
use utoipa::ToSchema;

/// The health of the server and its parts.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "status": "healthy", "version": "0.1.0", "database": {"kind": "sqlite", "status": "healthy"},
    "clock": {"status": "healthy"}, "evaluation": {"status": "healthy"}, "connections": 3, "pipelines": 1
}))]
pub(crate) struct ServerHealth {
    /// The worst health of the database and the clock.
    pub(crate) status: Part,
    /// The version of Pipewatch, such as `0.1.0`.
    pub(crate) version: &'static str,
    /// The database and its health.
    pub(crate) database: Database,
    /// Whether the clock of the server is right.
    pub(crate) clock: Checked,
    /// Whether alerts are evaluated in time, by this server or another on the same database.
    pub(crate) evaluation: Checked,
    /// The number of open streams and sockets.
    pub(crate) connections: u64,
    /// The number of pipelines in the database.
    pub(crate) pipelines: u64,
}

/// The health of a part that the server checks itself.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checked {
    /// Whether the part works as expected.
    pub(crate) status: Part,
    /// The problem and how to fix it; absent if healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// The database and its health.
#[derive(Serialize, ToSchema)]
pub(crate) struct Database {
    /// The kind of the database server.
    pub(crate) kind: DatabaseKind,
    /// Whether the database can be read and written to.
    pub(crate) status: Part,
}

/// The kind of the database server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DatabaseKind {
    Sqlite,
    Postgres,
}

/// The health of a part of the server.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    Healthy,
    Error,
}

impl Part {
    pub(crate) fn of(is_healthy: bool) -> Self {
        if is_healthy { Self::Healthy } else { Self::Error }
    }
}

/// The response of a process that is alive.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "live"}))]
pub(crate) struct Live {
    /// Always `live` in a response.
    #[schema(pattern = "^live$")]
    pub(crate) status: &'static str,
}

/// The readiness of the server for requests.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({"status": "ready"}))]
pub(crate) struct Ready {
    /// The readiness, or the reason against it.
    pub(crate) status: Readiness,
    /// The problem and how to fix it, if the clock is skewed; otherwise absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) detail: Option<String>,
}

/// The readiness of the server: `ready`, or the reason why it should not receive requests.
#[derive(PartialEq, Eq, Serialize, ToSchema)]
pub(crate) enum Readiness {
    #[serde(rename = "starting")]
    Starting,
    #[serde(rename = "migrating")]
    Migrating,
    #[serde(rename = "ready")]
    Ready,
    #[serde(rename = "clock skew")]
    ClockSkew,
    #[serde(rename = "stopping")]
    Stopping,
    #[serde(rename = "database unavailable")]
    DatabaseUnavailable,
    #[serde(rename = "database not writable")]
    DatabaseNotWritable,
    #[serde(rename = "writer stuck")]
    WriterStuck,
}
