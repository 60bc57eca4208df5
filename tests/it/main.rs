//! The integration tests, in one binary. Each test starts a real server on port 0 with a separate database. Tests that are
//! declared with `on_both_databases!` run on SQLite and on PostgreSQL.

#[macro_use]
mod support;

/// How often the alert rules would have fired on the bundled sample data, and what an outage of the server changes.
mod alert_backtest;
mod alerts;
mod anomalies;
/// Named counts, run ids as text, and what else a report of any pipeline may have.
mod any_pipeline;
/// Tokens and their scopes.
mod auth;
mod badge;
/// `pipewatch check`.
mod check_command;
/// Checks with names other than the two built-in ones.
mod checks;
/// Several servers on one PostgreSQL database.
mod cluster;
mod command_line;
/// `kill -9` under load.
mod crash;
/// A database that fails while clients are subscribed.
mod database_outage;
/// `pipewatch dbt`.
mod dbt_command;
/// The pipelines of `serve --demo`.
mod demo;
/// Ten thousand distinct subscriptions at the same time.
mod distinct_subscriptions;
/// Shell completions and man pages.
mod documents;
/// One change reaches every subscriber with the same revision.
mod fan_out;
/// GraphQL over HTTP: lists, history and mutations.
mod graphql;
/// Attacks and failures while honest clients are connected.
mod hardening;
mod health;
/// The `hourly` rows that are written once an hour is complete.
mod hourly_metrics;
mod ingest;
/// The layers of the modules of `src/`.
mod layers;
/// Licences of the dependencies.
mod licences;
/// Limits on connections, operations and time.
mod limits;
/// `OpenLineage` events.
mod lineage;
/// `HEAD` and `OPTIONS`.
mod methods;
mod metrics;
/// Database migrations, up and down, with data.
mod migrations;
/// Apollo's multipart subscriptions.
mod multipart;
/// Notifications by webhook, Slack and e-mail.
mod notifications;
/// `openapi.json` is current, and responses match it.
mod openapi;
/// The embedded dashboard and GraphiQL.
mod pages;
/// Pings of cron jobs and scripts.
mod pings;
/// `pipewatch record` and the spool.
mod record;
/// Every field of a report, by the command line.
mod report_fields;
/// What retention removes, and what it keeps.
mod retention;
/// Hourly and daily totals.
mod rollups;
/// `pipewatch run`.
mod run_command;
/// The complete bundled sample file.
mod sample_data;
/// `schema.graphql` is current.
mod schema;
/// Alerts about the server itself.
mod self_monitoring;
mod shutdown;
/// Many clients at the same time; `make soak` runs it for longer.
mod soak;
/// Runs that are reported when they start, and their steps.
mod source_runs;
/// The pipeline status: windows, bases and types, read from the database.
mod status;
/// graphql-transport-ws, the plain WebSocket, Server-Sent Events and polling.
mod transports;
/// `pipewatch watch` in a pseudo-terminal.
mod watch_command;
