use crate::domain::alert::{Alert, AlertState, AlertType};
use crate::domain::anomaly::Severity;
use crate::domain::health::Health;
use crate::domain::status::{LISTED, PipelineStatus};
use crate::domain::time::Timestamp;

/// The id of the alert: a status has one at most.
const ID: &str = "server";

impl PipelineStatus {
    /// The same status while the server cannot work out a newer one: of the same revision, at a later instant, and with an
    /// alert that says so, which stands since the trouble began.
    ///
    /// It is an error, whatever was known before: what is shown may be long over, and nobody would be told.
    #[must_use]
    pub fn not_readable(mut self, now: Timestamp) -> Self {
        self.timestamp = now;
        self.with_server_alert(
            "The status cannot be worked out",
            "The server cannot read its database, and shows what it knew last; it goes on trying. Whoever runs it finds \
             the cause in its log.",
            now,
        )
    }

    /// The same status while the server cannot store reports, since then: what is shown is true, and misses whatever was
    /// reported meanwhile.
    #[must_use]
    pub fn not_writable(self, since: Timestamp) -> Self {
        self.with_server_alert(
            "Reports cannot be stored",
            "The server cannot write to its database, and answers reports with 503 until it can; reporters send them \
             again. The log names the cause: see whether the disk has room and the database is writable.",
            since,
        )
    }

    /// Adds the alert of the server, unless it is there already.
    #[must_use]
    pub fn with_server_alert(mut self, title: &str, message: &str, since: Timestamp) -> Self {
        let is_there = |alert: &Alert| alert.kind == AlertType::Server && alert.title == title;
        if !self.alerts.listed.iter().any(is_there) {
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
            if self.alerts.listed.len() > LISTED {
                self.alerts.listed.pop();
                self.alerts.omitted += 1;
            }
        }
        self.overall_status = Health::worst([self.overall_status, Health::Error]);
        self
    }

    /// Whether the server itself is in trouble: the status may be older than it should be, or miss reports.
    pub fn has_server_alert(&self) -> bool {
        self.server_alert().is_some()
    }

    /// The alert of the server, if it is in trouble.
    pub fn server_alert(&self) -> Option<&Alert> {
        self.alerts.listed.iter().find(|alert| alert.kind == AlertType::Server)
    }
}
