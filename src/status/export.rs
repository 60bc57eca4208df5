use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::api::metrics::{LastSuccesses, MAX_SERIES, render};
use crate::domain::key::PipelineKey;
use crate::error::{Error, Result};
use crate::status::overview::MAX_OVERVIEW_PIPELINES;
use crate::status::snapshot::Snapshot;
use crate::status::workers::Workers;

/// How long a snapshot of an unchanged pipeline is exported. Time alone changes little in it.
const MAX_AGE: Duration = Duration::from_mins(1);
/// Pipelines that are computed at a time, so that an export leaves connections for everything else.
const MAX_CONCURRENT_COMPUTATIONS: usize = 2;
/// How long a request for metrics waits for the database. It exports the pipelines that are computed until then.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long a request does not wait after the database did not answer.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// The statuses of all pipelines for Prometheus.
///
/// A pipeline is computed again only when it has changed, or once a minute, and one query reads the last successes of all
/// sources. Requests within an interval share the result.
#[derive(Debug)]
pub(super) struct Exporter {
    workers: Workers,
    exported: Mutex<Exported>,
}

#[derive(Debug, Default)]
struct Exported {
    text: Arc<str>,
    /// When the text is old; at once before the first request.
    due: Option<Instant>,
    snapshots: BTreeMap<PipelineKey, Arc<Snapshot>>,
    last_successes: LastSuccesses,
}

impl Exporter {
    pub(super) fn new(workers: Workers) -> Arc<Self> {
        Arc::new(Self { workers, exported: Mutex::default() })
    }

    /// The text; an older one if the database does not answer in time.
    pub(super) async fn text(&self) -> Arc<str> {
        let mut exported = self.exported.lock().await;
        if exported.due.is_none_or(|due| due <= Instant::now()) {
            let interval = self.workers.context.schedule.interval;
            let pause = match timeout(TIMEOUT, self.refresh(&mut exported)).await {
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot read the metrics of pipelines");
                    interval.max(PAUSE_AFTER_FAILURE)
                }
                // After the timeout, the next request continues.
                Ok(Ok(())) | Err(_) => interval,
            };
            exported.due = Some(Instant::now() + pause);
            let statuses = exported.snapshots.values().map(|snapshot| snapshot.status());
            exported.text = render(statuses, &exported.last_successes).into();
        }
        Arc::clone(&exported.text)
    }

    async fn refresh(&self, exported: &mut Exported) -> Result<()> {
        let store = &self.workers.context.store;
        let keys = store.known_pipelines(None, MAX_OVERVIEW_PIPELINES);
        exported.snapshots.retain(|key, _| keys.binary_search(key).is_ok());
        let is_current = |key: &PipelineKey, snapshot: &Arc<Snapshot>| {
            snapshot.computed_at().elapsed() < MAX_AGE
                && store.newest_revision(key).is_none_or(|newest| newest <= snapshot.revision())
        };
        let old: Vec<_> = keys
            .into_iter()
            .filter(|key| exported.snapshots.get(key).is_none_or(|snapshot| !is_current(key, snapshot)))
            .collect();
        let compute = async |key: PipelineKey| (self.workers.current(&key).await, key);
        let mut computed = std::pin::pin!(stream::iter(old).map(compute).buffered(MAX_CONCURRENT_COMPUTATIONS));
        while let Some((snapshot, key)) = computed.next().await {
            match snapshot {
                Ok(snapshot) => drop(exported.snapshots.insert(key, snapshot)),
                Err(Error::PipelineNotFound(_)) => drop(exported.snapshots.remove(&key)),
                Err(error) => return Err(error),
            }
        }
        exported.last_successes = store.last_successes(MAX_SERIES).await?;
        Ok(())
    }
}
