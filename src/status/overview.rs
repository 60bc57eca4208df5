use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use crate::domain::pipeline::PipelineKey;
use crate::status::channel::{Channel, Watch};
use crate::status::monitor::{AT_A_TIME, Monitor, OVERVIEW, Overview};
use crate::status::snapshot::Snapshot;

/// Watches every pipeline while somebody watches them all, and publishes the list.
pub(super) async fn run(monitor: Monitor, channel: Arc<Channel<Overview>>) {
    let shared = &monitor.shared;
    let mut published = shared.published.subscribe();
    let mut changes = shared.store.any_change();
    let mut watches: BTreeMap<PipelineKey, Watch<Snapshot>> = BTreeMap::new();
    let mut last: Option<Instant> = None;
    loop {
        changes.mark_unchanged();
        published.mark_unchanged();
        watch_all(&monitor, &mut watches).await;
        let overview: Overview = watches.values().filter_map(Watch::newest).collect();
        let is_old = last.is_none_or(|last| last.elapsed() >= shared.schedule.interval);
        if is_old || channel.newest().is_none_or(|newest| differs(&newest, &overview)) {
            channel.publish(Arc::new(overview));
            last = Some(Instant::now());
        }

        let distance = sleep_until(Instant::now() + shared.schedule.debounce);
        let ended = tokio::select! {
            () = shared.stop.cancelled() => true,
            () = channel.unwatched() => close(&monitor, &channel),
            () = async {
                distance.await;
                tokio::select! {
                    _ = published.changed() => {}
                    _ = changes.changed() => {}
                }
            } => false,
        };
        if ended {
            return;
        }
    }
}

/// Watches the pipelines that came, and no longer those that went.
async fn watch_all(monitor: &Monitor, watches: &mut BTreeMap<PipelineKey, Watch<Snapshot>>) {
    let known = monitor.shared.store.known_pipelines(None, OVERVIEW);
    watches.retain(|key, watch| known.binary_search(key).is_ok() && !watch.has_ended());
    let new: Vec<PipelineKey> = known.into_iter().filter(|key| !watches.contains_key(key)).collect();
    let watching = stream::iter(new).map(async |key| (monitor.watch(&key).await, key)).buffered(AT_A_TIME);
    for (watch, key) in watching.collect::<Vec<_>>().await {
        match watch {
            Ok(watch) => drop(watches.insert(key, watch)),
            // It is tried again at the next change.
            Err(error) => tracing::debug!(pipeline = %key, %error, "not in the overview"),
        }
    }
}

/// Whether a watcher would see a difference.
fn differs(one: &Overview, two: &Overview) -> bool {
    let shown = |snapshot: &Arc<Snapshot>| {
        let status = snapshot.status();
        (status.pipeline.clone(), status.revision, status.overall_status, counts(snapshot))
    };
    !one.iter().map(shown).eq(two.iter().map(shown))
}

fn counts(snapshot: &Snapshot) -> [u64; 6] {
    let health = &snapshot.status().scraping_health;
    [
        health.sources_processed,
        health.total_sources,
        health.failed_sources,
        health.stale_sources,
        health.articles_collected,
        health.events_extracted,
    ]
}

/// Takes the channel away, unless somebody has come in the meantime.
fn close(monitor: &Monitor, channel: &Channel<Overview>) -> bool {
    let mut slot = monitor.shared.overview.lock();
    let unwatched = !channel.is_watched();
    if unwatched {
        *slot = None;
    }
    unwatched
}
