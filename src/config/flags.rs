//! Doc comments of the fields are the text of `--help`, so they contain no markup.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::notifications::NotificationSettings;
use crate::config::secret::Secret;

/// Flags of every command that opens the database.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseFlags {
    /// Configuration file [default: pipewatch.toml in the working directory, if it exists]
    #[arg(long, global = true, env = "PIPEWATCH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Database: sqlite://FILE (created if missing) or postgres://USER:PASSWORD@HOST/NAME
    /// [default: sqlite://pipewatch.db]
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Log filter in the syntax of tracing, such as info or warn,pipewatch=debug; logs go to standard error
    /// [default: warn,pipewatch=info]
    #[arg(long, global = true, env = "PIPEWATCH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// Flags of `pipewatch serve`.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Address to listen on; the variable PORT alone means 0.0.0.0:PORT [default: 127.0.0.1:8000]
    #[arg(long, env = "PIPEWATCH_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Do not apply database migrations at startup
    #[arg(long, env = "PIPEWATCH_NO_MIGRATE")]
    pub no_migrate: bool,
    /// How often to recompute a watched pipeline's status when nothing changed, from 100ms to 1h [default: 5s]
    #[arg(long, env = "PIPEWATCH_INTERVAL", value_name = "DURATION")]
    pub interval: Option<String>,
    /// How often to poll PostgreSQL for changes by other servers; only tests change it.
    #[arg(skip)]
    pub revision_poll_interval: Option<Duration>,
    /// How often to evaluate alerts, anomalies and overdue sources, from 100ms to 1h [default: 30s]
    #[arg(long, env = "PIPEWATCH_EVALUATION_INTERVAL", value_name = "DURATION")]
    pub evaluation_interval: Option<String>,
    /// Accepted number of false anomaly alerts per month, over all pipelines; 0 disables anomaly alerts [default: 1]
    #[arg(long, env = "PIPEWATCH_ANOMALY_FALSE_ALERTS_PER_MONTH", value_name = "N")]
    pub anomaly_false_alerts_per_month: Option<f64>,
    /// Time window of a status [default: 24h]
    #[arg(long, env = "PIPEWATCH_WINDOW", value_name = "DURATION")]
    pub window: Option<String>,
    /// Time without a run after which a source is stale [default: the window]
    #[arg(long, env = "PIPEWATCH_STALENESS", value_name = "DURATION")]
    pub staleness: Option<String>,
    /// Geocoding rate below which the status is a warning [default: 80]
    #[arg(long, env = "PIPEWATCH_GEOCODING_WARNING", value_name = "PERCENT")]
    pub geocoding_warning: Option<f64>,
    /// Geocoding rate below which the status is an error [default: 60]
    #[arg(long, env = "PIPEWATCH_GEOCODING_ERROR", value_name = "PERCENT")]
    pub geocoding_error: Option<f64>,
    /// Validation rate below which the status is a warning [default: 85]
    #[arg(long, env = "PIPEWATCH_VALIDATION_WARNING", value_name = "PERCENT")]
    pub validation_warning: Option<f64>,
    /// Validation rate below which the status is an error [default: 70]
    #[arg(long, env = "PIPEWATCH_VALIDATION_ERROR", value_name = "PERCENT")]
    pub validation_error: Option<f64>,
    /// Retention of source runs and data quality metrics, in whole days (UTC) [default: 90d]
    #[arg(long, env = "PIPEWATCH_RETENTION", value_name = "DURATION")]
    pub retention: Option<String>,
    /// Retention of hourly rollups, anomalies and resolved alerts; daily rollups are kept [default: 730d]
    #[arg(long, env = "PIPEWATCH_RETENTION_HOURLY", value_name = "DURATION")]
    pub retention_hourly: Option<String>,
    /// Time limit of a graceful shutdown, after which open connections are closed [default: 10s]
    #[arg(long, env = "PIPEWATCH_SHUTDOWN_TIMEOUT", value_name = "DURATION")]
    pub shutdown_timeout: Option<String>,
    /// Maximum open event streams and WebSockets [default: 10000]
    #[arg(long, env = "PIPEWATCH_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,
    /// Maximum open connections per client address; an IPv6 client counts by its /64 network, loopback is unlimited
    /// [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<usize>,
    /// Comma-separated addresses and networks of reverse proxies; for their connections the client's address is the last
    /// untrusted one in X-Forwarded-For [default: none]
    #[arg(long, env = "PIPEWATCH_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<String>>,
    /// Maximum distinct GraphQL subscriptions (document and variables) on the server [default: 10000]
    #[arg(long, env = "PIPEWATCH_MAX_DISTINCT_SUBSCRIPTIONS", value_name = "N")]
    pub max_distinct_subscriptions: Option<usize>,
    /// Maximum concurrent operations per connection [default: 100]
    #[arg(long, env = "PIPEWATCH_MAX_SUBSCRIPTIONS", value_name = "N")]
    pub max_subscriptions: Option<usize>,
    /// Maximum pipelines; reports for further ones are rejected [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_PIPELINES", value_name = "N")]
    pub max_pipelines: Option<usize>,
    /// Maximum sources per pipeline; reports of further ones are rejected [default: 5000]
    #[arg(long, env = "PIPEWATCH_MAX_SOURCES_PER_PIPELINE", value_name = "N")]
    pub max_sources_per_pipeline: Option<usize>,
    /// Maximum checks per pipeline, in addition to geocoding and validation; reports with further ones are rejected. A check
    /// without reports during the retention is no longer counted [default: 200]
    #[arg(long, env = "PIPEWATCH_MAX_CHECKS_PER_PIPELINE", value_name = "N")]
    pub max_checks_per_pipeline: Option<usize>,
    /// Maximum named counts per pipeline, in addition to articles and events; reports with further ones are rejected. A count
    /// without reports during the retention is no longer counted [default: 200]
    #[arg(long, env = "PIPEWATCH_MAX_COUNTS_PER_PIPELINE", value_name = "N")]
    pub max_counts_per_pipeline: Option<usize>,
    /// Maximum labels per source [default: 32]
    #[arg(long, env = "PIPEWATCH_MAX_LABELS_PER_SOURCE", value_name = "N")]
    pub max_labels_per_source: Option<usize>,
    /// Maximum active and planned alert silences [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_SILENCES", value_name = "N")]
    pub max_silences: Option<usize>,
    /// Maximum characters of a label, a note, or the reason of a silence [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_TEXT_LENGTH", value_name = "N")]
    pub max_text_length: Option<usize>,
    /// Maximum size of a WebSocket message [default: 65536]
    #[arg(long, env = "PIPEWATCH_MAX_MESSAGE_SIZE", value_name = "BYTES")]
    pub max_message_size: Option<usize>,
    /// Maximum messages per second from a WebSocket client, with bursts of five seconds' worth [default: 100]
    #[arg(long, env = "PIPEWATCH_MAX_MESSAGES_PER_SECOND", value_name = "N")]
    pub max_messages_per_second: Option<usize>,
    /// Maximum nesting depth of a GraphQL operation [default: 20]
    #[arg(long, env = "PIPEWATCH_MAX_DEPTH", value_name = "N")]
    pub max_depth: Option<usize>,
    /// Maximum cost of a GraphQL operation: each field counts 1, and fields of a list count once per item requested with
    /// first or last, or 50 times [default: 50000]
    #[arg(long, env = "PIPEWATCH_MAX_COMPLEXITY", value_name = "N")]
    pub max_complexity: Option<usize>,
    /// Time limit for a graphql-transport-ws client to send connection_init [default: 3s]
    #[arg(long, env = "PIPEWATCH_CONNECTION_INIT_TIMEOUT", value_name = "DURATION")]
    pub connection_init_timeout: Option<String>,
    /// Ping a WebSocket client after this much silence; disconnect after two missed pongs [default: 25s]
    #[arg(long, env = "PIPEWATCH_PING_AFTER", value_name = "DURATION")]
    pub ping_after: Option<String>,
    /// Disconnect a client that accepts no data for this long [default: 10s]
    #[arg(long, env = "PIPEWATCH_WRITE_TIMEOUT", value_name = "DURATION")]
    pub write_timeout: Option<String>,
    /// Access tokens. Deliberately not a flag, since command lines are visible to other users; set PIPEWATCH_TOKENS.
    #[arg(skip)]
    pub tokens: Option<Vec<Secret>>,
    /// Comma-separated origins whose pages may read responses, or * [default: none]
    #[arg(long, env = "PIPEWATCH_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Option<Vec<String>>,
    /// URL at which browsers reach this server, such as https://pipewatch.example.org [default: none]
    #[arg(long, env = "PIPEWATCH_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Comma-separated further host names of this server, HOST or HOST:PORT; requests for unknown names get 421. IP addresses
    /// and localhost are always allowed [default: none]
    #[arg(long, env = "PIPEWATCH_ALLOWED_HOSTS", value_name = "HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Option<Vec<String>>,
    /// Continuously replay the bundled sample data into the pipeline "demo" (one day every 2 s), and scripted failures,
    /// retries and alerts into "demo-scripted"; alerts are then evaluated every 5 s
    #[arg(long, env = "PIPEWATCH_DEMO")]
    pub demo: bool,
    #[command(flatten)]
    pub notifications: NotificationSettings,
}
