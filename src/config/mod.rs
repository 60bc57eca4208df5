//! The configuration: defaults < `pipewatch.toml` < environment < flags. It is validated before the server binds.

pub mod environment;
mod error;
mod file;
mod flags;
mod notifications;
mod rules;
mod secret;
mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chrono::TimeDelta;

pub use crate::config::error::ConfigError;
use crate::config::file::File;
pub use crate::config::flags::{DatabaseFlags, Flags};
pub use crate::config::notifications::NotificationSettings;
use crate::config::rules::{retention, rules};
pub use crate::config::secret::Secret;
use crate::config::values::{
    anomaly_budget, cors, duration, evaluation_interval, hosts, message_limit, number, timeout, tokens, trusted_proxies,
};
use crate::domain::anomaly::Budget;
use crate::domain::cardinality::Cardinality;
use crate::domain::check::CheckName;
use crate::domain::lineage::{Naming, Template};
use crate::domain::status::{RuleBook, Rules};
use crate::graphql;
use crate::http::client_address::TrustedProxies;
use crate::http::{CorsOrigins, Hosts, Limits, Tokens};
use crate::notify::Channels;
use crate::push::protocol::websocket::WebSocketLimits;
use crate::store::retention::Retention;

/// A file in the working directory.
pub const DEFAULT_DATABASE: &str = "sqlite://pipewatch.db";
/// The default configuration file, which may be missing.
const DEFAULT_FILE: &str = "pipewatch.toml";
/// The pipeline of `--demo` with real data.
pub const DEMO_PIPELINE: &str = "demo";
/// The pipeline of `--demo` with invented data.
pub const SCRIPTED_PIPELINE: &str = "demo-scripted";
/// 30 days of the sample data at 2 seconds per day.
const DEMO_WINDOW: TimeDelta = TimeDelta::seconds(60);
const EVALUATION_INTERVAL: Duration = Duration::from_secs(30);
/// The default with `--demo`, so that its first alert fires within a minute.
const DEMO_EVALUATION_INTERVAL: Duration = Duration::from_secs(5);

/// The validated settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// Whether to apply migrations at startup.
    pub migrate: bool,
    /// How often a watched pipeline's status is recomputed when nothing changed.
    pub interval: Duration,
    /// How often `PostgreSQL` is polled for changes by other servers, in addition to LISTEN. Not a setting.
    pub revision_poll_interval: Duration,
    /// How often alerts, anomalies and overdue sources are evaluated.
    pub evaluation_interval: Duration,
    pub anomaly_budget: Budget,
    pub rules: RuleBook,
    pub retention: Retention,
    /// The time limit of a graceful shutdown.
    pub shutdown_timeout: Duration,
    /// Open event streams and WebSocket connections.
    pub max_connections: usize,
    pub max_connections_per_address: usize,
    pub trusted_proxies: TrustedProxies,
    pub max_distinct_subscriptions: usize,
    pub cardinality: Cardinality,
    /// Without tokens the server is open to everyone.
    pub tokens: Tokens,
    /// Limits per client.
    pub limits: Limits,
    /// Limits of a GraphQL operation.
    pub graphql: graphql::Limits,
    /// The time limit for `connection_init`.
    pub connection_init_timeout: Duration,
    /// A client that accepts no data for this long is disconnected.
    pub write_timeout: Duration,
    /// A WebSocket client is pinged after this much silence, and disconnected after two missed pongs.
    pub ping_after: Duration,
    pub cors: CorsOrigins,
    pub hosts: Hosts,
    pub notifications: Channels,
    /// How OpenLineage's jobs are named.
    pub lineage: Naming,
    /// In tracing's filter syntax.
    pub log: String,
    /// Whether the pipelines `demo` and `demo-scripted` are fed.
    pub demo: bool,
}

impl Config {
    /// Merges flags, environment, file and defaults. `port` is the variable `PORT`, which many hosting platforms set.
    ///
    /// # Errors
    /// For the first invalid setting.
    #[allow(clippy::too_many_lines, reason = "a line for each setting")]
    pub fn load(flags: Flags, port: Option<&str>) -> Result<Self, ConfigError> {
        let file = read_file(flags.database.config.as_deref())?;
        let interval = duration("interval", flags.interval.or(file.interval), Duration::from_secs(5))?;
        if interval < Duration::from_millis(100) || interval > Duration::from_hours(1) {
            return Err(ConfigError::new("interval", "expected from 100ms to 1h"));
        }
        let shutdown_timeout =
            duration("shutdown_timeout", flags.shutdown_timeout.or(file.shutdown_timeout), Duration::from_secs(10))?;
        let mut thresholds = file.thresholds;
        for (check, warning, error) in [
            (CheckName::GEOCODING, flags.geocoding_warning, flags.geocoding_error),
            (CheckName::VALIDATION, flags.validation_warning, flags.validation_error),
        ] {
            let set = thresholds.entry(check.to_string()).or_default();
            *set = file::Threshold { warning, error }.or(*set);
        }
        let most = Cardinality::default();
        let max_connections = number("max_connections", flags.max_connections.or(file.max_connections), 10_000)?;
        let subscriptions = number("max_subscriptions", flags.max_subscriptions.or(file.max_subscriptions), 100)?;
        let window = flags.window.or(file.window);
        let staleness = flags.staleness.or(file.staleness);
        let default = rules("", window, staleness, thresholds, &Rules::default())?;
        let mut rule_book = RuleBook { default, ..RuleBook::default() };
        let demo = flags.demo || file.demo.unwrap_or(false);
        if demo {
            for key in [DEMO_PIPELINE, SCRIPTED_PIPELINE] {
                let key = key.parse().map_err(|error| ConfigError::new("demo", format!("{error}")))?;
                let rules = Rules {
                    window: DEMO_WINDOW,
                    staleness: DEMO_WINDOW,
                    startup_grace: TimeDelta::zero(),
                    ..rule_book.default.clone()
                };
                rule_book.pipelines.insert(key, rules);
            }
        }
        for (key, own) in file.pipelines {
            let at = format!("pipelines.{key}");
            let key = key.parse().map_err(|error| ConfigError::new(at.as_str(), format!("{error}")))?;
            let base = rule_book.of(&key).clone();
            let own = rules(&format!("{at}."), own.window, own.staleness, own.thresholds, &base)?;
            rule_book.pipelines.insert(key, own);
        }
        Ok(Self {
            listen: listen(flags.listen, port, file.listen)?,
            database_url: database_url(flags.database.database_url.or(file.database_url))?,
            migrate: !(flags.no_migrate || file.no_migrate.unwrap_or(false)),
            interval,
            revision_poll_interval: flags.revision_poll_interval.unwrap_or(Duration::from_secs(1)),
            anomaly_budget: anomaly_budget(
                flags.anomaly_false_alerts_per_month.or(file.anomaly_false_alerts_per_month),
            )?,
            evaluation_interval: evaluation_interval(
                flags.evaluation_interval.or(file.evaluation_interval),
                if demo { DEMO_EVALUATION_INTERVAL } else { EVALUATION_INTERVAL },
            )?,
            retention: retention(
                flags.retention.or(file.retention),
                flags.retention_hourly.or(file.retention_hourly),
                &rule_book,
            )?,
            rules: rule_book,
            shutdown_timeout,
            max_connections,
            max_connections_per_address: number(
                "max_connections_per_address",
                flags.max_connections_per_address.or(file.max_connections_per_address),
                1_000,
            )?,
            trusted_proxies: trusted_proxies(&flags.trusted_proxies.or(file.trusted_proxies).unwrap_or_default())?,
            max_distinct_subscriptions: number(
                "max_distinct_subscriptions",
                flags.max_distinct_subscriptions.or(file.max_distinct_subscriptions),
                10_000,
            )?,
            cardinality: Cardinality {
                pipelines: number("max_pipelines", flags.max_pipelines.or(file.max_pipelines), most.pipelines)?,
                sources: number(
                    "max_sources_per_pipeline",
                    flags.max_sources_per_pipeline.or(file.max_sources_per_pipeline),
                    most.sources,
                )?,
                checks: number(
                    "max_checks_per_pipeline",
                    flags.max_checks_per_pipeline.or(file.max_checks_per_pipeline),
                    most.checks,
                )?,
                counts: number(
                    "max_counts_per_pipeline",
                    flags.max_counts_per_pipeline.or(file.max_counts_per_pipeline),
                    most.counts,
                )?,
                labels: number(
                    "max_labels_per_source",
                    flags.max_labels_per_source.or(file.max_labels_per_source),
                    most.labels,
                )?,
                silences: number("max_silences", flags.max_silences.or(file.max_silences), most.silences)?,
                text: number("max_text_length", flags.max_text_length.or(file.max_text_length), most.text)?,
            },
            tokens: tokens(&flags.tokens.or(file.tokens).unwrap_or_default())?,
            limits: Limits {
                websocket: WebSocketLimits {
                    messages: message_limit(
                        number(
                            "max_messages_per_second",
                            flags.max_messages_per_second.or(file.max_messages_per_second),
                            100,
                        )?,
                        subscriptions,
                    ),
                    message_size: number(
                        "max_message_size",
                        flags.max_message_size.or(file.max_message_size),
                        64 * 1024,
                    )?,
                },
                subscriptions_per_connection: subscriptions,
            },
            graphql: graphql::Limits {
                depth: number("max_depth", flags.max_depth.or(file.max_depth), 20)?,
                complexity: number("max_complexity", flags.max_complexity.or(file.max_complexity), 50_000)?,
            },
            connection_init_timeout: timeout(
                "connection_init_timeout",
                flags.connection_init_timeout.or(file.connection_init_timeout),
                Duration::from_secs(3),
            )?,
            write_timeout: timeout(
                "write_timeout",
                flags.write_timeout.or(file.write_timeout),
                Duration::from_secs(10),
            )?,
            ping_after: timeout("ping_after", flags.ping_after.or(file.ping_after), Duration::from_secs(25))?,
            cors: cors(&flags.cors_origins.or(file.cors_origins).unwrap_or_default())?,
            hosts: hosts(flags.public_url.or(file.public_url), flags.allowed_hosts.or(file.allowed_hosts))?,
            notifications: flags.notifications.or(file.notifications).check()?,
            lineage: lineage(file.openlineage)?,
            log: flags.database.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            demo,
        })
    }
}

pub const DEFAULT_LOG: &str = "warn,pipewatch=info";

/// The database's URL and the log filter, for commands other than `serve`.
///
/// # Errors
/// For the first invalid setting.
pub fn database(flags: DatabaseFlags) -> Result<(String, String), ConfigError> {
    let file = read_file(flags.config.as_deref())?;
    let log = flags.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned());
    Ok((database_url(flags.database_url.or(file.database_url))?, log))
}

fn read_file(named: Option<&Path>) -> Result<File, ConfigError> {
    let path = named.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            toml::from_str(&text).map_err(|error| ConfigError::new(path.display().to_string(), place_of(&error, &text)))
        }
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(ConfigError::new(path.display().to_string(), error.to_string())),
    }
}

/// Describes a parse error with its line and key, but not the value, which may be a secret.
fn place_of(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let number = before.matches('\n').count();
    let key = text.lines().nth(number).and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
    format!("line {} {key}: {}", number + 1, error.message())
}

fn listen(set: Option<String>, port: Option<&str>, file: Option<String>) -> Result<SocketAddr, ConfigError> {
    let (key, text) = match (set, port, file) {
        (None, Some(port), _) => ("PORT", format!("0.0.0.0:{port}")),
        (Some(listen), _, _) | (None, None, Some(listen)) => ("listen", listen),
        (None, None, None) => return Ok(SocketAddr::from(([127, 0, 0, 1], 8000))),
    };
    text.parse().map_err(|_| ConfigError::new(key, format!("{text:?}; expected an address such as 127.0.0.1:8000")))
}

fn database_url(set: Option<String>) -> Result<String, ConfigError> {
    let url = set.unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    if ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        Ok(url)
    } else {
        // The value may contain a password.
        Err(ConfigError::new("database_url", "expected sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME"))
    }
}

fn lineage(set: file::OpenLineage) -> Result<Naming, ConfigError> {
    let default = Naming::default();
    let template = |key: &str, set: Option<String>, default| {
        let template = set.map(|text| text.parse::<Template>());
        let template = template.transpose().map_err(|error| ConfigError::new(key, error.to_string()))?;
        Ok(template.unwrap_or(default))
    };
    Ok(Naming {
        pipeline: template("openlineage.pipeline", set.pipeline, default.pipeline)?,
        source: template("openlineage.source", set.source, default.source)?,
        namespaces: set.namespaces,
    })
}

#[cfg(test)]
mod tests;
