use async_graphql::{Context, MaybeUndefined, Object, Result};
use serde::Serialize;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::ReportKind;
use crate::domain::source::{SourceChange, SourceKey};
use crate::graphql::types::history::{LabelInput, Source};
use crate::graphql::types::report::{DataQualityInput, RecordAnswer, SourceRunInput, item};
use crate::graphql::{Services, audit, bad_input, error, pipeline as visible, storable};
use crate::ingest::MAX_ITEMS;

/// What changes something.
#[derive(Default)]
pub(super) struct ReportMutation;

/// What changes something. Everything that is answered is committed.
#[Object]
impl ReportMutation {
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

    /// Registers a source, and its pipeline with it, or changes what is said of it; what is not said stays as it is.
    ///
    /// `expectedEvery` is how often it is expected to run: seconds (`3600`), a duration (`1h 30m`), or cron
    /// (`0 6 * * *`) in UTC unless a time zone is named (`CRON_TZ=Africa/Lagos 0 6 * * *`). Null has it learned from its
    /// runs. `grace` is how late it may be, in seconds or as a duration; null for half of the period, from a minute to an
    /// hour.
    #[allow(clippy::too_many_arguments, reason = "they are the field's arguments")]
    async fn upsert_source(
        &self,
        ctx: &Context<'_>,
        #[graphql(default = "default")] pipeline: String,
        source: String,
        #[graphql(default = true)] enabled: bool,
        expected_every: MaybeUndefined<String>,
        grace: MaybeUndefined<String>,
        labels: Option<Vec<LabelInput>>,
    ) -> Result<Source> {
        let (pipeline, source) = keys(ctx, &pipeline, &source)?;
        let change = SourceChange {
            enabled: Some(enabled),
            expectation: given("expectedEvery", expected_every)?,
            grace: given("grace", grace)?,
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
        #[graphql(default = "default")] pipeline: String,
        source: String,
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

    /// Removes a pipeline with all its data; `default` stays. It is out of sight at once, and its streams end. Its rows are
    /// removed in batches, a large pipeline's after the answer; until they are gone, reports to it are refused with the
    /// request to try again.
    async fn remove_pipeline(&self, ctx: &Context<'_>, pipeline: String) -> Result<bool> {
        let pipeline = visible(ctx, &pipeline)?;
        ctx.data::<Services>()?.store.remove_pipeline(&pipeline).await.map_err(error)?;
        audit::log(ctx, "remove_pipeline", &format!("removed the pipeline {pipeline}"))?;
        Ok(true)
    }
}

fn label(label: LabelInput) -> Result<(String, String)> {
    Ok((storable("labels", label.name)?, storable("labels", label.value)?))
}

/// What is said of an argument: nothing, that it is unset, or a value.
#[allow(clippy::option_option, reason = "nothing, null, or a value: three cases")]
fn given<T: std::str::FromStr<Err: std::fmt::Display>>(
    name: &str,
    argument: MaybeUndefined<String>,
) -> Result<Option<Option<T>>> {
    match argument {
        MaybeUndefined::Undefined => Ok(None),
        MaybeUndefined::Null => Ok(Some(None)),
        MaybeUndefined::Value(text) => {
            let value = text.parse().map_err(|error| bad_input(format!("{name} {text:?}: {error}")))?;
            Ok(Some(Some(value)))
        }
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
