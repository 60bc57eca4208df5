use std::collections::BTreeMap;

use crate::alerting::Evaluator;
use crate::domain::key::PipelineKey;
use crate::domain::run::RunningRun;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::leases::Lease;

/// Runs per transaction, since reports wait for it.
const MAX_RUNS: usize = 50;

impl Evaluator {
    /// Marks runs as lost that have run far longer than usual. Returns whether the lease is still held.
    pub(super) async fn mark_lost_runs(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        let mut lost: BTreeMap<PipelineKey, Vec<RunningRun>> = BTreeMap::new();
        for (run, mut durations) in self.store.running_runs().await? {
            if run.is_lost(&mut durations, now) {
                lost.entry(run.pipeline.clone()).or_default().push(run);
            }
        }
        for (pipeline, runs) in lost {
            for runs in runs.chunks(MAX_RUNS) {
                match self.store.mark_lost(lease, &pipeline, runs, now).await {
                    // The pipeline was removed meanwhile.
                    Ok(true) | Err(Error::PipelineNotFound(_)) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }
}
