//! The statuses that are shown, read from the server's JSON.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) enum Health {
    #[serde(alias = "error", alias = "ERROR")]
    Error,
    #[serde(alias = "warning", alias = "WARNING")]
    Warning,
    #[serde(alias = "healthy", alias = "HEALTHY")]
    Healthy,
    #[default]
    #[serde(alias = "pending", alias = "PENDING")]
    Pending,
}

impl Health {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Healthy => "healthy",
            Self::Pending => "pending",
        }
    }
}

/// A pipeline in the overview.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PipelineSummary {
    pub(super) key: String,
    pub(super) overall_status: Health,
    pub(super) revision: String,
    pub(super) sources_processed: u64,
    pub(super) total_sources: u64,
    pub(super) failed_sources: u64,
    pub(super) stale_sources: u64,
    pub(super) data_quality_status: Health,
    pub(super) open_alerts: u64,
}

/// The fields of [`PipelineSummary`] in GraphQL.
pub(super) const SUMMARY_FIELDS: &str = "key overallStatus revision sourcesProcessed totalSources failedSources staleSources \
     dataQualityStatus openAlerts";

/// The status of one pipeline, in the JSON of the plain routes.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct PipelineStatus {
    pub(super) pipeline: String,
    pub(super) revision: String,
    pub(super) timestamp: String,
    pub(super) overall_status: Health,
    pub(super) scraping_health: ScrapingHealth,
    pub(super) data_quality: DataQuality,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
    #[serde(default)]
    pub(super) alerts: Vec<Alert>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct ScrapingHealth {
    pub(super) sources_processed: u64,
    pub(super) total_sources: u64,
    pub(super) failed_sources: u64,
    pub(super) stale_sources: u64,
    #[serde(default)]
    pub(super) articles_collected: u64,
    #[serde(default)]
    pub(super) events_extracted: u64,
    /// By name. Absent from the status of older servers.
    #[serde(default)]
    pub(super) counts: std::collections::BTreeMap<String, u64>,
    pub(super) sources: Vec<Source>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Source {
    #[serde(rename = "source")]
    pub(super) key: String,
    pub(super) status: Health,
    #[serde(default)]
    pub(super) stale: bool,
    pub(super) success_rate: f64,
    #[serde(default)]
    pub(super) running: u64,
    #[serde(default)]
    pub(super) runs: u64,
    pub(super) last_run: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct DataQuality {
    pub(super) status: Health,
    #[serde(default)]
    pub(super) checks: Vec<Check>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) status: Health,
    pub(super) attempts: u64,
    pub(super) passes: u64,
    pub(super) rate: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) state: String,
    pub(super) sources: u64,
    pub(super) failed: u64,
    pub(super) duration_seconds: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Alert {
    pub(super) severity: String,
    pub(super) state: String,
    pub(super) title: String,
    pub(super) message: String,
    pub(super) timestamp: String,
    /// Absent from alerts of a pipeline's status.
    pub(super) pipeline: Option<String>,
    pub(super) source: Option<String>,
}

impl PipelineStatus {
    /// Whether it is newer: a higher revision or, at the same revision, a later timestamp.
    pub(super) fn is_newer_than(&self, other: &Self) -> bool {
        let version = |status: &Self| {
            let time = status.timestamp.trim_end_matches('Z');
            // Digits after the point are left out at the end, so that a text compares as a number.
            (status.revision.parse::<u128>().unwrap_or_default(), time.to_owned())
        };
        self.pipeline != other.pipeline || version(self) > version(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(revision: &str, timestamp: &str) -> PipelineStatus {
        serde_json::from_value(serde_json::json!({"pipeline": "a", "revision": revision, "timestamp": timestamp,
            "overall_status": "healthy", "scraping_health": {"sources_processed": 0, "total_sources": 0,
            "failed_sources": 0, "stale_sources": 0, "sources": []}, "data_quality": {"status": "pending"}}))
        .expect("a status")
    }

    #[test]
    fn newer_statuses_have_a_higher_revision_or_a_later_time() {
        let old = status("9", "2026-01-01T00:00:00.5Z");
        for (revision, timestamp, is_newer) in [
            ("10", "2025-01-01T00:00:00Z", true),
            ("9", "2026-01-01T00:00:00.51Z", true),
            ("9", "2026-01-01T00:00:00.5Z", false),
            ("9", "2026-01-01T00:00:00Z", false),
            ("8", "2027-01-01T00:00:00Z", false),
        ] {
            assert_eq!(status(revision, timestamp).is_newer_than(&old), is_newer, "{revision} {timestamp}");
        }
    }
}
