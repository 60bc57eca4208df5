/// Alerts and their steps.
pub(super) mod alert;
/// Anomalies.
pub(super) mod anomaly;
/// Enumerations.
pub(super) mod enums;
/// Sources, runs and metrics.
pub(super) mod history;
/// Sums of hours and days.
pub(super) mod quality_history;
/// Reports, and the results of reporting.
pub(super) mod report;
/// Scalars of our own.
pub(super) mod scalar;
/// The status and its parts.
pub(super) mod status;
