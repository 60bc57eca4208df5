//! The tables as SeaORM sees them. Private to the store: what leaves it are the domain's types.

#![allow(unreachable_pub, reason = "the derives write `pub`")]

pub(super) mod alert;
pub(super) mod alert_event;
pub(super) mod alert_silence;
pub(super) mod anomaly;
pub(super) mod conflict_event;
pub(super) mod counter;
pub(super) mod data_quality_metric;
pub(super) mod hour_to_close;
pub(super) mod judgement;
pub(super) mod lease;
pub(super) mod metric_check;
pub(super) mod outage;
pub(super) mod outbox;
pub(super) mod pipeline;
pub(super) mod pruned_report_id;
pub(super) mod pruned_rows;
pub(super) mod quality_rollup;
pub(super) mod report_scope;
pub(super) mod rollup_rebuild;
pub(super) mod run_step;
pub(super) mod server_trouble;
pub(super) mod source;
pub(super) mod source_run;
pub(super) mod write_probe;
