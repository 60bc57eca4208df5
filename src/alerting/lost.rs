use std::collections::BTreeMap;

use crate::alerting::Evaluator;
use crate::domain::pipeline::PipelineKey;
use crate::domain::run::RunningRun;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::leases::Lease;

/// Runs that are given up in one transaction, for which reporters wait: the source of each is looked at.
const PART: usize = 50;

impl Evaluator {
    /// Gives up runs that outlive what is usual by far. Whether the lease still holds.
    pub(super) async fn give_up_lost_runs(&self, lease: &Lease, now: Timestamp) -> Result<bool> {
        let mut lost: BTreeMap<PipelineKey, Vec<RunningRun>> = BTreeMap::new();
        for (run, mut durations) in self.store.running_runs().await? {
            if run.is_lost(&mut durations, now) {
                lost.entry(run.pipeline.clone()).or_default().push(run);
            }
        }
        for (pipeline, runs) in lost {
            for part in runs.chunks(PART) {
                match self.store.mark_lost(lease, &pipeline, part, now).await {
                    // It was removed meanwhile.
                    Ok(true) | Err(Error::PipelineNotFound(_)) => {}
                    Ok(false) => return Ok(false),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }
}
