use async_graphql::{Context, MaybeUndefined, Object, Result};
use serde::Serialize;

use crate::domain::key::PipelineKey;
use crate::domain::key::SourceKey;
use crate::domain::report::ReportKind;
use crate::domain::source::SourceChange;
use crate::graphql::arguments::{parse_optional, parse_pipeline, parse_source, storable};
use crate::graphql::audit;
use crate::graphql::errors::{bad_input, error};
use crate::graphql::services::Services;
use crate::graphql::types::history::{LabelInput, Source};
use crate::graphql::types::report::{DataQualityInput, RecordAnswer, SourceRunInput, item};
use crate::ingest::MAX_ITEMS;

#[derive(Default)]
pub(super) struct ReportMutation;

#[Object]
impl ReportMutation {
    /// Report a finished run, or the start of one.
    async fn record_source_run(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The report of the run.")] input: SourceRunInput,
        #[graphql(default = "default", desc = "The pipeline of items without one.")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::SourceRun, &[input], &pipeline).await
    }

    /// Report up to 1,000 runs. Each item is accepted or refused individually.
    async fn record_source_runs(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reports, at most 1,000.")] inputs: Vec<SourceRunInput>,
        #[graphql(default = "default", desc = "The pipeline of items without one.")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::SourceRun, &inputs, &pipeline).await
    }

    /// Report data quality counts at one instant.
    async fn record_data_quality(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The counts to report.")] input: DataQualityInput,
        #[graphql(default = "default", desc = "The pipeline of items without one.")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::DataQuality, &[input], &pipeline).await
    }

    /// Report up to 1,000 data quality counts. Each item is accepted or refused individually.
    async fn record_data_quality_metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The reports, at most 1,000.")] inputs: Vec<DataQualityInput>,
        #[graphql(default = "default", desc = "The pipeline of items without one.")] pipeline: String,
    ) -> Result<RecordAnswer> {
        record(ctx, ReportKind::DataQuality, &inputs, &pipeline).await
    }

    /// Register a source (and its pipeline), or update it. Arguments that are left out keep their values.
    ///
    /// `expectedEvery` is the expected interval between runs: seconds (`3600`), a duration (`1h 30m`), or a cron expression
    /// (`0 6 * * *`), in UTC unless it names a time zone (`CRON_TZ=Africa/Lagos 0 6 * * *`). Null infers it from past runs.
    /// `grace` is the grace period in seconds or as a duration; null for half of the interval, between a minute and an hour.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn upsert_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The key of the source.")] source: String,
        #[graphql(default = true, desc = "Whether the source counts towards the status.")] enabled: bool,
        #[graphql(desc = "The expected interval between runs, see above.")] expected_every: MaybeUndefined<String>,
        #[graphql(desc = "The grace period after the expected time, see above.")] grace: MaybeUndefined<String>,
        #[graphql(desc = "The labels that replace the current ones.")] labels: Option<Vec<LabelInput>>,
    ) -> Result<Source> {
        let (pipeline, source) = keys(ctx, &pipeline, &source)?;
        let change = SourceChange {
            enabled: Some(enabled),
            expected: parse_optional("expectedEvery", expected_every)?,
            grace: parse_optional("grace", grace)?,
            labels: labels.map(|labels| labels.into_iter().map(label).collect::<Result<_>>()).transpose()?,
        };
        let source = ctx.data::<Services>()?.store.upsert_source(&pipeline, &source, &change).await;
        source.map(Source::from).map_err(error)
    }

    /// Remove a source with its runs and metrics. Queries no longer return it. The rows of a large source are removed in the
    /// background; until then, reports to it are refused and can be sent again later. An unknown source is an error.
    async fn remove_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default", desc = "The key of the pipeline.")] pipeline: String,
        #[graphql(desc = "The key of the source.")] source: String,
    ) -> Result<bool> {
        let (pipeline, source) = keys(ctx, &pipeline, &source)?;
        ctx.data::<Services>()?.store.remove_source(&pipeline, &source).await.map_err(error)?;
        audit::log(
            ctx,
            "remove_source",
            &format!("removed the source {:?} of the pipeline {pipeline}", source.as_str()),
        )?;
        Ok(true)
    }

    /// Remove a pipeline with all its data; `default` cannot be removed. It disappears at once and its streams end.
    /// The rows of a large pipeline are removed after the response; until then reports to it are refused with a
    /// request to retry.
    async fn remove_pipeline(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The key of the pipeline.")] pipeline: String,
    ) -> Result<bool> {
        let pipeline = parse_pipeline(ctx, &pipeline)?;
        ctx.data::<Services>()?.store.remove_pipeline(&pipeline).await.map_err(error)?;
        audit::log(ctx, "remove_pipeline", &format!("removed the pipeline {pipeline}"))?;
        Ok(true)
    }
}

fn label(label: LabelInput) -> Result<(String, String)> {
    Ok((storable("labels", label.name)?, storable("labels", label.value)?))
}

async fn record<T: Serialize>(
    ctx: &Context<'_>,
    kind: ReportKind,
    inputs: &[T],
    pipeline: &str,
) -> Result<RecordAnswer> {
    if inputs.len() > MAX_ITEMS {
        return Err(bad_input(format!(
            "inputs: {} items exceed the maximum of {MAX_ITEMS}; split the request",
            inputs.len()
        )));
    }
    let items = inputs.iter().map(item).collect::<Result<_>>()?;
    let answer = ctx.data::<Services>()?.ingest.record(kind, items, Some(pipeline)).await;
    answer.map(RecordAnswer::from).map_err(error)
}

fn keys(ctx: &Context<'_>, pipeline: &str, source: &str) -> Result<(PipelineKey, SourceKey)> {
    let source = parse_source(source)?;
    Ok((parse_pipeline(ctx, pipeline)?, source))
}
