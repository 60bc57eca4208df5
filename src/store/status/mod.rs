//! What the status of a pipeline is computed from.

pub(super) mod facts;
mod last_successes;
pub(super) mod steps;
