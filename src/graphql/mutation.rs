use async_graphql::{Context, Object, Result};
use serde::Serialize;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::ReportKind;
use crate::domain::source::SourceKey;
use crate::graphql::types::history::Source;
use crate::graphql::types::report::{DataQualityInput, RecordAnswer, SourceRunInput, item};
use crate::graphql::{Services, bad_input, error, pipeline as visible};
use crate::ingest::MAX_ITEMS;

/// What changes something.
pub(super) struct Mutation;

/// What changes something. Everything that is answered is committed.
#[Object]
impl Mutation {
    /// Reports a finished run.
    async fn record_source_run(
        &self,
        ctx: &Context<'_>,
        input: SourceRunInput,
        #[graphql(default = "default")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::SourceRun, &[input], &pipeline).await
    }

    /// Reports finished runs, at most 1,000: each is stored or refused for itself.
    async fn record_source_runs(
        &self,
        ctx: &Context<'_>,
        inputs: Vec<SourceRunInput>,
        #[graphql(default = "default")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::SourceRun, &inputs, &pipeline).await
    }

    /// Reports the quality counts of a moment.
    async fn record_data_quality(
        &self,
        ctx: &Context<'_>,
        input: DataQualityInput,
        #[graphql(default = "default")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::DataQuality, &[input], &pipeline).await
    }

    /// Reports the quality counts of moments, at most 1,000: each is stored or refused for itself.
    async fn record_data_qualities(
        &self,
        ctx: &Context<'_>,
        inputs: Vec<DataQualityInput>,
        #[graphql(default = "default")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::DataQuality, &inputs, &pipeline).await
    }

    /// Registers a source, and its pipeline with it, or changes whether it counts.
    async fn upsert_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default")] pipeline: String,
        source: String,
        #[graphql(default = true)] enabled: bool,
    ) -> Result<Source> {
        let (pipeline, source) = keys(ctx, &pipeline, &source)?;
        let source = ctx.data::<Services>()?.store.upsert_source(&pipeline, &source, enabled).await;
        source.map(Source::from).map_err(error)
    }

    /// Removes a source with its runs and metrics; one that is not there is an error.
    async fn remove_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default")] pipeline: String,
        source: String,
    ) -> Result<bool> {
        let (pipeline, source) = keys(ctx, &pipeline, &source)?;
        ctx.data::<Services>()?.store.remove_source(&pipeline, &source).await.map_err(error)?;
        Ok(true)
    }

    /// Removes a pipeline with all its data; who watches it sees the stream end. `default` stays.
    async fn remove_pipeline(&self, ctx: &Context<'_>, pipeline: String) -> Result<bool> {
        let pipeline = visible(ctx, &pipeline)?;
        ctx.data::<Services>()?.store.remove_pipeline(&pipeline).await.map_err(error)?;
        Ok(true)
    }
}

async fn record<T: Serialize>(
    ctx: &Context<'_>,
    kind: ReportKind,
    inputs: &[T],
    pipeline: &str,
) -> Result<RecordAnswer> {
    if inputs.len() > MAX_ITEMS {
        return Err(bad_input(format!("inputs: {} items are more than {MAX_ITEMS}; send several", inputs.len())));
    }
    let items = inputs.iter().map(item).collect::<Result<_>>()?;
    let answer = ctx.data::<Services>()?.ingest.record(kind, items, Some(pipeline)).await;
    answer.map(RecordAnswer::from).map_err(error)
}

fn keys(ctx: &Context<'_>, pipeline: &str, source: &str) -> Result<(PipelineKey, SourceKey)> {
    let source = source.parse().map_err(|error| bad_input(format!("source {source:?}: {error}")))?;
    Ok((visible(ctx, pipeline)?, source))
}
