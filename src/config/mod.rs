//! What can be set: defaults < `pipewatch.toml` < environment < flags. Everything is checked before anything binds.

/// The variables of the environment.
pub mod environment;
/// `pipewatch.toml`.
mod file;
/// Flags and environment.
mod flags;
/// `[notices]`.
mod notices;
/// What must not be shown.
mod secret;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::HeaderValue;
use chrono::TimeDelta;

use crate::config::file::File;
pub use crate::config::flags::{DatabaseFlags, Flags};
pub use crate::config::notices::NoticeSettings;
pub use crate::config::secret::Secret;
use crate::domain::anomaly::Budget;
use crate::domain::cardinality::Cardinality;
use crate::domain::check::{CheckName, Threshold};
use crate::domain::status::{RuleBook, Rules};
use crate::graphql;
use crate::http::client_address::TrustedProxies;
use crate::http::{CorsOrigins, Hosts, Limits, Tokens};
use crate::notify::Channels;
use crate::push::protocol::websocket::WebSocketLimits;
use crate::push::rate_limit::MessageRateLimit;
use crate::store::retention::Retention;

/// The database, when none is named: a file in the working directory.
pub const DEFAULT_DATABASE: &str = "sqlite://pipewatch.db";
/// Where the file of settings is looked for, when none is named; it need not be there.
const DEFAULT_FILE: &str = "pipewatch.toml";
/// The pipeline that `--demo` reports to.
pub const DEMO_PIPELINE: &str = "demo";
/// The shortest token, in characters.
const MIN_TOKEN: usize = 16;
/// 30 days of the file at one day in 2 seconds.
const DEMO_WINDOW: TimeDelta = TimeDelta::seconds(60);

/// All settings of a server, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The database, as `sqlite://…` or `postgres://…`.
    pub database_url: String,
    /// Whether to bring the schema up before serving.
    pub migrate: bool,
    /// How often a watched pipeline is computed without a change.
    pub interval: Duration,
    /// How often a server on a PostgreSQL looks for what others changed. No setting: they tell each other besides.
    pub revision_poll_interval: Duration,
    /// How often silence, anomalies and alerts are evaluated.
    pub evaluation_interval: Duration,
    /// How many false alerts the statistics may raise.
    pub anomaly_budget: Budget,
    /// Windows, staleness and thresholds.
    pub rules: RuleBook,
    /// What is kept for how long.
    pub retention: Retention,
    /// How long open requests and streams may take to end when the server stops.
    pub drain: Duration,
    /// Streams and sockets at a time, in all and from one address.
    pub max_connections: usize,
    /// See [`Config::max_connections`].
    pub max_connections_per_address: usize,
    /// Proxies whose `X-Forwarded-For` names the client.
    pub trusted_proxies: TrustedProxies,
    /// Different operations that may be watched at a time.
    pub max_groups: usize,
    /// How many pipelines, sources and checks there may be.
    pub cardinality: Cardinality,
    /// Who may do anything at all: everybody, where there are none.
    pub tokens: Tokens,
    /// What one client may do.
    pub limits: Limits,
    /// How much a GraphQL operation may ask for.
    pub graphql: graphql::Limits,
    /// How long a graphql-transport-ws client may take to initialise the connection.
    pub init_wait: Duration,
    /// A client that does not take what is written to it for so long is dropped.
    pub write_timeout: Duration,
    /// A WebSocket client that was not heard of for so long is pinged; one that misses two pings is dropped.
    pub ping_after: Duration,
    /// Which other origins' pages may read the answers.
    pub cors: CorsOrigins,
    /// The names of this server.
    pub hosts: Hosts,
    /// Who is told of alerts.
    pub notices: Channels,
    /// What is logged, in tracing's filter syntax.
    pub log: String,
    /// Whether the bundled sample is replayed into the pipeline `demo`.
    pub demo: bool,
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {message}")]
pub struct BadSetting {
    /// Its name where it was set.
    pub key: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl BadSetting {
    fn new(key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into() }
    }
}

impl Config {
    /// Puts flags, environment, file and defaults together; `port` is the variable `PORT`, which many hosts set.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    #[allow(clippy::too_many_lines, reason = "a line for each setting")]
    pub fn load(flags: Flags, port: Option<&str>) -> Result<Self, BadSetting> {
        let file = read_file(flags.database.config.as_deref())?;
        let interval = duration("interval", flags.interval.or(file.interval), Duration::from_secs(5))?;
        if interval < Duration::from_millis(100) || interval > Duration::from_hours(1) {
            return Err(BadSetting::new("interval", "expected from 100ms to 1h"));
        }
        let drain = duration("drain", flags.drain.or(file.drain), Duration::from_secs(10))?;
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
            let key = DEMO_PIPELINE.parse().map_err(|error| BadSetting::new("demo", format!("{error}")))?;
            let rules = Rules { window: DEMO_WINDOW, staleness: DEMO_WINDOW, ..rule_book.default.clone() };
            rule_book.pipelines.insert(key, rules);
        }
        for (key, own) in file.pipelines {
            let at = format!("pipelines.{key}");
            let key = key.parse().map_err(|error| BadSetting::new(at.as_str(), format!("{error}")))?;
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
            anomaly_budget: anomaly_budget(flags.anomaly_alerts_a_month.or(file.anomaly_alerts_a_month))?,
            evaluation_interval: evaluation_interval(flags.evaluation_interval.or(file.evaluation_interval))?,
            retention: retention(
                flags.retention.or(file.retention),
                flags.retention_hourly.or(file.retention_hourly),
                &rule_book,
            )?,
            rules: rule_book,
            drain,
            max_connections,
            max_connections_per_address: number(
                "max_connections_per_address",
                flags.max_connections_per_address.or(file.max_connections_per_address),
                1_000,
            )?,
            trusted_proxies: trusted_proxies(&flags.trusted_proxies.or(file.trusted_proxies).unwrap_or_default())?,
            max_groups: number("max_groups", flags.max_groups.or(file.max_groups), 10_000)?,
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
            init_wait: wait("init_wait", flags.init_wait.or(file.init_wait), Duration::from_secs(3))?,
            write_timeout: wait("write_timeout", flags.write_timeout.or(file.write_timeout), Duration::from_secs(10))?,
            ping_after: wait("ping_after", flags.ping_after.or(file.ping_after), Duration::from_secs(25))?,
            cors: cors(&flags.cors_origins.or(file.cors_origins).unwrap_or_default())?,
            hosts: hosts(flags.public_url.or(file.public_url), flags.allowed_hosts.or(file.allowed_hosts))?,
            notices: flags.notices.or(file.notices).check()?,
            log: flags.database.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned()),
            demo,
        })
    }
}

/// What is logged, when nothing is said.
pub const DEFAULT_LOG: &str = "warn,pipewatch=info";

/// The database's URL and what is logged, for the commands that need no more.
///
/// # Errors
/// The first setting that cannot be used.
pub fn database(flags: DatabaseFlags) -> Result<(String, String), BadSetting> {
    let file = read_file(flags.config.as_deref())?;
    let log = flags.log.or(file.log).unwrap_or_else(|| DEFAULT_LOG.to_owned());
    Ok((database_url(flags.database_url.or(file.database_url))?, log))
}

fn read_file(named: Option<&Path>) -> Result<File, BadSetting> {
    let path = named.map_or_else(|| PathBuf::from(DEFAULT_FILE), Path::to_owned);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            toml::from_str(&text).map_err(|error| BadSetting::new(path.display().to_string(), place_of(&error, &text)))
        }
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(error) => Err(BadSetting::new(path.display().to_string(), error.to_string())),
    }
}

/// What is wrong with the file and where. The line is not shown, for it may hold a secret.
fn place_of(error: &toml::de::Error, text: &str) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let number = before.matches('\n').count();
    let key = text.lines().nth(number).and_then(|line| line.split_once('=')).map_or("", |(key, _)| key.trim());
    format!("line {} {key}: {}", number + 1, error.message())
}

fn listen(set: Option<String>, port: Option<&str>, file: Option<String>) -> Result<SocketAddr, BadSetting> {
    let (key, text) = match (set, port, file) {
        (None, Some(port), _) => ("PORT", format!("0.0.0.0:{port}")),
        (Some(listen), _, _) | (None, None, Some(listen)) => ("listen", listen),
        (None, None, None) => return Ok(SocketAddr::from(([127, 0, 0, 1], 8000))),
    };
    text.parse().map_err(|_| BadSetting::new(key, format!("{text:?}; expected an address such as 127.0.0.1:8000")))
}

fn database_url(set: Option<String>) -> Result<String, BadSetting> {
    let url = set.unwrap_or_else(|| DEFAULT_DATABASE.to_owned());
    if ["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme)) {
        Ok(url)
    } else {
        // The value is not shown: it may hold a password.
        Err(BadSetting::new("database_url", "expected sqlite://FILE or postgres://USER:PASSWORD@HOST/NAME"))
    }
}

fn rules(
    at: &str,
    window: Option<String>,
    staleness: Option<String>,
    set: file::Thresholds,
    base: &Rules,
) -> Result<Rules, BadSetting> {
    let own_window = window.is_some();
    let window = delta(&format!("{at}window"), window, base.window)?;
    // A window of its own is also the time after which a source counts as stale, unless that is said.
    let staleness = delta(&format!("{at}staleness"), staleness, if own_window { window } else { base.staleness })?;
    let mut thresholds = base.thresholds.clone();
    // The default comes first: what others do not say, they take from it.
    if let Some(set) = set.get("default") {
        thresholds.others = threshold(&format!("{at}thresholds.default"), *set, base.thresholds.others)?;
    }
    for (name, set) in set.into_iter().filter(|(name, _)| name != "default") {
        let key = format!("{at}thresholds.{name}");
        let check: CheckName = name.parse().map_err(|error| BadSetting::new(key.as_str(), format!("{error}")))?;
        let threshold = threshold(&key, set, thresholds.of(&check))?;
        thresholds.own.insert(check, threshold);
    }
    Ok(Rules { window, staleness, thresholds })
}

/// What a status looks at must be there.
fn retention(raw: Option<String>, hourly: Option<String>, rules: &RuleBook) -> Result<Retention, BadSetting> {
    let default = Retention::default();
    let raw = delta("retention", raw, default.raw)?;
    let hourly = delta("retention_hourly", hourly, default.hourly)?;
    for (key, kept) in [("retention", raw), ("retention_hourly", hourly)] {
        if kept < TimeDelta::days(1) {
            return Err(BadSetting::new(key, "expected at least 1d"));
        }
    }
    let window = rules.pipelines.values().map(|rules| rules.window).fold(rules.default.window, TimeDelta::max);
    if raw < window {
        return Err(BadSetting::new("retention", "expected at least the longest window, of which nothing may be gone"));
    }
    Ok(Retention { raw, hourly })
}

fn threshold(key: &str, set: file::Threshold, base: Threshold) -> Result<Threshold, BadSetting> {
    Threshold::new(set.warning.unwrap_or(base.warning()), set.error.unwrap_or(base.error()))
        .ok_or_else(|| BadSetting::new(key, "expected percentages with 0 ≤ error ≤ warning ≤ 100"))
}

fn delta(key: &str, set: Option<String>, default: TimeDelta) -> Result<TimeDelta, BadSetting> {
    let Some(text) = set else { return Ok(default) };
    let span = humantime::parse_duration(&text).ok().filter(|span| !span.is_zero());
    let span = span.and_then(|span| TimeDelta::from_std(span).ok()).filter(|span| *span <= TimeDelta::days(3_660));
    span.ok_or_else(|| BadSetting::new(key, format!("{text:?}; expected a duration of at most ten years, such as 24h")))
}

fn duration(key: &str, set: Option<String>, default: Duration) -> Result<Duration, BadSetting> {
    set.map_or(Ok(default), |text| {
        humantime::parse_duration(&text)
            .map_err(|_| BadSetting::new(key, format!("{text:?}; expected a duration such as 5s or 100ms")))
    })
}

fn anomaly_budget(set: Option<f64>) -> Result<Budget, BadSetting> {
    set.map_or(Some(Budget::default()), Budget::new)
        .ok_or_else(|| BadSetting::new("anomaly_alerts_a_month", "expected a number that is not negative, such as 1"))
}

fn evaluation_interval(set: Option<String>) -> Result<Duration, BadSetting> {
    let every = duration("evaluation_interval", set, Duration::from_secs(30))?;
    if every < Duration::from_millis(100) || every > Duration::from_hours(1) {
        return Err(BadSetting::new("evaluation_interval", "expected from 100ms to 1h"));
    }
    Ok(every)
}

/// Tokens: what can stand in a header and between commas, and cannot be guessed. None of them is shown, not even a bad one.
fn tokens(set: &[Secret]) -> Result<Tokens, BadSetting> {
    let is_text = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if !set.iter().all(|token| is_text(&token.0)) {
        return Err(BadSetting::new("tokens", "expected letters, digits and punctuation, without spaces and commas"));
    }
    if set.iter().any(|token| token.0.len() < MIN_TOKEN) {
        let message = format!("expected at least {MIN_TOKEN} characters a token, such as from `openssl rand -hex 24`");
        return Err(BadSetting::new("tokens", message));
    }
    Ok(set.iter().map(|token| &token.0).collect())
}

/// A limit: at least one.
fn number(key: &str, set: Option<usize>, default: usize) -> Result<usize, BadSetting> {
    match set.unwrap_or(default) {
        0 => Err(BadSetting::new(key, "0; expected at least 1")),
        number => Ok(number),
    }
}

/// A time to wait: from a second to an hour, in whole seconds, which is how finely it is looked at.
fn wait(key: &str, set: Option<String>, default: Duration) -> Result<Duration, BadSetting> {
    let wait = duration(key, set, default)?;
    if wait < Duration::from_secs(1) || wait > Duration::from_hours(1) {
        return Err(BadSetting::new(key, "expected from 1s to 1h"));
    }
    Ok(wait)
}

/// Five seconds' worth may come at once, and all the subscriptions of a connection with their ends.
fn message_limit(per_second: usize, subscriptions: usize) -> MessageRateLimit {
    let burst = per_second.saturating_mul(5).max(subscriptions.saturating_mul(2));
    let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    MessageRateLimit { per_second: fit(per_second), burst: fit(burst) }
}

fn trusted_proxies(texts: &[String]) -> Result<TrustedProxies, BadSetting> {
    TrustedProxies::parse(texts).map_err(|text| {
        BadSetting::new("trusted_proxies", format!("{text:?}; expected addresses or networks such as 10.0.0.0/8"))
    })
}

fn hosts(public_url: Option<String>, allowed: Option<Vec<String>>) -> Result<Hosts, BadSetting> {
    let bad = |key: &str, text: &str, expected| BadSetting::new(key, format!("{text:?}; {expected}"));
    let public_url = public_url.filter(|url| !url.is_empty());
    let public_url = public_url.map(|url| url.parse().map_err(|expected| bad("public_url", &url, expected)));
    let allowed = allowed.into_iter().flatten();
    let allowed = allowed.map(|host| host.parse().map_err(|expected| bad("allowed_hosts", &host, expected)));
    Ok(Hosts { public_url: public_url.transpose()?, allowed: allowed.collect::<Result<_, _>>()? })
}

fn cors(origins: &[String]) -> Result<CorsOrigins, BadSetting> {
    match origins {
        [] => Ok(CorsOrigins::None),
        [any] if any == "*" => Ok(CorsOrigins::Any),
        _ => origins
            .iter()
            .map(|origin| {
                let is_origin =
                    origin.parse().is_ok_and(|uri: axum::http::Uri| uri.scheme().is_some() && !origin.ends_with('/'));
                HeaderValue::from_str(origin).ok().filter(|_| is_origin).ok_or_else(|| {
                    BadSetting::new(
                        "cors_origins",
                        format!("{origin:?}; expected origins such as https://example.org, or *"),
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(CorsOrigins::Only),
    }
}

#[cfg(test)]
mod tests;
