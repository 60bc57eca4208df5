//! The field's own types and rules.
//!
//! Everything here is pure: no I/O, no clock, no database, no HTTP. What needs the time is given an instant.

/// Alerts: what somebody is told.
pub mod alert;
/// Anomalies: what the statistics find unusual.
pub mod anomaly;
/// How many pipelines, sources and checks there may be.
pub mod cardinality;
/// The named quality steps, and how their counts are judged.
pub mod check;
/// Whether a server's clock can be trusted.
pub mod clock_skew;
/// Attempts and successes, and what a rate over them can say.
pub mod counts;
/// Whether a source has been silent for too long.
pub mod freshness;
/// How well a part is: pending, healthy, warning or error.
pub mod health;
/// Whether the way to the database is overloaded.
pub mod load;
/// Data quality metrics: the counts of a moment.
pub mod metric;
/// The names of checks and steps.
pub mod name;
/// Pipelines and their keys.
pub mod pipeline;
/// What reporters send, parsed and checked item by item.
pub mod report;
/// The number that rises with every change of a pipeline's data.
pub mod revision;
/// Sums of hours and days.
pub mod rollup;
/// Source runs.
pub mod run;
/// Sources: the feeds of a pipeline.
pub mod source;
/// The status of a pipeline as a function of its facts and an instant.
pub mod status;
/// The steps of a run, and of a pipeline's last cycle.
pub mod step;
/// Instants, and how they are written.
pub mod time;
/// Who looks.
pub mod viewer;
