//! Anomalies, and the time up to which they have been evaluated.

use std::time::Instant;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _, Select,
};
use uuid::Uuid;

use crate::domain::anomaly::{Anomaly, Finding, Subject};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::severity::Severity;
use crate::domain::status::{Excerpt, MAX_LISTED};
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::entity::{anomaly, anomaly_watermark};
use crate::store::handle::Store;
use crate::store::history::{Page, PageRequest, page};
use crate::store::leases::{Lease, is_held};
use crate::store::pipelines::revision::bump_revision;

/// The number of anomalies in one transaction, while reporters wait.
const PART: usize = 200;

impl Store {
    /// Saves the anomalies of a pipeline, and then the time up to which its hours are evaluated. An anomaly is stored
    /// once, so they can be written in parts, between which reporters write. Returns whether the lease still holds;
    /// if not, nothing more is saved.
    pub async fn save_anomalies(
        &self,
        lease: &Lease,
        pipeline: &PipelineKey,
        findings: &[Finding],
        evaluated_until: Timestamp,
    ) -> Result<bool> {
        let now = self.clock.now();
        let rows = findings.iter().map(|finding| row(finding, now)).collect::<Result<Vec<_>>>()?;
        for part in rows.chunks(PART) {
            let begin = Instant::now();
            let transaction = self.write().await?;
            if !is_held(&transaction, lease).await? {
                return Ok(false);
            }
            // A new anomaly changes the status.
            let revision = bump_revision(&transaction, pipeline, &self.clock).await?;
            anomaly::Entity::insert_many(part.iter().cloned())
                .on_conflict(OnConflict::column(anomaly::Column::Id).do_nothing().to_owned())
                .exec_without_returning(&transaction)
                .await
                .map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            self.revisions.committed(pipeline, revision);
            if rows.len() > PART {
                tokio::time::sleep(begin.elapsed()).await;
            }
        }
        let transaction = self.write().await?;
        if !is_held(&transaction, lease).await? {
            return Ok(false);
        }
        let judged = anomaly_watermark::ActiveModel {
            pipeline: Set(pipeline.as_str().to_owned()),
            evaluated_until: Set(evaluated_until),
        };
        anomaly_watermark::Entity::insert_many([judged])
            .on_conflict(
                OnConflict::column(anomaly_watermark::Column::Pipeline)
                    .update_column(anomaly_watermark::Column::EvaluatedUntil)
                    .to_owned(),
            )
            .exec_without_returning(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(true)
    }

    /// Returns the time up to which the hours of a pipeline are evaluated; `None` before the first evaluation.
    pub async fn anomalies_evaluated_until(&self, pipeline: &PipelineKey) -> Result<Option<Timestamp>> {
        let found = anomaly_watermark::Entity::find_by_id(pipeline.as_str()).one(self.connections.reader()).await;
        Ok(found.map_err(Error::database)?.map(|row| row.evaluated_until))
    }

    /// Returns the anomalies of high severity since an instant, oldest first. Alerts are raised for them.
    pub async fn high_severity_anomalies(&self, pipeline: &PipelineKey, since: Timestamp) -> Result<Vec<Anomaly>> {
        let rows = anomaly::Entity::find()
            .filter(anomaly::Column::Pipeline.eq(pipeline.as_str()))
            .filter(anomaly::Column::Severity.eq(Severity::High.as_str()))
            .filter(anomaly::Column::BucketStart.gte(since))
            .order_by_asc(anomaly::Column::BucketStart)
            .order_by_asc(anomaly::Column::Id)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        rows.into_iter().map(found).collect()
    }

    /// Returns a page of anomalies, newest hours first.
    pub async fn anomalies(&self, request: &PageRequest) -> Result<Page<Anomaly>> {
        use anomaly::Column;
        let mut select = anomaly::Entity::find().filter(Column::Pipeline.eq(request.pipeline.as_str()));
        if let Some(source) = &request.source {
            select = select.filter(Column::Source.eq(source.as_str()));
        }
        if let Some(from) = request.from {
            select = select.filter(Column::BucketStart.gte(from));
        }
        if let Some(to) = request.to {
            select = select.filter(Column::BucketStart.lt(to));
        }
        if let Some(position) = request.after {
            let place = Expr::tuple([Expr::col(Column::BucketStart), Expr::col(Column::Id)]);
            select = select.filter(place.lt(Expr::tuple([Expr::value(position.at), Expr::value(position.id)])));
        }
        let rows = select
            .order_by_desc(Column::BucketStart)
            .order_by_desc(Column::Id)
            .limit(request.first + 1)
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        page(rows, request.first, found)
    }
}

/// Returns the anomalies of a pipeline since an instant: by severity, newest first. An index counts them, and only
/// the listed ones are read.
pub(in crate::store) async fn worst_anomalies(
    connection: &impl ConnectionTrait,
    pipeline: &PipelineKey,
    since: Timestamp,
) -> Result<Excerpt<Anomaly>> {
    let counts: Vec<(String, i64)> =
        select_counts(pipeline, since).into_tuple().all(connection).await.map_err(Error::database)?;
    let mut worst = Excerpt::default();
    for severity in Severity::WORST_FIRST {
        let count = counts.iter().find(|row| row.0 == severity.as_str()).map_or(0, |row| row.1.unsigned_abs());
        let (room, before) = (MAX_LISTED - worst.listed.len(), worst.listed.len() as u64);
        if count > 0 && room > 0 {
            let rows = select_worst(pipeline, severity, since, room).all(connection).await;
            for row in rows.map_err(Error::database)? {
                worst.listed.push(found(row)?);
            }
        }
        worst.omitted += count.saturating_sub(worst.listed.len() as u64 - before);
    }
    Ok(worst)
}

/// Counts anomalies by severity.
pub(in crate::store) fn select_counts(pipeline: &PipelineKey, since: Timestamp) -> Select<anomaly::Entity> {
    anomaly::Entity::find()
        .select_only()
        .column(anomaly::Column::Severity)
        .column_as(anomaly::Column::Id.count(), "anomalies")
        .filter(anomaly::Column::Pipeline.eq(pipeline.as_str()))
        // All severities are listed so that the index, which begins with the severity, is used.
        .filter(anomaly::Column::Severity.is_in(Severity::WORST_FIRST.map(Severity::as_str)))
        .filter(anomaly::Column::BucketStart.gt(since))
        .group_by(anomaly::Column::Severity)
}

/// Selects the newest anomalies of a severity.
pub(in crate::store) fn select_worst(
    pipeline: &PipelineKey,
    severity: Severity,
    since: Timestamp,
    limit: usize,
) -> Select<anomaly::Entity> {
    anomaly::Entity::find()
        .filter(anomaly::Column::Pipeline.eq(pipeline.as_str()))
        .filter(anomaly::Column::Severity.eq(severity.as_str()))
        .filter(anomaly::Column::BucketStart.gt(since))
        .order_by_desc(anomaly::Column::BucketStart)
        .order_by_desc(anomaly::Column::Id)
        .limit(limit as u64)
}

fn row(finding: &Finding, now: Timestamp) -> Result<anomaly::ActiveModel> {
    let anomaly = &finding.anomaly;
    Ok(anomaly::ActiveModel {
        id: Set(parse_column("anomaly id", &anomaly.id)?),
        pipeline: Set(finding.pipeline.as_str().to_owned()),
        source: Set(anomaly.source.as_ref().map(SourceKey::to_string).unwrap_or_default()),
        series: Set(anomaly.subject.to_string()),
        method: Set(anomaly.method.as_str().to_owned()),
        kind: Set(anomaly.kind.as_str().to_owned()),
        severity: Set(anomaly.severity.as_str().to_owned()),
        bucket_start: Set(anomaly.timestamp),
        observed: Set(anomaly.observed),
        expected: Set(anomaly.expected),
        lower: Set(anomaly.lower),
        upper: Set(anomaly.upper),
        sample_size: Set(i64::try_from(anomaly.sample_size).unwrap_or(i64::MAX)),
        p_value: Set(anomaly.p_value),
        alpha: Set(anomaly.alpha),
        description: Set(anomaly.description.clone()),
        found_at: Set(now),
    })
}

fn found(row: anomaly::Model) -> Result<Anomaly> {
    let subject = Subject::of_series(&row.series);
    Ok(Anomaly {
        id: Uuid::to_string(&row.id),
        kind: parse_column("anomaly type", &row.kind)?,
        severity: parse_column("severity", &row.severity)?,
        description: row.description,
        timestamp: row.bucket_start,
        source: if row.source.is_empty() { None } else { Some(parse_column("source", &row.source)?) },
        check: subject.check().map(str::to_owned),
        subject,
        method: parse_column("anomaly method", &row.method)?,
        observed: row.observed,
        expected: row.expected,
        lower: row.lower,
        upper: row.upper,
        sample_size: u64::try_from(row.sample_size).unwrap_or(0),
        p_value: row.p_value,
        alpha: row.alpha,
    })
}
