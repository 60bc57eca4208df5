use crate::domain::alert::{Alert, AlertState, AlertType};
use crate::domain::health::Health;
use crate::domain::severity::Severity;
use crate::domain::status::{MAX_LISTED, PipelineStatus};
use crate::domain::time::Timestamp;

/// The id of the alert. A status has at most one.
const ID: &str = "server";

impl PipelineStatus {
    /// Marks a status as out of date while the server cannot compute a newer one: the same revision at a later instant, with an
    /// alert that fires since the first failure.
    ///
    /// The overall status is an error in any case, because the shown state may be long outdated.
    #[must_use]
    pub fn not_readable(mut self, now: Timestamp) -> Self {
        self.timestamp = now;
        self.with_server_alert(
            "The status cannot be computed",
            "The server cannot read its database and shows the last known status. Retrying; check the server log.",
            now,
        )
    }

    /// Adds an alert while the server cannot store reports: the status is correct except for reports since then.
    #[must_use]
    pub fn not_writable(self, since: Timestamp) -> Self {
        self.with_server_alert(
            "Reports cannot be stored",
            "The server cannot write to its database and rejects reports with 503; reporters must retry. Check the \
             server log, the free disk space, and whether the database is writable.",
            since,
        )
    }

    /// Adds an alert about the server, unless it has one with this title.
    #[must_use]
    pub fn with_server_alert(mut self, title: &str, message: &str, since: Timestamp) -> Self {
        let is_present = |alert: &Alert| alert.kind == AlertType::Server && alert.title == title;
        if !self.alerts.listed.iter().any(is_present) {
            self.alerts.listed.retain(|alert| alert.kind != AlertType::Server);
            let alert = Alert {
                id: ID.to_owned(),
                kind: AlertType::Server,
                severity: Severity::High,
                title: title.to_owned(),
                message: message.to_owned(),
                timestamp: since,
                state: AlertState::Firing,
                source: None,
            };
            self.alerts.listed.insert(0, alert);
            if self.alerts.listed.len() > MAX_LISTED {
                self.alerts.listed.pop();
                self.alerts.omitted += 1;
            }
        }
        self.overall_status = Health::worst([self.overall_status, Health::Error]);
        self
    }

    /// Whether the status may be out of date or miss reports.
    pub fn has_server_alert(&self) -> bool {
        self.server_alert().is_some()
    }

    /// The alert about the server, if there is one.
    pub fn server_alert(&self) -> Option<&Alert> {
        self.alerts.listed.iter().find(|alert| alert.kind == AlertType::Server)
    }
}
