//! Pipewatch: data pipelines report their runs and quality counts, and subscribers receive each pipeline's status.
//!
//! Dependencies have one direction: `domain` ← `api` ← `push`; `domain` ← `store`; then `ingest`, `status`, `notify`,
//! `maintenance` and `alerting`; then `graphql`; then `http`; then `app`. ARCHITECTURE.md describes the modules.

pub mod alerting;
pub mod api;
pub mod app;
pub mod clock;
pub mod config;
mod demo;
pub mod domain;
pub mod error;
mod files;
pub mod graphql;
pub mod http;
pub mod ingest;
pub mod maintenance;
pub mod notify;
pub mod push;
pub mod replay;
pub mod self_monitor;
pub mod status;
pub mod store;
