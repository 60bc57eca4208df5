use async_graphql::{Context, Result, Subscription as GraphqlSubscription};
use futures_util::{Stream, StreamExt as _};

use crate::domain::viewer::Viewer;
use crate::graphql::types::status::{PipelineStatus, PipelineSummary};
use crate::graphql::{Services, error, pipeline as visible};

/// What is watched.
#[derive(Default)]
pub(super) struct StatusSubscription;

/// What is watched. The newest comes at once, then each newer one; a slow client skips to the newest.
#[GraphqlSubscription]
impl StatusSubscription {
    /// The status of a pipeline: on every change and once an interval. It ends when the pipeline is removed.
    async fn pipeline_status_updates(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default")] pipeline: String,
    ) -> Result<impl Stream<Item = PipelineStatus> + use<>> {
        let key = visible(ctx, &pipeline)?;
        let watch = ctx.data::<Services>()?.monitor.watch(&key).await.map_err(error)?;
        Ok(watch.into_stream().map(PipelineStatus))
    }

    /// All pipelines, by their keys, at most 1,000: the whole list again whenever it differs and once an interval.
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
