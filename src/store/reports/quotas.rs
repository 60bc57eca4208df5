//! Cardinality limits for a batch of reports. The pipelines' rows are locked, so that servers that write to the same
//! pipeline count one after the other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbErr};

use crate::domain::cardinality::{Cardinality, Exceeded};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::Report;
use crate::domain::revision::Revision;
use crate::domain::time::Timestamp;
use crate::store::columns::parse_text;
use crate::store::reports::names::{Lookup, Names, chunks, names, query, rows_of_pipeline};
use crate::store::reports::report::NewReport;
use crate::store::reports::series_names::{CHECKS, COUNTS, SeriesNames};
use crate::store::statements::{bigint, count};

/// What may still be created.
pub(in crate::store) struct Quotas {
    limits: Cardinality,
    pipelines: Names<PipelineKey>,
    sources: HashMap<PipelineKey, Names<SourceKey>>,
    checks: SeriesNames,
    counts: SeriesNames,
    /// Pipelines that are being removed.
    pub(in crate::store) removing: HashSet<PipelineKey>,
    removing_sources: HashSet<(PipelineKey, SourceKey)>,
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
            for row in query(connection, &SOURCES, &given).await? {
                let pipeline: PipelineKey = parse_text(&row.try_get_by_index::<String>(0)?)?;
                let key: SourceKey = parse_text(&row.try_get_by_index::<String>(1)?)?;
                if row.try_get_by_index::<Option<Timestamp>>(2)?.is_some() {
                    removing_sources.insert((pipeline.clone(), key.clone()));
                }
                found.entry(pipeline).or_default().insert(key);
            }
        }
        let sources = names(connection, &given, found, "sources", limits.sources).await?;

        let checks = SeriesNames::read(
            connection,
            &of_existing().flat_map(|report| report.checks().keys().map(|name| (report.pipeline(), name))).collect(),
            &CHECKS,
            limits.checks,
            now,
        )
        .await?;
        let counts = SeriesNames::read(
            connection,
            &of_existing().flat_map(|report| report.counts().keys().map(|name| (report.pipeline(), name))).collect(),
            &COUNTS,
            limits.counts,
            now,
        )
        .await?;
        Ok(Self { limits, pipelines, sources, checks, counts, removing: HashSet::new(), removing_sources })
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
        if pipelines.exceeds([pipeline].into_iter()) {
            return Err(Exceeded::Pipelines(limits.pipelines));
        }
        if sources.exceeds(report.source().into_iter()) {
            return Err(Exceeded::Sources(limits.sources));
        }
        if self.checks.exceeds(pipeline, report.checks().keys()) {
            return Err(Exceeded::Checks(limits.checks));
        }
        if self.counts.exceeds(pipeline, report.counts().keys()) {
            return Err(Exceeded::Counts(limits.counts));
        }
        pipelines.take([pipeline].into_iter());
        sources.take(report.source().into_iter());
        self.checks.take(pipeline, report.checks().keys());
        self.counts.take(pipeline, report.counts().keys());
        Ok(())
    }

    /// Records the reported checks and counts, once a day each.
    pub(in crate::store) async fn write(&self, connection: &impl ConnectionTrait, now: Timestamp) -> Result<(), DbErr> {
        self.checks.write(connection, now).await?;
        self.counts.write(connection, now).await
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
    rows_of_pipeline(connection, "sources", pipeline, limit).await
}

const SOURCES: Lookup = Lookup {
    postgres: "SELECT s.pipeline, s.key, s.removing_at FROM jsonb_array_elements($1::jsonb) AS given(item) \
               JOIN sources AS s ON s.pipeline = item ->> 0 AND s.key = item ->> 1",
    sqlite: "SELECT s.pipeline, s.key, s.removing_at FROM json_each($1) AS given \
             CROSS JOIN sources AS s ON s.pipeline = given.value ->> 0 AND s.key = given.value ->> 1",
};
