use sea_orm::{ConnectionTrait as _, Statement};

use crate::api::metrics::LastSuccesses;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::columns::parse_column;
use crate::store::handle::Store;
use crate::store::statements::bigint;

/// A source whose last run succeeded has it in its row. Of the others, the latest thousand runs are read.
const SELECT: &str = "SELECT pipeline, key, CASE WHEN last_run_state = 'ok' THEN last_run_at ELSE \
    (SELECT latest.finished_at FROM (SELECT finished_at, state, backfill FROM source_runs \
    WHERE source_runs.pipeline = sources.pipeline AND source_runs.source = sources.key \
    AND source_runs.finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1000) AS latest \
    WHERE latest.state = 'ok' AND NOT latest.backfill ORDER BY latest.finished_at DESC LIMIT 1) END AS succeeded_at \
    FROM sources WHERE enabled AND removing_at IS NULL AND last_run_at IS NOT NULL ORDER BY pipeline, key LIMIT $1";

impl Store {
    /// The ends of the last successful runs of at most `limit` sources, by one query.
    pub async fn last_successes(&self, limit: usize) -> Result<LastSuccesses> {
        let reader = self.connections.reader();
        let statement = Statement::from_sql_and_values(reader.get_database_backend(), SELECT, [bigint(limit)]);
        let rows = reader.query_all_raw(statement).await.map_err(Error::database)?;
        let mut successes = LastSuccesses::with_capacity(rows.len());
        for row in rows {
            let (pipeline, source): (String, String) = (
                row.try_get("", "pipeline").map_err(Error::database)?,
                row.try_get("", "key").map_err(Error::database)?,
            );
            let succeeded_at: Option<Timestamp> = row.try_get("", "succeeded_at").map_err(Error::database)?;
            if let Some(succeeded_at) = succeeded_at {
                let key = (parse_column("pipeline", &pipeline)?, parse_column("source", &source)?);
                successes.insert(key, succeeded_at);
            }
        }
        Ok(successes)
    }
}
