//! The checks or the counts of pipelines, which are recorded where their number is limited.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{ConnectionTrait, DbBackend, DbErr};

use crate::domain::key::PipelineKey;
use crate::domain::name::Name;
use crate::domain::rollup::Bucket;
use crate::domain::time::Timestamp;
use crate::store::columns::parse_text;
use crate::store::reports::names::{Lookup, Names, chunks, names, query};
use crate::store::statements::{MAX_ROWS_PER_INSERT, execute, text};

/// A table of names with the day of their latest report.
pub(in crate::store) struct NameTable {
    name: &'static str,
    lookup: Lookup,
    record: Lookup,
}

macro_rules! name_table {
    ($name:literal) => {
        NameTable {
            name: $name,
            lookup: Lookup {
                postgres: concat!(
                    "SELECT c.pipeline, c.name, c.seen_at FROM jsonb_array_elements($1::jsonb) AS given(item) JOIN ",
                    $name,
                    " AS c ON c.pipeline = item ->> 0 AND c.name = item ->> 1"
                ),
                sqlite: concat!(
                    "SELECT c.pipeline, c.name, c.seen_at FROM json_each($1) AS given CROSS JOIN ",
                    $name,
                    " AS c ON c.pipeline = given.value ->> 0 AND c.name = given.value ->> 1"
                ),
            },
            record: Lookup {
                postgres: concat!(
                    "INSERT INTO ",
                    $name,
                    " (pipeline, name, seen_at) SELECT item ->> 0, item ->> 1, (item ->> 2)::timestamptz ",
                    "FROM jsonb_array_elements($1::jsonb) AS items(item) ",
                    "ON CONFLICT (pipeline, name) DO UPDATE SET seen_at = excluded.seen_at"
                ),
                sqlite: concat!(
                    "INSERT INTO ",
                    $name,
                    " (pipeline, name, seen_at) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1) ",
                    "WHERE true ON CONFLICT (pipeline, name) DO UPDATE SET seen_at = excluded.seen_at"
                ),
            },
        }
    };
}

pub(in crate::store) const CHECKS: NameTable = name_table!("pipeline_checks");
pub(in crate::store) const COUNTS: NameTable = name_table!("pipeline_counts");

/// The names of a batch of reports.
pub(in crate::store) struct SeriesNames {
    table: &'static NameTable,
    limit: usize,
    by_pipeline: HashMap<PipelineKey, Names<Name>>,
    /// Names already recorded as reported today.
    recorded: HashSet<(PipelineKey, Name)>,
    to_record: BTreeSet<(PipelineKey, Name)>,
}

impl SeriesNames {
    pub(in crate::store) async fn read(
        connection: &impl ConnectionTrait,
        given: &BTreeSet<(&PipelineKey, &Name)>,
        table: &'static NameTable,
        limit: usize,
        now: Timestamp,
    ) -> Result<Self, DbErr> {
        let (mut found, mut recorded) = (HashMap::<PipelineKey, HashSet<Name>>::new(), HashSet::new());
        let today = Bucket::Day.start_of(now);
        for given in chunks(given) {
            for row in query(connection, &table.lookup, &given).await? {
                let pipeline: PipelineKey = parse_text(&row.try_get_by_index::<String>(0)?)?;
                let name: Name = parse_text(&row.try_get_by_index::<String>(1)?)?;
                if row.try_get_by_index::<Timestamp>(2)? >= today {
                    recorded.insert((pipeline.clone(), name.clone()));
                }
                found.entry(pipeline).or_default().insert(name);
            }
        }
        let by_pipeline = names(connection, given, found, table.name, limit).await?;
        Ok(Self { table, limit, by_pipeline, recorded, to_record: BTreeSet::new() })
    }

    pub(in crate::store) fn exceeds<'a>(
        &mut self,
        pipeline: &PipelineKey,
        names: impl ExactSizeIterator<Item = &'a Name>,
    ) -> bool {
        names.len() > 0 && self.of(pipeline).exceeds(names)
    }

    pub(in crate::store) fn take<'a>(
        &mut self,
        pipeline: &PipelineKey,
        names: impl ExactSizeIterator<Item = &'a Name> + Clone,
    ) {
        if names.len() == 0 {
            return;
        }
        self.of(pipeline).take(names.clone());
        let keys = names.map(|name| (pipeline.clone(), name.clone()));
        self.to_record.extend(keys.filter(|name| !self.recorded.contains(name)));
    }

    fn of(&mut self, pipeline: &PipelineKey) -> &mut Names<Name> {
        let limit = self.limit;
        self.by_pipeline.entry(pipeline.clone()).or_insert_with(|| Names::new(HashSet::new(), limit))
    }

    /// Records the reported names, once a day each.
    pub(in crate::store) async fn write(&self, connection: &impl ConnectionTrait, now: Timestamp) -> Result<(), DbErr> {
        let sql = match connection.get_database_backend() {
            DbBackend::Postgres => self.table.record.postgres,
            _ => self.table.record.sqlite,
        };
        let rows: Vec<_> = self.to_record.iter().map(|(pipeline, name)| (pipeline, name, text(now))).collect();
        for rows in rows.chunks(MAX_ROWS_PER_INSERT) {
            execute(connection, sql, rows).await?;
        }
        Ok(())
    }
}
