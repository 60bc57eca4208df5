//! The rules of pipelines: windows, thresholds, and how long rows are kept.

use chrono::TimeDelta;

use crate::config::error::ConfigError;
use crate::config::file;
use crate::config::values::delta;
use crate::domain::check::{CheckName, Threshold};
use crate::domain::status::{RuleBook, Rules};
use crate::store::retention::Retention;

pub(super) fn rules(
    at: &str,
    window: Option<String>,
    staleness: Option<String>,
    set: file::Thresholds,
    base: &Rules,
) -> Result<Rules, ConfigError> {
    let has_own_window = window.is_some();
    let window = delta(&format!("{at}window"), window, base.window)?;
    // A pipeline's own window is also the default of its staleness.
    let staleness = delta(&format!("{at}staleness"), staleness, if has_own_window { window } else { base.staleness })?;
    let mut thresholds = base.thresholds.clone();
    // First, since other checks inherit from it.
    if let Some(set) = set.get("default") {
        thresholds.default = threshold(&format!("{at}thresholds.default"), *set, base.thresholds.default)?;
    }
    for (name, set) in set.into_iter().filter(|(name, _)| name != "default") {
        let key = format!("{at}thresholds.{name}");
        let check: CheckName = name.parse().map_err(|error| ConfigError::new(key.as_str(), format!("{error}")))?;
        let threshold = threshold(&key, set, thresholds.of(&check))?;
        thresholds.by_check.insert(check, threshold);
    }
    Ok(Rules { window, staleness, startup_grace: base.startup_grace, thresholds })
}

/// Raw rows must be kept for at least the longest window.
pub(super) fn retention(
    raw: Option<String>,
    hourly: Option<String>,
    rules: &RuleBook,
) -> Result<Retention, ConfigError> {
    let default = Retention::default();
    let raw = delta("retention", raw, default.raw)?;
    let hourly = delta("retention_hourly", hourly, default.hourly)?;
    for (key, kept) in [("retention", raw), ("retention_hourly", hourly)] {
        if kept < TimeDelta::days(1) {
            return Err(ConfigError::new(key, "expected at least 1d"));
        }
    }
    let window = rules.pipelines.values().map(|rules| rules.window).fold(rules.default.window, TimeDelta::max);
    if raw < window {
        return Err(ConfigError::new("retention", "expected at least the longest window"));
    }
    Ok(Retention { raw, hourly })
}

fn threshold(key: &str, set: file::Threshold, base: Threshold) -> Result<Threshold, ConfigError> {
    Threshold::new(set.warning.unwrap_or(base.warning()), set.error.unwrap_or(base.error()))
        .ok_or_else(|| ConfigError::new(key, "expected percentages with 0 ≤ error ≤ warning ≤ 100"))
}
