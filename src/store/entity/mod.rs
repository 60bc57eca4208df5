//! The tables as SeaORM sees them. Private to the store: what leaves it are the domain's types.

#![allow(unreachable_pub, reason = "the derives write `pub`")]

pub(super) mod conflict_event;
pub(super) mod data_quality_metric;
pub(super) mod hour_to_close;
pub(super) mod pipeline;
pub(super) mod pruned_rows;
pub(super) mod quality_rollup;
pub(super) mod source;
pub(super) mod source_run;
