//! Names that reports bring along, and how many may be added to each pipeline.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::Hash;

use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde::Serialize;

use crate::domain::key::PipelineKey;
use crate::store::statements::{MAX_ROWS_PER_INSERT, bigint, count};

/// The existing names among those in a batch, and how many may be added.
pub(in crate::store) struct Names<T> {
    known: HashSet<T>,
    remaining: usize,
}

impl<T: Hash + Eq + Clone> Names<T> {
    pub(in crate::store) fn new(known: HashSet<T>, remaining: usize) -> Self {
        Self { known, remaining }
    }

    pub(in crate::store) fn exceeds<'a>(&self, names: impl Iterator<Item = &'a T>) -> bool
    where
        T: 'a,
    {
        names.filter(|name| !self.known.contains(name)).count() > self.remaining
    }

    pub(in crate::store) fn take<'a>(&mut self, names: impl Iterator<Item = &'a T>)
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

pub(in crate::store) async fn rows_of_pipeline(
    connection: &impl ConnectionTrait,
    table: &str,
    pipeline: &PipelineKey,
    limit: usize,
) -> Result<usize, DbErr> {
    let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {table} WHERE pipeline = $1 LIMIT $2) AS found");
    count(connection, &sql, [pipeline.as_str().into(), bigint(limit)]).await
}

/// Returns the names of each pipeline. Existing ones are counted only where a name is new.
pub(in crate::store) async fn names<T: Hash + Eq + Clone + Ord>(
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
            let remaining = limit.saturating_sub(rows_of_pipeline(connection, table, pipeline, limit).await?);
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

pub(in crate::store) fn chunks<T: Ord + Copy>(given: &BTreeSet<T>) -> impl Iterator<Item = Vec<T>> {
    let all: Vec<T> = given.iter().copied().collect();
    let parts: Vec<Vec<T>> = all.chunks(MAX_ROWS_PER_INSERT).map(<[T]>::to_vec).collect();
    parts.into_iter()
}

/// Names are passed as one JSON text, so that the statement is the same for any number of them.
pub(in crate::store) struct Lookup {
    pub(in crate::store) postgres: &'static str,
    pub(in crate::store) sqlite: &'static str,
}

pub(in crate::store) async fn query(
    connection: &impl ConnectionTrait,
    lookup: &Lookup,
    given: &(impl Serialize + ?Sized),
) -> Result<Vec<sea_orm::QueryResult>, DbErr> {
    let backend = connection.get_database_backend();
    let sql = if backend == DbBackend::Postgres { lookup.postgres } else { lookup.sqlite };
    let given = serde_json::to_string(given).map_err(|error| DbErr::Custom(error.to_string()))?;
    connection.query_all_raw(Statement::from_sql_and_values(backend, sql, [given.into()])).await
}
