//! The JSON of the REST, Server-Sent Events and plain WebSocket routes. Its types are rendered, and described in
//! `openapi.json`.

pub mod alert;
pub mod health;
pub mod lineage;
pub mod metrics;
pub mod problem;
pub mod report;
pub mod status;
