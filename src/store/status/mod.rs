//! What the status of a pipeline is computed from.

pub(super) mod facts;
pub(super) mod steps;
