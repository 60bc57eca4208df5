use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_graphql::{Context, Result, Subscription as GraphqlSubscription};
use futures_util::{Stream, StreamExt as _};

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::graphql::arguments::{parse_pipeline, parse_revision};
use crate::graphql::errors::error;
use crate::graphql::services::Services;
use crate::graphql::types::status::{PipelineStatus, PipelineSummary};

/// The revision of the status that a subscription received last.
#[derive(Debug, Clone, Default)]
pub(super) struct Published(Arc<AtomicI64>);

impl Published {
    fn set(&self, revision: Revision) {
        self.0.store(revision.get(), Ordering::Relaxed);
    }

    pub(super) fn revision(&self) -> Option<Revision> {
        let number = self.0.load(Ordering::Relaxed);
        (number > 0).then(|| Revision::from_stored(number))
    }
}

#[derive(Default)]
pub(super) struct StatusSubscription;

#[GraphqlSubscription]
impl StatusSubscription {
    /// The status of a pipeline: the current one, then one per change and at least one per interval. Ends when the
    /// pipeline is removed. A client that reconnects passes the revision it has seen as `sinceRevision` and receives
    /// nothing older, unless that revision cannot be found.
    async fn pipeline_status_updates(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The latest revision that the client has seen, in decimal digits.")] since_revision: Option<
            String,
        >,
    ) -> Result<impl Stream<Item = PipelineStatus> + use<>> {
        let key = parse_pipeline(ctx, &pipeline)?;
        let monitor = &ctx.data::<Services>()?.monitor;
        if let Some(seen) = since_revision {
            monitor.refresh_if_behind(&key, parse_revision(&seen)?).await;
        }
        let published = ctx.data_opt::<Published>().cloned().unwrap_or_default();
        let watch = monitor.watch(&key).await.map_err(error)?;
        Ok(watch.into_stream().map(move |snapshot| {
            published.set(snapshot.revision());
            PipelineStatus(snapshot)
        }))
    }

    /// All pipelines sorted by key, at most 1,000: the whole list after each change and at least once per interval.
    #[allow(clippy::unused_async, reason = "resolvers are asynchronous")]
    async fn pipelines_updates(&self, ctx: &Context<'_>) -> Result<impl Stream<Item = Vec<PipelineSummary>> + use<>> {
        let viewer = *ctx.data::<Viewer>()?;
        let watch = ctx.data::<Services>()?.monitor.watch_overview();
        Ok(watch.into_stream().map(move |overview| {
            let seen = overview.iter().filter(|snapshot| viewer.may_see(&snapshot.status().pipeline));
            seen.cloned().map(PipelineSummary).collect::<Vec<_>>()
        }))
    }
}
