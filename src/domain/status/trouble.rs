use crate::domain::alert::{Alert, AlertState, AlertType};
use crate::domain::anomaly::Severity;
use crate::domain::health::Health;
use crate::domain::status::PipelineStatus;
use crate::domain::time::Timestamp;

/// The id of the alert: a status has one at most.
const ID: &str = "server";

impl PipelineStatus {
    /// The same status while the server cannot work out a newer one: of the same revision, at a later instant, and with an
    /// alert that says so, which stands since the trouble began.
    ///
    /// It is an error, whatever was known before: what is shown may be long over, and nobody would be told.
    #[must_use]
    pub fn in_trouble(mut self, now: Timestamp) -> Self {
        if !self.is_in_trouble() {
            let alert = Alert {
                id: ID.to_owned(),
                kind: AlertType::Server,
                severity: Severity::High,
                title: "The status cannot be worked out".to_owned(),
                message:
                    "The server cannot read its database, and shows what it knew last; it goes on trying. Whoever \
                          runs it finds the cause in its log."
                        .to_owned(),
                timestamp: now,
                state: AlertState::Firing,
                source: None,
            };
            self.alerts.insert(0, alert);
        }
        self.timestamp = now;
        self.overall_status = Health::worst([self.overall_status, Health::Error]);
        self
    }

    /// Whether it is older than it should be, because the server could not work out a newer one.
    pub fn is_in_trouble(&self) -> bool {
        self.alerts.iter().any(|alert| alert.kind == AlertType::Server)
    }
}
