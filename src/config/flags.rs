//! The comments of the fields are the text of `--help`, and so have no markup.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::config::NoticeSettings;
use crate::config::secret::Secret;

/// What every command that opens the database takes.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseFlags {
    /// The file of settings: pipewatch.toml of the working directory, if it is there, unless another is named
    #[arg(long, env = "PIPEWATCH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The database: sqlite://FILE (created if it is not there) or postgres://USER:PASSWORD@HOST/NAME
    /// [default: sqlite://pipewatch.db]
    #[arg(long, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// What is logged to standard error, in tracing's filter syntax, such as info or warn,pipewatch=debug
    /// [default: warn,pipewatch=info]
    #[arg(long, env = "PIPEWATCH_LOG", value_name = "FILTER")]
    pub log: Option<String>,
}

/// What `pipewatch serve` takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Flags {
    /// What every command takes.
    #[command(flatten)]
    pub database: DatabaseFlags,
    /// Where to listen; the variable PORT alone means 0.0.0.0:PORT [default: 127.0.0.1:8000]
    #[arg(long, env = "PIPEWATCH_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Do not bring the database's schema up before serving
    #[arg(long, env = "PIPEWATCH_NO_MIGRATE")]
    pub no_migrate: bool,
    /// How often a watched pipeline is computed without a change, from 100ms to 1h [default: 5s]
    #[arg(long, env = "PIPEWATCH_INTERVAL", value_name = "DURATION")]
    pub interval: Option<String>,
    /// How often a server on a PostgreSQL looks for what others changed: a second, which only tests put off.
    #[arg(skip)]
    pub revision_poll_interval: Option<Duration>,
    /// How often silence, anomalies and alerts are evaluated, from 100ms to 1h [default: 30s]
    #[arg(long, env = "PIPEWATCH_EVALUATION_INTERVAL", value_name = "DURATION")]
    pub evaluation_interval: Option<String>,
    /// How many false alerts the statistics may raise a month, over all pipelines [default: 1]
    #[arg(long, env = "PIPEWATCH_ANOMALY_ALERTS_A_MONTH", value_name = "N")]
    pub anomaly_alerts_a_month: Option<f64>,
    /// How far back a status looks [default: 24h]
    #[arg(long, env = "PIPEWATCH_WINDOW", value_name = "DURATION")]
    pub window: Option<String>,
    /// After how long without a run a source is stale [default: the window]
    #[arg(long, env = "PIPEWATCH_STALENESS", value_name = "DURATION")]
    pub staleness: Option<String>,
    /// Below this rate geocoding is a warning [default: 80]
    #[arg(long, env = "PIPEWATCH_GEOCODING_WARNING", value_name = "PERCENT")]
    pub geocoding_warning: Option<f64>,
    /// Below this rate geocoding is an error [default: 60]
    #[arg(long, env = "PIPEWATCH_GEOCODING_ERROR", value_name = "PERCENT")]
    pub geocoding_error: Option<f64>,
    /// Below this rate validation is a warning [default: 85]
    #[arg(long, env = "PIPEWATCH_VALIDATION_WARNING", value_name = "PERCENT")]
    pub validation_warning: Option<f64>,
    /// Below this rate validation is an error [default: 70]
    #[arg(long, env = "PIPEWATCH_VALIDATION_ERROR", value_name = "PERCENT")]
    pub validation_error: Option<f64>,
    /// How long source runs and data quality metrics are kept, in whole days of UTC [default: 90d]
    #[arg(long, env = "PIPEWATCH_RETENTION", value_name = "DURATION")]
    pub retention: Option<String>,
    /// How long the sums of hours, anomalies and past alerts are kept; the sums of days stay [default: 730d]
    #[arg(long, env = "PIPEWATCH_RETENTION_HOURLY", value_name = "DURATION")]
    pub retention_hourly: Option<String>,
    /// How long open requests and streams may take to end when the server stops [default: 10s]
    #[arg(long, env = "PIPEWATCH_DRAIN", value_name = "DURATION")]
    pub drain: Option<String>,
    /// Streams and sockets that may be open at a time [default: 10000]
    #[arg(long, env = "PIPEWATCH_MAX_CONNECTIONS", value_name = "N")]
    pub max_connections: Option<usize>,
    /// Connections of one client address that may be open at a time; IPv6 addresses count by their /64 network, loopback
    /// addresses are not limited [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<usize>,
    /// Addresses and networks of reverse proxies, separated by commas: behind them the last other address in
    /// X-Forwarded-For is the client's [default: none]
    #[arg(long, env = "PIPEWATCH_TRUSTED_PROXIES", value_name = "NETWORKS", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<String>>,
    /// Different operations that may be watched at a time [default: 10000]
    #[arg(long, env = "PIPEWATCH_MAX_GROUPS", value_name = "N")]
    pub max_groups: Option<usize>,
    /// Operations that may run on one connection at a time [default: 100]
    #[arg(long, env = "PIPEWATCH_MAX_SUBSCRIPTIONS", value_name = "N")]
    pub max_subscriptions: Option<usize>,
    /// Pipelines that there may be; reports to a further one are refused [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_PIPELINES", value_name = "N")]
    pub max_pipelines: Option<usize>,
    /// Sources that a pipeline may have; reports of a further one are refused [default: 5000]
    #[arg(long, env = "PIPEWATCH_MAX_SOURCES_PER_PIPELINE", value_name = "N")]
    pub max_sources_per_pipeline: Option<usize>,
    /// Checks that a pipeline may have beside geocoding and validation; reports with a further one are refused. A check
    /// that is not reported for the retention frees its place [default: 200]
    #[arg(long, env = "PIPEWATCH_MAX_CHECKS_PER_PIPELINE", value_name = "N")]
    pub max_checks_per_pipeline: Option<usize>,
    /// Labels that a source may have [default: 32]
    #[arg(long, env = "PIPEWATCH_MAX_LABELS_PER_SOURCE", value_name = "N")]
    pub max_labels_per_source: Option<usize>,
    /// Alert silences that may be in force or planned at a time [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_SILENCES", value_name = "N")]
    pub max_silences: Option<usize>,
    /// Characters that a label, a note or the reason of a silence may have [default: 1000]
    #[arg(long, env = "PIPEWATCH_MAX_TEXT_LENGTH", value_name = "N")]
    pub max_text_length: Option<usize>,
    /// The largest WebSocket message that is taken [default: 65536]
    #[arg(long, env = "PIPEWATCH_MAX_MESSAGE_SIZE", value_name = "BYTES")]
    pub max_message_size: Option<usize>,
    /// Messages that a WebSocket may send per second; five seconds' worth may come at once [default: 100]
    #[arg(long, env = "PIPEWATCH_MAX_MESSAGES_PER_SECOND", value_name = "N")]
    pub max_messages_per_second: Option<usize>,
    /// How deep the fields of a GraphQL operation may be nested [default: 20]
    #[arg(long, env = "PIPEWATCH_MAX_DEPTH", value_name = "N")]
    pub max_depth: Option<usize>,
    /// Maximum cost of a GraphQL operation: each field counts 1, and what is below a list as often as `first` or `last` says,
    /// or 50 times [default: 50000]
    #[arg(long, env = "PIPEWATCH_MAX_COMPLEXITY", value_name = "N")]
    pub max_complexity: Option<usize>,
    /// How long a graphql-transport-ws client may take to initialise the connection [default: 3s]
    #[arg(long, env = "PIPEWATCH_INIT_WAIT", value_name = "DURATION")]
    pub init_wait: Option<String>,
    /// A WebSocket client that was not heard of for so long is pinged, and dropped when it misses two [default: 25s]
    #[arg(long, env = "PIPEWATCH_PING_AFTER", value_name = "DURATION")]
    pub ping_after: Option<String>,
    /// A client that takes nothing of what is written to it for so long is dropped [default: 10s]
    #[arg(long, env = "PIPEWATCH_WRITE_TIMEOUT", value_name = "DURATION")]
    pub write_timeout: Option<String>,
    /// Who may do anything at all. There is no flag for it: a command line can be read by everybody on the machine.
    /// Whoever makes these takes it from the variable PIPEWATCH_TOKENS.
    #[arg(skip)]
    pub tokens: Option<Vec<Secret>>,
    /// Other origins whose pages may read the answers, separated by commas, or * [default: none]
    #[arg(long, env = "PIPEWATCH_CORS_ORIGINS", value_name = "ORIGINS", value_delimiter = ',')]
    pub cors_origins: Option<Vec<String>>,
    /// The URL at which browsers reach this server, such as https://pipewatch.example.org [default: none]
    #[arg(long, env = "PIPEWATCH_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// Further host names of this server, HOST or HOST:PORT, separated by commas; requests for other names get 421. IP
    /// addresses and localhost are always allowed [default: none]
    #[arg(long, env = "PIPEWATCH_ALLOWED_HOSTS", value_name = "HOSTS", value_delimiter = ',')]
    pub allowed_hosts: Option<Vec<String>>,
    /// Replay the bundled real sample into the pipeline "demo", for ever, a day in 2 seconds
    #[arg(long, env = "PIPEWATCH_DEMO")]
    pub demo: bool,
    /// Who is told of alerts.
    #[command(flatten)]
    pub notices: NoticeSettings,
}
