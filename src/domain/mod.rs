//! Types and rules of the domain.
//!
//! Everything here is pure: no I/O, no clock, no database, no HTTP, no JSON. Functions that depend on the time take an
//! instant.

pub mod alert;
pub mod anomaly;
pub mod cardinality;
pub mod check;
pub mod clock_skew;
pub mod counts;
pub mod freshness;
pub mod health;
pub mod key;
pub mod labels;
pub mod lineage;
pub mod load;
pub mod metric;
pub mod name;
pub mod named_counts;
pub mod ping;
pub mod report;
pub mod revision;
pub mod rollup;
pub mod run;
pub mod run_id;
pub mod severity;
pub mod source;
pub mod status;
pub mod step;
pub mod time;
pub mod viewer;
