use std::collections::BTreeMap;

use serde::Deserialize;

use crate::config::notifications::NotificationSettings;
use crate::config::secret::Secret;

/// `pipewatch.toml`. Unknown keys are errors.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) listen: Option<String>,
    pub(super) database_url: Option<String>,
    pub(super) no_migrate: Option<bool>,
    pub(super) interval: Option<String>,
    pub(super) evaluation_interval: Option<String>,
    pub(super) anomaly_false_alerts_per_month: Option<f64>,
    pub(super) window: Option<String>,
    pub(super) staleness: Option<String>,
    #[serde(default)]
    pub(super) thresholds: Thresholds,
    pub(super) retention: Option<String>,
    pub(super) retention_hourly: Option<String>,
    pub(super) shutdown_timeout: Option<String>,
    pub(super) max_connections: Option<usize>,
    pub(super) max_connections_per_address: Option<usize>,
    pub(super) trusted_proxies: Option<Vec<String>>,
    pub(super) max_distinct_subscriptions: Option<usize>,
    pub(super) max_subscriptions: Option<usize>,
    pub(super) max_pipelines: Option<usize>,
    pub(super) max_sources_per_pipeline: Option<usize>,
    pub(super) max_checks_per_pipeline: Option<usize>,
    pub(super) max_counts_per_pipeline: Option<usize>,
    pub(super) max_labels_per_source: Option<usize>,
    pub(super) max_silences: Option<usize>,
    pub(super) max_text_length: Option<usize>,
    pub(super) max_message_size: Option<usize>,
    pub(super) max_messages_per_second: Option<usize>,
    pub(super) max_depth: Option<usize>,
    pub(super) max_complexity: Option<usize>,
    pub(super) connection_init_timeout: Option<String>,
    pub(super) ping_after: Option<String>,
    pub(super) write_timeout: Option<String>,
    pub(super) tokens: Option<Vec<Secret>>,
    pub(super) cors_origins: Option<Vec<String>>,
    pub(super) public_url: Option<String>,
    pub(super) allowed_hosts: Option<Vec<String>>,
    pub(super) log: Option<String>,
    pub(super) demo: Option<bool>,
    #[serde(default)]
    pub(super) notifications: NotificationSettings,
    #[serde(default)]
    pub(super) openlineage: OpenLineage,
    #[serde(default)]
    pub(super) pipelines: BTreeMap<String, Pipeline>,
}

/// `[openlineage]`: the names of jobs.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OpenLineage {
    pub(super) pipeline: Option<String>,
    pub(super) source: Option<String>,
    #[serde(default)]
    pub(super) namespaces: BTreeMap<String, String>,
}

/// `[pipelines.<key>]`: overrides for one pipeline.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pipeline {
    pub(super) window: Option<String>,
    pub(super) staleness: Option<String>,
    #[serde(default)]
    pub(super) thresholds: Thresholds,
}

/// `[thresholds]`, by check; `default` applies to checks without their own.
pub(super) type Thresholds = BTreeMap<String, Threshold>;

/// In percent.
#[derive(Debug, Default, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Threshold {
    pub(super) warning: Option<f64>,
    pub(super) error: Option<f64>,
}

impl Threshold {
    /// Merges two layers; `self` takes precedence.
    pub(super) fn or(self, other: Self) -> Self {
        Self { warning: self.warning.or(other.warning), error: self.error.or(other.error) }
    }
}
