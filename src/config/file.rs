use std::collections::BTreeMap;

use serde::Deserialize;

/// `pipewatch.toml`. Unknown keys are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) database_url: Option<String>,
    pub(super) no_migrate: Option<bool>,
    pub(super) interval: Option<String>,
    pub(super) window: Option<String>,
    pub(super) staleness: Option<String>,
    pub(super) thresholds: Option<Thresholds>,
    pub(super) retention: Option<String>,
    pub(super) retention_hourly: Option<String>,
    pub(super) drain: Option<String>,
    pub(super) max_connections: Option<usize>,
    pub(super) max_connections_per_address: Option<usize>,
    pub(super) max_groups: Option<usize>,
    pub(super) max_subscriptions: Option<usize>,
    pub(super) max_message_size: Option<usize>,
    pub(super) max_depth: Option<usize>,
    pub(super) max_complexity: Option<usize>,
    pub(super) init_wait: Option<String>,
    pub(super) ping_after: Option<String>,
    pub(super) write_timeout: Option<String>,
    pub(super) cors_origins: Option<Vec<String>>,
    pub(super) log: Option<String>,
    pub(super) demo: Option<bool>,
    #[serde(default)]
    pub(super) pipelines: BTreeMap<String, Pipeline>,
}

/// `[pipelines.<key>]`: what is different for one pipeline.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipeline {
    pub(super) window: Option<String>,
    pub(super) staleness: Option<String>,
    pub(super) thresholds: Option<Thresholds>,
}

/// `[thresholds]`: by check.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Thresholds {
    pub(super) geocoding: Option<Threshold>,
    pub(super) validation: Option<Threshold>,
}

/// The two rates of a check, in percent.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Threshold {
    pub(super) warning: Option<f64>,
    pub(super) error: Option<f64>,
}

impl Thresholds {
    /// These, and where they say nothing `others`.
    pub(super) fn or(self, others: Option<Self>) -> Self {
        let others = others.unwrap_or_default();
        let or = |one: Option<Threshold>, other: Option<Threshold>| {
            let (one, other) = (one.unwrap_or_default(), other.unwrap_or_default());
            Some(Threshold { warning: one.warning.or(other.warning), error: one.error.or(other.error) })
        };
        Self { geocoding: or(self.geocoding, others.geocoding), validation: or(self.validation, others.validation) }
    }
}
