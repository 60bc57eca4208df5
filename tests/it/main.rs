//! One integration binary: a real server on port 0, a database a test, the same behaviours on SQLite and PostgreSQL.

/// The server as its tests see it.
#[macro_use]
mod support;

/// Tokens: who may do anything at all.
mod access;
/// Alerts: how they are raised, and how they end.
mod alerts;
/// What the statistics find, and what becomes of it.
mod anomalies;
/// Badges.
mod badge;
/// Checks beyond the two.
mod checks;
/// The `hourly` rows of closed hours.
mod closing;
/// The command line.
mod command_line;
/// `kill -9` in the middle of a load.
mod crash;
/// GraphQL over HTTP: lists, history and mutations.
mod graphql;
/// Ten thousand different operations at once.
mod groups;
/// Attacks and failures, with honest clients beside them.
mod hardening;
/// `/api/health` and its parts.
mod health;
/// What alerts would have said of the real file while it happened.
mod history;
/// Reports: what is stored, what is refused, and what is answered.
mod ingest;
/// Licences of the dependencies.
mod licences;
/// Limits on connections, operations and patience.
mod limits;
/// A change reaches every watcher, with the same revision.
mod live;
/// `/metrics`, and what it shows of computing.
mod metrics;
/// The schema's steps, up and down, with data.
mod migrations;
/// Several servers on one database, which tell each other.
mod neighbours;
/// Who is told of alerts, by webhook, Slack and e-mail.
mod notices;
/// openapi.json is what the program prints, and true.
mod openapi;
/// What is wrong with the server itself, as an alert.
mod own_trouble;
/// The dashboard and GraphiQL, which are in the program.
mod pages;
/// The whole real file.
mod real_file;
/// What is removed for its age, and what stays.
mod retention;
/// Sums of hours and days.
mod rollups;
/// Runs that are reported at their start, and their steps.
mod runs;
/// schema.graphql is what the program prints.
mod schema;
/// Ending: streams, sockets and requests.
mod shutdown;
/// Many at once, for a while.
mod soak;
/// The status: windows, bases and types, through the database.
mod status;
/// A database that fails: streams stay, and say so.
mod trouble;
/// graphql-transport-ws, plain WebSocket, Server-Sent Events and polling.
mod watching;
