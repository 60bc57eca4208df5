//! Which of the ids that reporters gave are taken.

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, DbErr, EntityTrait, IdenStatic as _,
    QueryFilter as _, QuerySelect as _, Statement,
};
use uuid::Uuid;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::{BodyDigest, Report, ReportKind};
use crate::store::entity::{data_quality_metric, source_run};
use crate::store::record::{Entry, ROWS};

/// The ids that are taken, by kind: by which pipeline, and for which body.
pub(super) type KnownIds = HashMap<(ReportKind, Uuid), (PipelineKey, Option<BodyDigest>)>;

/// Of the ids that reporters gave, those that are taken.
pub(super) async fn known_ids(transaction: &DatabaseTransaction, group: &[Vec<Entry>]) -> Result<KnownIds, DbErr> {
    let given = |kind| -> Vec<Uuid> {
        let reports = group.iter().flatten().map(|entry| &entry.report);
        reports.filter(|report| report.kind() == kind).filter_map(Report::id).collect()
    };
    let mut known = KnownIds::new();
    for ids in given(ReportKind::SourceRun).chunks(ROWS) {
        use source_run::Column;
        let rows = rows_of_ids::<source_run::Entity>(transaction, Column::Id, Column::Pipeline, Column::EndDigest, ids);
        remember(&mut known, ReportKind::SourceRun, rows.await?)?;
    }
    for ids in given(ReportKind::DataQuality).chunks(ROWS) {
        use data_quality_metric::{Column, Entity};
        let rows = rows_of_ids::<Entity>(transaction, Column::Id, Column::Pipeline, Column::Digest, ids);
        remember(&mut known, ReportKind::DataQuality, rows.await?)?;
    }
    Ok(known)
}

type IdRow = (Uuid, String, Option<Vec<u8>>);

/// The rows of these ids: id, pipeline and digest.
async fn rows_of_ids<E: EntityTrait>(
    transaction: &DatabaseTransaction,
    id: E::Column,
    pipeline: E::Column,
    digest: E::Column,
    ids: &[Uuid],
) -> Result<Vec<IdRow>, DbErr> {
    let backend = transaction.get_database_backend();
    if backend != DbBackend::Postgres {
        let select = E::find().select_only().columns([id, pipeline, digest]);
        return select.filter(id.is_in(ids.iter().copied())).into_tuple().all(transaction).await;
    }
    // A look-up for each id, whatever the statistics say. `IN` with its many parameters is planned while the table is
    // nearly empty, and PostgreSQL keeps that plan, which reads the whole table at every commit, until it is analysed.
    let table = E::default();
    let (table, id, pipeline, digest) = (table.table_name(), id.as_str(), pipeline.as_str(), digest.as_str());
    let sql = format!(
        "SELECT found.{id}, found.{pipeline}, found.{digest} \
         FROM unnest(string_to_array($1, ',')::uuid[]) AS given(id) CROSS JOIN LATERAL \
         (SELECT {id}, {pipeline}, {digest} FROM {table} WHERE {id} = given.id LIMIT 1) AS found"
    );
    let ids = ids.iter().map(Uuid::to_string).collect::<Vec<_>>().join(",");
    let rows = transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, [ids.into()])).await?;
    rows.iter().map(|row| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?))).collect()
}

fn remember(known: &mut KnownIds, kind: ReportKind, rows: Vec<IdRow>) -> Result<(), DbErr> {
    for (id, pipeline, digest) in rows {
        let pipeline = pipeline.parse().map_err(|error| DbErr::Type(format!("pipeline of {id}: {error}")))?;
        known.insert((kind, id), (pipeline, digest.and_then(|digest| digest.try_into().ok())));
    }
    Ok(())
}
