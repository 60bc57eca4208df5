//! Cardinality limits for a batch of reports. The pipelines' rows are locked, so that servers that write to the same
//! pipeline count one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde::Serialize;

use crate::domain::cardinality::{Cardinality, Exceeded};
use crate::domain::check::CheckName;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::Report;
use crate::domain::revision::Revision;
use crate::domain::rollup::Bucket;
use crate::domain::time::Timestamp;
use crate::store::columns::parse_text;
use crate::store::reports::report::NewReport;
use crate::store::statements::{MAX_ROWS_PER_INSERT, bigint, count, execute, text};

/// What may still be created.
pub(in crate::store) struct Quotas {
    limits: Cardinality,
    pipelines: Names<PipelineKey>,
    sources: HashMap<PipelineKey, Names<SourceKey>>,
    checks: HashMap<PipelineKey, Names<CheckName>>,
    /// Checks already recorded as reported today.
    recorded: HashSet<(PipelineKey, CheckName)>,
    to_record: BTreeSet<(PipelineKey, CheckName)>,
    /// Pipelines that are being removed.
    pub(in crate::store) removing: HashSet<PipelineKey>,
    removing_sources: HashSet<(PipelineKey, SourceKey)>,
}

/// The existing names among those in a batch, and how many may be added.
struct Names<T> {
    known: HashSet<T>,
    remaining: usize,
}

impl<T: Hash + Eq + Clone> Names<T> {
    fn new(known: HashSet<T>, remaining: usize) -> Self {
        Self { known, remaining }
    }

    fn exceeds<'a>(&self, names: impl Iterator<Item = &'a T>) -> bool
    where
        T: 'a,
    {
        names.filter(|name| !self.known.contains(name)).count() > self.remaining
    }

    fn take<'a>(&mut self, names: impl Iterator<Item = &'a T>)
    where
        T: 'a,
    {
        for name in names {
            if self.known.insert(name.clone()) {
                self.remaining = self.remaining.saturating_sub(1);
            }
        }
    }
}

impl Quotas {
    /// Reads the quotas for a batch of reports; `existing` are the stored pipelines.
    pub(in crate::store) async fn read(
        connection: &impl ConnectionTrait,
        batch: &[Vec<NewReport>],
        existing: &BTreeMap<PipelineKey, Revision>,
        limits: Cardinality,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let reports = || batch.iter().flatten().map(|entry| &entry.report);
        let is_new = reports().any(|report| !existing.contains_key(report.pipeline()));
        let remaining =
            if is_new { limits.pipelines.saturating_sub(pipelines(connection, limits.pipelines).await?) } else { 0 };
        let pipelines = Names::new(existing.keys().cloned().collect(), remaining);

        let of_existing = || reports().filter(|report| existing.contains_key(report.pipeline()));
        let given: BTreeSet<_> =
            of_existing().filter_map(|report| Some((report.pipeline(), report.source()?))).collect();
        let mut found: HashMap<PipelineKey, HashSet<SourceKey>> = HashMap::new();
        let mut removing_sources = HashSet::new();
        for given in chunks(&given) {
            for row in query(connection, SOURCES, &given).await? {
                let pipeline: PipelineKey = parse_text(&row.try_get_by_index::<String>(0)?)?;
                let key: SourceKey = parse_text(&row.try_get_by_index::<String>(1)?)?;
                if row.try_get_by_index::<Option<Timestamp>>(2)?.is_some() {
                    removing_sources.insert((pipeline.clone(), key.clone()));
                }
                found.entry(pipeline).or_default().insert(key);
            }
        }
        let sources = names(connection, &given, found, "sources", limits.sources).await?;

        let given: BTreeSet<_> =
            of_existing().flat_map(|report| report.checks().keys().map(|name| (report.pipeline(), name))).collect();
        let (mut found, mut recorded) = (HashMap::<PipelineKey, HashSet<CheckName>>::new(), HashSet::new());
        let today = Bucket::Day.start_of(now);
        for given in chunks(&given) {
            for row in query(connection, CHECKS, &given).await? {
                let pipeline: PipelineKey = parse_text(&row.try_get_by_index::<String>(0)?)?;
                let name: CheckName = parse_text(&row.try_get_by_index::<String>(1)?)?;
                if row.try_get_by_index::<Timestamp>(2)? >= today {
                    recorded.insert((pipeline.clone(), name.clone()));
                }
                found.entry(pipeline).or_default().insert(name);
            }
        }
        let checks = names(connection, &given, found, "pipeline_checks", limits.checks).await?;
        Ok(Self {
            limits,
            pipelines,
            sources,
            checks,
            recorded,
            to_record: BTreeSet::new(),
            removing: HashSet::new(),
            removing_sources,
        })
    }

    /// Whether the source of a report is being removed.
    pub(in crate::store) fn is_removing_source(&self, report: &Report) -> bool {
        report.source().is_some_and(|source| {
            !self.removing_sources.is_empty()
                && self.removing_sources.contains(&(report.pipeline().clone(), source.clone()))
        })
    }

    /// Admits a report, or returns the limit that it exceeds.
    pub(in crate::store) fn admit(&mut self, report: &Report) -> Result<(), Exceeded> {
        let Self { limits, pipelines, .. } = self;
        let pipeline = report.pipeline();
        let sources =
            self.sources.entry(pipeline.clone()).or_insert_with(|| Names::new(HashSet::new(), limits.sources));
        let checks = self.checks.entry(pipeline.clone()).or_insert_with(|| Names::new(HashSet::new(), limits.checks));
        if pipelines.exceeds([pipeline].into_iter()) {
            return Err(Exceeded::Pipelines(limits.pipelines));
        }
        if sources.exceeds(report.source().into_iter()) {
            return Err(Exceeded::Sources(limits.sources));
        }
        if checks.exceeds(report.checks().keys()) {
            return Err(Exceeded::Checks(limits.checks));
        }
        pipelines.take([pipeline].into_iter());
        sources.take(report.source().into_iter());
        checks.take(report.checks().keys());
        let named = report.checks().keys().map(|name| (pipeline.clone(), name.clone()));
        self.to_record.extend(named.filter(|check| !self.recorded.contains(check)));
        Ok(())
    }

    /// Records the reported checks, once a day each.
    pub(in crate::store) async fn write(&self, connection: &impl ConnectionTrait, now: Timestamp) -> Result<(), DbErr> {
        let rows: Vec<_> = self.to_record.iter().map(|(pipeline, name)| (pipeline, name, text(now))).collect();
        for rows in rows.chunks(MAX_ROWS_PER_INSERT) {
            execute(connection, record_checks(connection.get_database_backend()), rows).await?;
        }
        Ok(())
    }
}

/// Counts pipelines, up to the limit.
pub(in crate::store) async fn pipelines(connection: &impl ConnectionTrait, limit: usize) -> Result<usize, DbErr> {
    count(connection, "SELECT COUNT(*) FROM (SELECT 1 FROM pipelines LIMIT $1) AS found", [bigint(limit)]).await
}

/// Counts the sources of a pipeline, up to the limit.
pub(in crate::store) async fn sources(
    connection: &impl ConnectionTrait,
    pipeline: &PipelineKey,
    limit: usize,
) -> Result<usize, DbErr> {
    of_pipeline(connection, "sources", pipeline, limit).await
}

async fn of_pipeline(
    connection: &impl ConnectionTrait,
    table: &str,
    pipeline: &PipelineKey,
    limit: usize,
) -> Result<usize, DbErr> {
    let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE pipeline = $1 LIMIT $2) AS found");
    count(connection, &sql, [pipeline.as_str().into(), bigint(limit)]).await
}

/// Returns the names of each pipeline. Existing ones are counted only where a name is new.
async fn names<T: Hash + Eq + Clone + Ord>(
    connection: &impl ConnectionTrait,
    given: &BTreeSet<(&PipelineKey, &T)>,
    mut found: HashMap<PipelineKey, HashSet<T>>,
    table: &str,
    limit: usize,
) -> Result<HashMap<PipelineKey, Names<T>>, DbErr> {
    let mut all = HashMap::new();
    for &(pipeline, name) in given {
        let known = found.entry(pipeline.clone()).or_default();
        if !known.contains(name) && !all.contains_key(pipeline) {
            let remaining = limit.saturating_sub(of_pipeline(connection, table, pipeline, limit).await?);
            all.insert(pipeline.clone(), remaining);
        }
    }
    Ok(found
        .into_iter()
        .map(|(pipeline, known)| {
            let remaining = all.get(&pipeline).copied().unwrap_or(0);
            (pipeline, Names::new(known, remaining))
        })
        .collect())
}

fn chunks<T: Ord + Copy>(given: &BTreeSet<T>) -> impl Iterator<Item = Vec<T>> {
    let all: Vec<T> = given.iter().copied().collect();
    let parts: Vec<Vec<T>> = all.chunks(MAX_ROWS_PER_INSERT).map(<[T]>::to_vec).collect();
    parts.into_iter()
}

/// Names are passed as one JSON text, so that the statement is the same for any number of them.
struct Lookup {
    postgres: &'static str,
    sqlite: &'static str,
}

const SOURCES: Lookup = Lookup {
    postgres: "SELECT s.pipeline, s.key, s.removing_at FROM jsonb_array_elements($1::jsonb) AS given(item) \
               JOIN sources AS s ON s.pipeline = item ->> 0 AND s.key = item ->> 1",
    sqlite: "SELECT s.pipeline, s.key, s.removing_at FROM json_each($1) AS given \
             CROSS JOIN sources AS s ON s.pipeline = given.value ->> 0 AND s.key = given.value ->> 1",
};
const CHECKS: Lookup = Lookup {
    postgres: "SELECT c.pipeline, c.name, c.seen_at FROM jsonb_array_elements($1::jsonb) AS given(item) \
               JOIN pipeline_checks AS c ON c.pipeline = item ->> 0 AND c.name = item ->> 1",
    sqlite: "SELECT c.pipeline, c.name, c.seen_at FROM json_each($1) AS given \
             CROSS JOIN pipeline_checks AS c ON c.pipeline = given.value ->> 0 AND c.name = given.value ->> 1",
};

async fn query(
    connection: &impl ConnectionTrait,
    lookup: Lookup,
    given: &(impl Serialize + ?Sized),
) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
    let backend = connection.get_database_backend();
    let sql = if backend == DbBackend::Postgres { lookup.postgres } else { lookup.sqlite };
    let given = serde_json::to_string(given).map_err(|error| DbErr::Custom(error.to_string()))?;
    connection.query_all_raw(Statement::from_sql_and_values(backend, sql, [given.into()])).await
}

fn record_checks(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "INSERT INTO pipeline_checks (pipeline, name, seen_at) \
             SELECT item ->> 0, item ->> 1, (item ->> 2)::timestamptz FROM jsonb_array_elements($1::jsonb) AS items(item) \
             ON CONFLICT (pipeline, name) DO UPDATE SET seen_at = excluded.seen_at"
        }
        _ => {
            "INSERT INTO pipeline_checks (pipeline, name, seen_at) \
             SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) WHERE true \
             ON CONFLICT (pipeline, name) DO UPDATE SET seen_at = excluded.seen_at"
        }
    }
}
