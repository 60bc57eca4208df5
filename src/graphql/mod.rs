//! The GraphQL schema, and how operations are executed on it.

/// Alerts and silences.
mod alerts;
/// The answer to an operation, of bounded size.
pub mod answer;
/// Arguments of fields.
mod arguments;
/// The audit log.
mod audit;
/// Pages of history as connections.
pub mod connection;
/// Corrections of a document for the executor.
mod document;
/// Errors of resolvers.
mod errors;
/// Executes operations.
mod executor;
/// Limits on documents and answers.
pub mod limits;
/// Memory and time of answers under construction.
mod meter;
/// Reports and removals.
mod mutation;
/// Requests, checked and parsed.
pub mod operation;
/// Running operations over connections.
pub mod operations;
/// Statuses and history.
mod query;
/// Pages of runs, read in parts.
mod run_pages;
/// The root types.
mod schema;
/// The services that resolvers use.
mod services;
/// Live statuses.
mod subscription;
/// The types of the schema.
mod types;

pub use crate::graphql::executor::{Batch, Graphql, Limits, Validator};
pub use crate::graphql::schema::sdl;
pub use crate::graphql::services::Services;
