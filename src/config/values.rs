//! Settings with a value of their own kind: durations, limits, tokens, origins.

use std::time::Duration;

use axum::http::HeaderValue;
use chrono::TimeDelta;

use crate::config::error::ConfigError;
use crate::config::secret::Secret;
use crate::domain::anomaly::Budget;
use crate::http::client_address::TrustedProxies;
use crate::http::{CorsOrigins, Hosts, Tokens};
use crate::push::rate_limit::MessageRateLimit;

/// Characters of a token.
const MIN_TOKEN: usize = 16;

pub(super) fn delta(key: &str, set: Option<String>, default: TimeDelta) -> Result<TimeDelta, ConfigError> {
    let Some(text) = set else { return Ok(default) };
    let span = humantime::parse_duration(&text).ok().filter(|span| !span.is_zero());
    let span = span.and_then(|span| TimeDelta::from_std(span).ok()).filter(|span| *span <= TimeDelta::days(3_660));
    span.ok_or_else(|| {
        ConfigError::new(key, format!("{text:?}; expected a duration of at most ten years, such as 24h"))
    })
}

pub(super) fn duration(key: &str, set: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    set.map_or(Ok(default), |text| {
        humantime::parse_duration(&text)
            .map_err(|_| ConfigError::new(key, format!("{text:?}; expected a duration such as 5s or 100ms")))
    })
}

pub(super) fn evaluation_interval(set: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let every = duration("evaluation_interval", set, default)?;
    if every < Duration::from_millis(100) || every > Duration::from_hours(1) {
        return Err(ConfigError::new("evaluation_interval", "expected from 100ms to 1h"));
    }
    Ok(every)
}

/// A timeout from 1 s to 1 h, which is checked once per second.
pub(super) fn timeout(key: &str, set: Option<String>, default: Duration) -> Result<Duration, ConfigError> {
    let timeout = duration(key, set, default)?;
    if timeout < Duration::from_secs(1) || timeout > Duration::from_hours(1) {
        return Err(ConfigError::new(key, "expected from 1s to 1h"));
    }
    Ok(timeout)
}

/// A limit of at least 1.
pub(super) fn number(key: &str, set: Option<usize>, default: usize) -> Result<usize, ConfigError> {
    match set.unwrap_or(default) {
        0 => Err(ConfigError::new(key, "0; expected at least 1")),
        number => Ok(number),
    }
}

pub(super) fn anomaly_budget(set: Option<f64>) -> Result<Budget, ConfigError> {
    set.map_or(Some(Budget::default()), Budget::new)
        .ok_or_else(|| ConfigError::new("anomaly_false_alerts_per_month", "expected a number of at least 0"))
}

/// Tokens must be valid in a header and in a comma-separated list, and hard to guess. No error shows a token.
pub(super) fn tokens(set: &[Secret]) -> Result<Tokens, ConfigError> {
    let is_text = |token: &str| !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
    if !set.iter().all(|token| is_text(&token.0)) {
        return Err(ConfigError::new("tokens", "expected letters, digits and punctuation, without spaces and commas"));
    }
    if set.iter().any(|token| token.0.len() < MIN_TOKEN) {
        let message =
            format!("expected at least {MIN_TOKEN} characters per token; create one with `openssl rand -hex 24`");
        return Err(ConfigError::new("tokens", message));
    }
    Ok(set.iter().map(|token| &token.0).collect())
}

/// Allows bursts of five seconds' worth, and of all subscriptions of a connection with their completions.
pub(super) fn message_limit(per_second: usize, subscriptions: usize) -> MessageRateLimit {
    let burst = per_second.saturating_mul(5).max(subscriptions.saturating_mul(2));
    let fit = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    MessageRateLimit { per_second: fit(per_second), burst: fit(burst) }
}

pub(super) fn trusted_proxies(texts: &[String]) -> Result<TrustedProxies, ConfigError> {
    TrustedProxies::parse(texts).map_err(|text| {
        ConfigError::new("trusted_proxies", format!("{text:?}; expected addresses or networks such as 10.0.0.0/8"))
    })
}

pub(super) fn hosts(public_url: Option<String>, allowed: Option<Vec<String>>) -> Result<Hosts, ConfigError> {
    let bad = |key: &str, text: &str, expected| ConfigError::new(key, format!("{text:?}; {expected}"));
    let public_url = public_url.filter(|url| !url.is_empty());
    let public_url = public_url.map(|url| url.parse().map_err(|expected| bad("public_url", &url, expected)));
    let allowed = allowed.into_iter().flatten();
    let allowed = allowed.map(|host| host.parse().map_err(|expected| bad("allowed_hosts", &host, expected)));
    Ok(Hosts { public_url: public_url.transpose()?, allowed: allowed.collect::<Result<_, _>>()? })
}

pub(super) fn cors(origins: &[String]) -> Result<CorsOrigins, ConfigError> {
    match origins {
        [] => Ok(CorsOrigins::None),
        [any] if any == "*" => Ok(CorsOrigins::Any),
        _ => origins
            .iter()
            .map(|origin| {
                let is_origin =
                    origin.parse().is_ok_and(|uri: axum::http::Uri| uri.scheme().is_some() && !origin.ends_with('/'));
                HeaderValue::from_str(origin).ok().filter(|_| is_origin).ok_or_else(|| {
                    ConfigError::new(
                        "cors_origins",
                        format!("{origin:?}; expected origins such as https://example.org, or *"),
                    )
                })
            })
            .collect::<Result<_, _>>()
            .map(CorsOrigins::Only),
    }
}
