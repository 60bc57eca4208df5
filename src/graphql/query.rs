use async_graphql::{Context, Object, Result};

use crate::domain::key::PipelineKey;
use crate::domain::key::SourceKey;
use crate::domain::rollup::{Range, Series};
use crate::domain::run::{Outcome, RunState};
use crate::domain::viewer::Viewer;
use crate::graphql::arguments::{parse_pipeline, parse_revision, parse_source, require_pipeline};
use crate::graphql::connection::{Connection, after, at_most, connection, first};
use crate::graphql::errors::{bad_input, error};
use crate::graphql::run_pages;
use crate::graphql::services::Services;
use crate::graphql::types::anomaly::Anomaly;
use crate::graphql::types::enums::{HistoryBucket, MetricType, RunOutcome};
use crate::graphql::types::history::{DataQualityMetric, Source, SourceRun};
use crate::graphql::types::quality_history::QualityHistory;
use crate::graphql::types::scalar::{Count, DateTime};
use crate::graphql::types::status::{PipelineStatus, PipelineSummary};
use crate::status::overview::MAX_OVERVIEW_PIPELINES;
use crate::status::snapshot::SourceListing;
use crate::store::history::{PageRequest, Position};

#[derive(Default)]
pub(super) struct StatusQuery;

#[Object]
impl StatusQuery {
    /// The current status of a pipeline: at most one interval old, and including every committed change. A client
    /// that has seen a revision passes it as `sinceRevision`; a server that does not know it yet refreshes first, for
    /// up to a second.
    async fn pipeline_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The latest revision that the client has seen, in decimal digits.")] since_revision: Option<
            String,
        >,
    ) -> Result<PipelineStatus> {
        let key = parse_pipeline(ctx, &pipeline)?;
        let monitor = &ctx.data::<Services>()?.monitor;
        if let Some(seen) = since_revision {
            monitor.refresh_if_behind(&key, parse_revision(&seen)?).await;
        }
        let snapshot = monitor.current(&key).await.map_err(error)?;
        Ok(PipelineStatus(snapshot))
    }

    /// Pipelines sorted by key, starting after the key `after`; at most 1,000. See also `pipelineCount`.
    async fn pipelines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The maximum number of pipelines, from 1 to 1,000.")] first: Option<i32>,
        #[graphql(desc = "The key after which the list starts.")] after: Option<String>,
    ) -> Result<Vec<PipelineSummary>> {
        let viewer = ctx.data::<Viewer>()?;
        let first = at_most(first, MAX_OVERVIEW_PIPELINES)?;
        let after: Option<PipelineKey> =
            after.map(|after| after.parse()).transpose().map_err(|error| bad_input(format!("after: {error}")))?;
        let overview = ctx.data::<Services>()?.monitor.overview(after.as_ref(), first).await.map_err(error)?;
        let seen = overview.into_iter().filter(|snapshot| viewer.may_see(&snapshot.status().pipeline));
        Ok(seen.map(PipelineSummary).collect())
    }

    /// The number of pipelines on this server.
    #[allow(clippy::unused_async, reason = "resolvers are asynchronous")]
    async fn pipeline_count(&self, ctx: &Context<'_>) -> Result<Count> {
        Ok(Count::of(ctx.data::<Services>()?.store.count_pipelines() as u64))
    }

    /// The registered sources of a pipeline sorted by key, including disabled ones, starting after the key `after`;
    /// at most 5,000.
    async fn sources(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The maximum number of sources, from 1 to 5,000.")] first: Option<i32>,
        #[graphql(desc = "The key after which the list starts.")] after: Option<String>,
    ) -> Result<Vec<Source>> {
        let key = require_pipeline(ctx, &pipeline)?;
        let first = at_most(first, SourceListing::MAX_ALL)?;
        let after: Option<SourceKey> =
            after.map(|after| after.parse()).transpose().map_err(|error| bad_input(format!("after: {error}")))?;
        let store = &ctx.data::<Services>()?.store;
        let sources = store.sources(&key, after.as_ref(), first as u64).await.map_err(error)?;
        Ok(sources.into_iter().map(Source::from).collect())
    }

    /// Data quality metrics, newest first, from `from` (inclusive) to `to` (exclusive); at most 500 per page.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn data_quality_metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The key of a source, to include only its rows.")] source: Option<String>,
        #[graphql(desc = "The scope of the counts to include.")] metric_type: Option<MetricType>,
        #[graphql(desc = "The start of the range, inclusive.")] from: Option<DateTime>,
        #[graphql(desc = "The end of the range, exclusive.")] to: Option<DateTime>,
        #[graphql(name = "first", default = 50, desc = "The number of rows per page, from 1 to 500.")] size: i32,
        #[graphql(name = "after", desc = "The `endCursor` of the previous page; null for the first page.")]
        cursor: Option<String>,
    ) -> Result<Connection<DataQualityMetric>> {
        let request = page(ctx, &pipeline, source, from, to, size, cursor.as_deref())?;
        let store = &ctx.data::<Services>()?.store;
        let page = store.data_quality_metrics(&request, metric_type.map(Into::into)).await.map_err(error)?;
        Ok(connection(page, request.after.is_none(), |metric| Position { at: metric.timestamp, id: metric.id }))
    }

    /// Anomalies, newest first, in hours that start from `from` (inclusive) to `to` (exclusive); at most 500 per
    /// page.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn anomalies(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The key of a source, to include only its rows.")] source: Option<String>,
        #[graphql(desc = "The start of the range, inclusive.")] from: Option<DateTime>,
        #[graphql(desc = "The end of the range, exclusive.")] to: Option<DateTime>,
        #[graphql(name = "first", default = 50, desc = "The number of rows per page, from 1 to 500.")] size: i32,
        #[graphql(name = "after", desc = "The `endCursor` of the previous page; null for the first page.")]
        cursor: Option<String>,
    ) -> Result<Connection<Anomaly>> {
        let request = page(ctx, &pipeline, source, from, to, size, cursor.as_deref())?;
        let page = ctx.data::<Services>()?.store.anomalies(&request).await.map_err(error)?;
        Ok(connection(page, request.after.is_none(), |anomaly| Position {
            at: anomaly.timestamp,
            // Ids are UUIDs where they are stored.
            id: anomaly.id.parse().unwrap_or_default(),
        }))
    }

    /// Source runs, at most 500 per page. Finished runs are sorted by their end, newest first, from `from`
    /// (inclusive) to `to` (exclusive); with the outcome `RUNNING`, runs in progress are sorted by their start.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn source_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The key of a source, to include only its rows.")] source: Option<String>,
        #[graphql(desc = "The outcome of the runs to include; null for all finished runs.")] outcome: Option<
            RunOutcome,
        >,
        #[graphql(desc = "The start of the range, inclusive.")] from: Option<DateTime>,
        #[graphql(desc = "The end of the range, exclusive.")] to: Option<DateTime>,
        #[graphql(name = "first", default = 50, desc = "The number of rows per page, from 1 to 500.")] size: i32,
        #[graphql(name = "after", desc = "The `endCursor` of the previous page; null for the first page.")]
        cursor: Option<String>,
    ) -> Result<Connection<SourceRun>> {
        let request = page(ctx, &pipeline, source, from, to, size, cursor.as_deref())?;
        let store = &ctx.data::<Services>()?.store;
        let state = outcome.map(|outcome| RunState::from(Outcome::from(outcome)));
        let page = run_pages::read(ctx, store, &request, state).await?;
        Ok(connection(page, request.after.is_none(), run_pages::position))
    }

    /// The totals of a check, or of the volume `articles` or `events`, for a source or the whole pipeline. Covers the
    /// hours or days that overlap `from` (inclusive) to `to` (exclusive); at most 10,000.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn quality_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The key of a source; null for the whole pipeline.")] source: Option<String>,
        #[graphql(desc = "The name of a check, `counts.` and the name of a count, `articles` or `events`.")]
        check: String,
        #[graphql(desc = "The start of the range, inclusive.")] from: DateTime,
        #[graphql(desc = "The end of the range, exclusive.")] to: DateTime,
        #[graphql(desc = "The length of each bucket.")] bucket: HistoryBucket,
    ) -> Result<QualityHistory> {
        let key = require_pipeline(ctx, &pipeline)?;
        let source = source.map(|source| parse_source(&source)).transpose()?;
        let series: Series = check.parse().map_err(|error| bad_input(format!("check {check:?}: {error}")))?;
        let range = Range::new(bucket.into(), from.instant("from")?, to.instant("to")?);
        let range = range.map_err(|error| bad_input(error.to_string()))?;
        let store = &ctx.data::<Services>()?.store;
        let history = store.quality_history(&key, source.as_ref(), &series, &range).await.map_err(error)?;
        Ok(QualityHistory::new(&key, source.as_ref(), &series, range.bucket(), history))
    }
}

fn page(
    ctx: &Context<'_>,
    pipeline: &str,
    source: Option<String>,
    from: Option<DateTime>,
    to: Option<DateTime>,
    size: i32,
    cursor: Option<&str>,
) -> Result<PageRequest> {
    Ok(PageRequest {
        pipeline: require_pipeline(ctx, pipeline)?,
        source: source.map(|source| parse_source(&source)).transpose()?,
        from: from.map(|from| from.instant("from")).transpose()?,
        to: to.map(|to| to.instant("to")).transpose()?,
        after: after(cursor)?,
        first: first(size)?,
    })
}
