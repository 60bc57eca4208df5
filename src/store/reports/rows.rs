//! Builds the rows of reports.

use sea_orm::ActiveValue::{self, NotSet, Set};
use uuid::Uuid;

use crate::domain::check::Quality;
use crate::domain::counts::Counts;
use crate::domain::health::Health;
use crate::domain::metric::MetricType;
use crate::domain::named_counts::NamedCounts;
use crate::domain::report::{Phase, SourceRunReport};
use crate::domain::run::RunState;
use crate::domain::step::Step;
use crate::store::entity::{data_quality_metric, metric_check, run_step, source_run};

/// Builds the row of a run, without its digests.
pub(in crate::store) fn run_row(id: Uuid, run: &SourceRunReport) -> source_run::ActiveModel {
    let is_start = run.phase() == Phase::Start;
    let (started_at, finished_at) =
        if is_start { (Some(run.timestamp), None) } else { (run.started_at, Some(run.timestamp)) };
    source_run::ActiveModel {
        id: Set(id),
        pipeline: Set(run.pipeline.as_str().to_owned()),
        source: Set(run.source.as_str().to_owned()),
        state: Set(RunState::from(run.outcome()).as_str().to_owned()),
        started_at: Set(started_at),
        finished_at: Set(finished_at),
        received_at: Set(run.received_at),
        backfill: Set(run.is_backfill()),
        articles_collected: Set(run.articles_collected.map(column)),
        events_extracted: Set(run.events_extracted.map(column)),
        geocoding_attempts: Set(run.geocoding.map(|counts| column(counts.attempts()))),
        geocoding_successes: Set(run.geocoding.map(|counts| column(counts.successes()))),
        validation_attempts: Set(run.validation.map(|counts| column(counts.attempts()))),
        validation_passes: Set(run.validation.map(|counts| column(counts.successes()))),
        error: Set(run.error.clone()),
        end_digest: Set(None),
        start_digest: Set(None),
        run_id: Set(run.id.as_ref().filter(|reported| reported.uuid() != Some(id)).map(ToString::to_string)),
        url: Set(run.details.url.clone()),
        tags: Set(if run.details.tags.is_empty() { None } else { Some(json_text(&run.details.tags)) }),
        attempt: Set(run.details.attempt.map(u32::cast_signed)),
        parent: Set(run.details.parent.as_ref().map(ToString::to_string)),
        log: Set(run.log.clone()),
        counts: Set(counts_text(&run.counts)),
    }
}

/// Adds to the end of a run what only its start has.
pub(in crate::store) fn complete(end: &mut source_run::ActiveModel, mut start: source_run::ActiveModel) {
    fn fill<T>(end: &mut ActiveValue<Option<T>>, start: &mut ActiveValue<Option<T>>)
    where
        Option<T>: Into<sea_orm::Value>,
    {
        if end.as_ref().is_none() {
            *end = Set(start.take().flatten());
        }
    }
    fill(&mut end.started_at, &mut start.started_at);
    fill(&mut end.url, &mut start.url);
    fill(&mut end.tags, &mut start.tags);
    fill(&mut end.attempt, &mut start.attempt);
    fill(&mut end.parent, &mut start.parent);
    end.start_digest = start.start_digest;
}

/// The rows, without optional columns that none of them uses: most reporters use none, and every value takes time.
pub(in crate::store) fn without_unused_columns(
    rows: &[source_run::ActiveModel],
) -> impl Iterator<Item = source_run::ActiveModel> {
    let is_plain = rows.iter().all(|row| {
        [&row.run_id, &row.url, &row.tags, &row.parent, &row.log, &row.counts]
            .iter()
            .all(|text| text.as_ref().is_none())
            && row.attempt.as_ref().is_none()
    });
    rows.iter().cloned().map(move |row| {
        if !is_plain {
            return row;
        }
        source_run::ActiveModel {
            run_id: NotSet,
            url: NotSet,
            tags: NotSet,
            attempt: NotSet,
            parent: NotSet,
            log: NotSet,
            counts: NotSet,
            ..row
        }
    })
}

/// Named counts as a JSON object; `None` without any.
pub(in crate::store) fn counts_text(counts: &NamedCounts) -> Option<String> {
    (!counts.is_empty()).then(|| json_text(counts))
}

fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain structures always serialise")
}

/// Builds the rows of a reported metric's custom checks, which count in statuses.
pub(in crate::store) fn counted_check_rows(
    metric: &data_quality_metric::ActiveModel,
    quality: &Quality,
) -> impl Iterator<Item = metric_check::ActiveModel> {
    check_rows(*metric.id.as_ref(), quality).map(|check| metric_check::ActiveModel {
        pipeline: Set(Some(metric.pipeline.as_ref().clone())),
        timestamp: Set(Some(*metric.timestamp.as_ref())),
        metric_type: Set(Some(metric.metric_type.as_ref().clone())),
        of_sources: Set(Some(metric.source.as_ref().is_some())),
        ..check
    })
}

/// Builds the rows of a metric's custom checks.
pub(in crate::store) fn check_rows(
    metric_id: Uuid,
    quality: &Quality,
) -> impl Iterator<Item = metric_check::ActiveModel> {
    quality.others.iter().map(move |(name, counts)| metric_check::ActiveModel {
        metric_id: Set(metric_id),
        name: Set(name.to_string()),
        attempts: Set(column(counts.attempts())),
        passes: Set(column(counts.successes())),
        pipeline: Set(None),
        timestamp: Set(None),
        metric_type: Set(None),
        of_sources: Set(None),
    })
}

pub(in crate::store) fn step_rows(run: Uuid, steps: &[Step]) -> impl Iterator<Item = run_step::ActiveModel> {
    (0..).zip(steps).map(move |(position, step)| run_step::ActiveModel {
        run_id: Set(run),
        position: Set(position),
        name: Set(step.name.to_string()),
        state: Set(step.state.as_str().to_owned()),
        items_in: Set(step.items_in.map(column)),
        items_out: Set(step.items_out.map(column)),
        started_at: Set(step.started_at),
        ended_at: Set(step.ended_at),
    })
}

pub(in crate::store) fn metric_row(
    quality: &Quality,
    metric_type: MetricType,
    source: Option<&str>,
    status: Health,
) -> data_quality_metric::ActiveModel {
    let rate = |counts: Counts| counts.rate().unwrap_or(0.0);
    data_quality_metric::ActiveModel {
        geocoding_attempts: Set(column(quality.geocoding.attempts())),
        geocoding_successes: Set(column(quality.geocoding.successes())),
        geocoding_success_rate: Set(rate(quality.geocoding)),
        validation_attempts: Set(column(quality.validation.attempts())),
        validation_passes: Set(column(quality.validation.successes())),
        validation_pass_rate: Set(rate(quality.validation)),
        metric_type: Set(metric_type.as_str().to_owned()),
        source: Set(source.map(str::to_owned)),
        status: Set(status.as_str().to_owned()),
        counts: Set(None),
        ..Default::default()
    }
}

/// Converts a count to a column; parsing limits it.
fn column(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
