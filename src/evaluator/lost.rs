use std::collections::BTreeMap;

use crate::domain::pipeline::PipelineKey;
use crate::domain::run::RunningRun;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::evaluator::Evaluator;

impl Evaluator {
    /// Gives up runs that outlive what is usual by far.
    pub(super) async fn give_up_lost_runs(&self, now: Timestamp) -> Result<()> {
        let mut lost: BTreeMap<PipelineKey, Vec<RunningRun>> = BTreeMap::new();
        for (run, mut durations) in self.store.running_runs().await? {
            if run.is_lost(&mut durations, now) {
                lost.entry(run.pipeline.clone()).or_default().push(run);
            }
        }
        for (pipeline, runs) in lost {
            match self.store.give_up(&pipeline, &runs, now).await {
                // It was removed meanwhile.
                Err(Error::PipelineNotFound(_)) => {}
                given_up => given_up?,
            }
        }
        Ok(())
    }
}
