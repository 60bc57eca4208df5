//! Ids of pruned reports. A report that is sent again after pruning is recognised by a 16-byte digest of its id, kept
//! for two years. Its body can no longer be compared.

use std::collections::{BTreeSet, HashMap, HashSet};

use chrono::{Datelike as _, TimeDelta};
use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    Statement,
};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::{Phase, Report, ReportKind};
use crate::domain::time::Timestamp;
use crate::store::entity::{data_quality_metric, pruned_report_id, report_scope, source_run};
use crate::store::reports::report::NewReport;
use crate::store::reports::run_keys::possible_keys;
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// Younger reports cannot have been pruned: the retention is at least this long.
const RECENT: TimeDelta = TimeDelta::days(1);
/// Digests are kept for the current half-year and this many before it.
const KEPT_HALF_YEARS: i32 = 4;
/// A report by kind, key and phase.
type ReportId = (ReportKind, Uuid, Phase);
/// The first 16 bytes of a SHA-256.
type IdDigest = [u8; 16];

/// The half-year in which digests are written now. It begins their key, so that whole half-years are deleted without
/// an index on age.
pub(in crate::store) fn half_year(now: Timestamp) -> i32 {
    now.year() * 2 + i32::from(now.month() > 6)
}

/// Digests of earlier half-years are no longer needed.
pub(in crate::store) fn oldest_half_year(now: Timestamp) -> i32 {
    half_year(now) - KEPT_HALF_YEARS
}

/// Digests an id within its scope: a source, or the pipeline itself. A scope gets a new id when it is removed and
/// created again, so that a history that was removed on purpose can be imported again.
fn digest(scope: Uuid, (kind, id, phase): ReportId) -> IdDigest {
    let kind = match kind {
        ReportKind::SourceRun => b'r',
        ReportKind::DataQuality => b'm',
    };
    let phase = match phase {
        Phase::Start => b's',
        Phase::End => b'e',
    };
    let whole = Sha256::new().chain_update(scope).chain_update([kind, phase]).chain_update(id).finalize();
    let mut digest = IdDigest::default();
    digest.copy_from_slice(&whole[..16]);
    digest
}

/// The position of a report in a batch: its request, and its place there.
pub(in crate::store) type Position = (usize, usize);

/// Returns the reports of a batch whose rows were pruned. Call it after the look-up of rows: another server moves an
/// id from there to here in one transaction.
pub(in crate::store) async fn pruned_ids(
    transaction: &Transaction,
    batch: &[Vec<NewReport>],
    now: Timestamp,
) -> Result<HashSet<Position>, DbErr> {
    let positions = batch.iter().enumerate().flat_map(|(request, entries)| {
        entries.iter().enumerate().map(move |(place, entry)| ((request, place), &entry.report))
    });
    let old: Vec<(Position, &Report)> =
        positions.filter(|(_, report)| timestamp(report) < now - RECENT && report.has_id()).collect();
    if old.is_empty() {
        return Ok(HashSet::new());
    }
    let scopes = scopes_of(transaction, old.iter().map(|(_, report)| *report)).await?;
    let mut looked_for: HashMap<IdDigest, Vec<Position>> = HashMap::new();
    for (position, report) in old {
        let source = report.source().map_or("", SourceKey::as_str);
        if let Some(scope) = scopes.get(&(report.pipeline().as_str().to_owned(), source.to_owned())) {
            // A finished run cannot start.
            let phases =
                [Phase::Start, Phase::End].into_iter().filter(|phase| [report.phase(), Phase::End].contains(phase));
            for (key, phase) in phases.flat_map(|phase| possible_keys(report).map(move |key| (key, phase))) {
                looked_for.entry(digest(*scope, (report.kind(), key, phase))).or_default().push(position);
            }
        }
    }
    let mut pruned = HashSet::new();
    let digests: Vec<IdDigest> = looked_for.keys().copied().collect();
    for digests in digests.chunks(MAX_ROWS_PER_INSERT) {
        for found in stored_digests(transaction, digests, now).await? {
            pruned.extend(looked_for.get(&found).into_iter().flatten().copied());
        }
    }
    Ok(pruned)
}

fn timestamp(report: &Report) -> Timestamp {
    match report {
        Report::SourceRun(run) => run.timestamp,
        Report::DataQuality(metric) => metric.timestamp,
    }
}

async fn scopes_of(
    transaction: &Transaction,
    reports: impl Iterator<Item = &Report> + Clone,
) -> Result<HashMap<(String, String), Uuid>, DbErr> {
    use report_scope::Column::{Pipeline, Source};
    let pipelines: BTreeSet<&str> = reports.clone().map(|report| report.pipeline().as_str()).collect();
    let sources: BTreeSet<&str> = reports.map(|report| report.source().map_or("", SourceKey::as_str)).collect();
    let sources: Vec<&str> = sources.into_iter().collect();
    let mut scopes = HashMap::new();
    for sources in sources.chunks(MAX_ROWS_PER_INSERT) {
        let found = report_scope::Entity::find()
            .filter(Pipeline.is_in(pipelines.iter().copied()))
            .filter(Source.is_in(sources.iter().copied()))
            .all(transaction)
            .await?;
        scopes.extend(found.into_iter().map(|scope| ((scope.pipeline, scope.source), scope.id)));
    }
    Ok(scopes)
}

async fn stored_digests(
    transaction: &Transaction,
    digests: &[IdDigest],
    now: Timestamp,
) -> Result<Vec<IdDigest>, DbErr> {
    let (first, last) = (oldest_half_year(now), half_year(now));
    let backend = transaction.get_database_backend();
    let rows = if backend == DbBackend::Postgres {
        // One index look-up per digest, whatever the statistics say.
        let sql = "SELECT found.digest FROM (SELECT decode(unnest(string_to_array($1, ',')), 'hex') AS digest) AS given \
                   CROSS JOIN generate_series($2::int, $3::int) AS half(year) CROSS JOIN LATERAL \
                   (SELECT digest FROM pruned_report_ids WHERE half_year = half.year AND digest = given.digest LIMIT 1) \
                   AS found";
        let hex: Vec<String> = digests.iter().map(hex).collect();
        let values = [hex.join(",").into(), first.into(), last.into()];
        transaction.query_all_raw(Statement::from_sql_and_values(backend, sql, values)).await?
    } else {
        use pruned_report_id::Column::{Digest, HalfYear};
        use sea_orm::QueryTrait as _;
        let select = pruned_report_id::Entity::find()
            .select_only()
            .column(Digest)
            .filter(HalfYear.is_in(first..=last))
            .filter(Digest.is_in(digests.iter().map(|digest| digest.to_vec())));
        transaction.query_all_raw(select.build(backend)).await?
    };
    let digest = |row: &sea_orm::QueryResult| row.try_get_by_index::<Vec<u8>>(0);
    Ok(rows.iter().map(digest).collect::<Result<Vec<_>, _>>()?.into_iter().filter_map(|d| d.try_into().ok()).collect())
}

fn hex(digest: &IdDigest) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(32), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Id, source, digest of the start report, digest of the end report.
type RunRow = (Uuid, String, Option<Vec<u8>>, Option<Vec<u8>>);

/// Deletes rows of reports and keeps digests of their ids. Rows that the server wrote have no body digest and are
/// only deleted.
pub(in crate::store) async fn prune_rows(
    transaction: &Transaction,
    kind: ReportKind,
    pipeline: &PipelineKey,
    ids: &[Uuid],
    now: Timestamp,
) -> Result<u64, DbErr> {
    let ids = ids.iter().copied();
    let mut reports: Vec<(String, ReportId)> = Vec::new();
    let deleted = match kind {
        ReportKind::SourceRun => {
            use source_run::Column::{EndDigest, Id, Source, StartDigest};
            let rows: Vec<RunRow> = source_run::Entity::find()
                .select_only()
                .columns([Id, Source, StartDigest, EndDigest])
                .filter(Id.is_in(ids.clone()))
                .into_tuple()
                .all(transaction)
                .await?;
            for (id, source, start, end) in rows {
                let phases = [(start, Phase::Start), (end, Phase::End)];
                let reported = phases.into_iter().filter(|(body, _)| body.is_some());
                reports.extend(reported.map(|(_, phase)| (source.clone(), (kind, id, phase))));
            }
            source_run::Entity::delete_many().filter(Id.is_in(ids)).exec(transaction).await?
        }
        ReportKind::DataQuality => {
            use data_quality_metric::Column::{Digest, Id, Source};
            let rows: Vec<(Uuid, Option<String>)> = data_quality_metric::Entity::find()
                .select_only()
                .columns([Id, Source])
                .filter(Id.is_in(ids.clone()))
                .filter(Digest.is_not_null())
                .into_tuple()
                .all(transaction)
                .await?;
            reports.extend(rows.into_iter().map(|(id, source)| (source.unwrap_or_default(), (kind, id, Phase::End))));
            data_quality_metric::Entity::delete_many().filter(Id.is_in(ids)).exec(transaction).await?
        }
    };
    keep(transaction, pipeline, &reports, half_year(now)).await?;
    Ok(deleted.rows_affected)
}

async fn keep(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    reports: &[(String, ReportId)],
    half_year: i32,
) -> Result<(), DbErr> {
    use report_scope::Column::{Pipeline, Source};
    if reports.is_empty() {
        return Ok(());
    }
    let sources: BTreeSet<&str> = reports.iter().map(|(source, _)| source.as_str()).collect();
    let mut scopes: HashMap<String, Uuid> = HashMap::new();
    for is_last in [false, true] {
        let found = report_scope::Entity::find()
            .filter(Pipeline.eq(pipeline.as_str()))
            .filter(Source.is_in(sources.iter().copied()))
            .all(transaction)
            .await?;
        scopes.extend(found.into_iter().map(|scope| (scope.source, scope.id)));
        let missing: Vec<_> = sources.iter().filter(|source| !scopes.contains_key(**source)).collect();
        if is_last || missing.is_empty() {
            break;
        }
        // Another server may insert the same scope; the second read finds the one that was stored.
        let missing = missing.into_iter().map(|source| report_scope::ActiveModel {
            id: Set(Uuid::now_v7()),
            pipeline: Set(pipeline.as_str().to_owned()),
            source: Set((*source).to_owned()),
        });
        report_scope::Entity::insert_many(missing)
            .on_conflict(OnConflict::columns([Pipeline, Source]).do_nothing().to_owned())
            .exec_without_returning(transaction)
            .await?;
    }
    let rows = reports.iter().filter_map(|(source, id)| {
        let digest = digest(*scopes.get(source)?, *id).to_vec();
        Some(pruned_report_id::ActiveModel { half_year: Set(half_year), digest: Set(digest) })
    });
    pruned_report_id::Entity::insert_many(rows)
        .on_conflict_do_nothing()
        .exec_without_returning(transaction)
        .await
        .map(drop)
}

/// Deletes a batch of digests that are no longer needed. Returns their number.
pub(in crate::store) async fn remove_old(transaction: &Transaction, now: Timestamp, limit: u64) -> Result<u64, DbErr> {
    let sql = "DELETE FROM pruned_report_ids WHERE (half_year, digest) IN \
               (SELECT half_year, digest FROM pruned_report_ids WHERE half_year < $1 ORDER BY half_year, digest LIMIT $2)";
    let values = [oldest_half_year(now).into(), i64::try_from(limit).unwrap_or(i64::MAX).into()];
    let delete = Statement::from_sql_and_values(transaction.get_database_backend(), sql, values);
    Ok(transaction.execute_raw(delete).await?.rows_affected())
}

/// Forgets the digests of a removed source, so that its reports can be stored again.
pub(in crate::store) async fn forget_source(
    transaction: &Transaction,
    pipeline: &PipelineKey,
    source: &SourceKey,
) -> Result<(), DbErr> {
    report_scope::Entity::delete_many()
        .filter(report_scope::Column::Pipeline.eq(pipeline.as_str()))
        .filter(report_scope::Column::Source.eq(source.as_str()))
        .exec(transaction)
        .await
        .map(drop)
}
