//! `SeaORM` entities, one per table. They are private to the store, which returns domain types.

#![allow(unreachable_pub, reason = "the derives write `pub`")]

pub(super) mod alert;
pub(super) mod alert_event;
pub(super) mod alert_silence;
pub(super) mod anomaly;
pub(super) mod anomaly_watermark;
pub(super) mod conflict_event;
pub(super) mod counter;
pub(super) mod data_quality_metric;
pub(super) mod dirty_hour;
pub(super) mod lease;
pub(super) mod metric_check;
pub(super) mod outage;
pub(super) mod outbox;
pub(super) mod pipeline;
pub(super) mod pruned_report_id;
pub(super) mod quality_rollup;
pub(super) mod report_scope;
pub(super) mod retention_watermark;
pub(super) mod rollup_rebuild;
pub(super) mod run_step;
pub(super) mod server_problem;
pub(super) mod source;
pub(super) mod source_run;
pub(super) mod write_probe;
