use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sea_orm::prelude::async_trait::async_trait;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult, Statement,
    TransactionOptions, TransactionTrait as _,
};
use tokio::sync::OwnedMutexGuard;

use crate::store::health::monitor::HealthMonitor;
use crate::store::pool::{CloseFlag, Pool};

/// A transaction whose statements have a timeout. Dropping it rolls it back.
///
/// SQLite's write connection is closed after any error and after an abandoned statement: SQLite may have rolled back,
/// and then the driver and SQLite disagree about whether a transaction is open.
#[derive(Debug)]
pub(super) struct Transaction {
    // Taken by the commit.
    inner: Option<DatabaseTransaction>,
    pool: Arc<Pool>,
    limit: Option<Duration>,
    /// Whether a statement failed or was abandoned.
    has_failed: AtomicBool,
    /// Whether the connection must be closed; only for SQLite's write connection.
    must_close: Option<OwnedMutexGuard<bool>>,
    /// Notified of the commit of a write transaction.
    health: Option<Arc<HealthMonitor>>,
}

impl Transaction {
    /// Begins a read transaction.
    pub(super) async fn begin_read(pool: &Arc<Pool>, options: TransactionOptions) -> Result<Self, DbErr> {
        let begin = |connection: DatabaseConnection| async move { connection.begin_with_options(options).await };
        let inner = Some(pool.run(begin).await?);
        let (pool, limit) = (Arc::clone(pool), pool.limit());
        Ok(Self { inner, pool, limit, has_failed: AtomicBool::new(false), must_close: None, health: None })
    }

    /// Begins a write transaction.
    pub(super) async fn begin_write(
        pool: &Arc<Pool>,
        options: TransactionOptions,
        must_close: Option<&CloseFlag>,
        health: Arc<HealthMonitor>,
    ) -> Result<Self, DbErr> {
        let begun = Self::begin_read(pool, options).await;
        if let (Err(error), Some(must_close)) = (&begun, must_close)
            && !matches!(error, DbErr::ConnectionAcquire(_))
        {
            *must_close.lock().await = true;
        }
        let mut begun = begun?;
        begun.health = Some(health);
        if let Some(must_close) = must_close {
            begun.must_close = Some(Arc::clone(must_close).lock_owned().await);
        }
        Ok(begun)
    }

    /// Commits. After an error, the transaction may have been committed or not.
    pub(super) async fn commit(mut self) -> Result<(), DbErr> {
        // Only this method takes it, and it consumes the transaction.
        let Some(inner) = self.inner.take() else { unreachable!("a transaction is committed once") };
        if self.has_failed.load(Ordering::Relaxed) {
            // PostgreSQL would answer COMMIT by rolling back, without an error.
            self.inner = Some(inner);
            return Err(DbErr::Custom("a transaction in which a statement failed cannot be committed".to_owned()));
        }
        let guard = StatementGuard::begin(&self.has_failed);
        self.pool.with_timeout(self.limit, inner.commit()).await?;
        guard.succeed();
        if let Some(health) = &self.health {
            health.committed();
        }
        Ok(())
    }

    /// Sets the statement timeout for the rest of this transaction.
    pub(super) async fn allow(&mut self, limit: Duration) -> Result<(), DbErr> {
        if self.limit.is_none() {
            return Ok(());
        }
        let sql =
            "SELECT set_config(name, $1, true) FROM (VALUES ('statement_timeout'), ('lock_timeout')) AS limited (name)";
        let value = format!("{}ms", limit.as_millis());
        self.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, [value.into()])).await?;
        self.limit = Some(limit + Duration::from_secs(1));
        Ok(())
    }

    /// The driver's own type. Its statements have only the database's timeouts.
    pub(super) fn inner(&self) -> &DatabaseTransaction {
        match &self.inner {
            Some(inner) => inner,
            None => unreachable!("only the commit takes it, and consumes the transaction"),
        }
    }

    async fn guarded<T>(&self, statement: impl Future<Output = Result<T, DbErr>>) -> Result<T, DbErr> {
        let guard = StatementGuard::begin(&self.has_failed);
        let done = self.pool.with_timeout(self.limit, statement).await?;
        guard.succeed();
        Ok(done)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if let Some(must_close) = &mut self.must_close
            && *self.has_failed.get_mut()
        {
            **must_close = true;
        }
    }
}

/// A statement in progress. Dropping it marks the transaction as failed, unless the statement has succeeded.
struct StatementGuard<'a>(Option<&'a AtomicBool>);

impl<'a> StatementGuard<'a> {
    fn begin(has_failed: &'a AtomicBool) -> Self {
        Self(Some(has_failed))
    }

    fn succeed(mut self) {
        self.0 = None;
    }
}

impl Drop for StatementGuard<'_> {
    fn drop(&mut self) {
        if let Some(has_failed) = self.0 {
            has_failed.store(true, Ordering::Relaxed);
        }
    }
}

#[async_trait]
impl ConnectionTrait for Transaction {
    fn get_database_backend(&self) -> DbBackend {
        self.inner().get_database_backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.guarded(self.inner().execute_raw(statement)).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.guarded(self.inner().execute_unprepared(sql)).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        self.guarded(self.inner().query_one_raw(statement)).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.guarded(self.inner().query_all_raw(statement)).await
    }
}

/// Runs single queries with a timeout, each on its own snapshot.
#[derive(Debug, Clone)]
pub(super) struct Reader(pub(super) Arc<Pool>);

#[async_trait]
impl ConnectionTrait for Reader {
    fn get_database_backend(&self) -> DbBackend {
        self.0.backend()
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        let run = |pool: DatabaseConnection| {
            let statement = statement.clone();
            async move { pool.execute_raw(statement).await }
        };
        self.0.run(run).await
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.0.run(|pool| async move { pool.execute_unprepared(sql).await }).await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        let run = |pool: DatabaseConnection| {
            let statement = statement.clone();
            async move { pool.query_one_raw(statement).await }
        };
        self.0.run(run).await
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        let run = |pool: DatabaseConnection| {
            let statement = statement.clone();
            async move { pool.query_all_raw(statement).await }
        };
        self.0.run(run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::domain::key::PipelineKey;
    use crate::store::{MigrateTo, Store};

    /// SQLite rolls a transaction back when the disk is full, and the driver does not notice.
    #[tokio::test]
    async fn commit_of_a_transaction_that_sqlite_rolled_back_fails() {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}/pipewatch.db", folder.path().display());
        let store = Store::open(&url, Clock::system()).await.expect("open");
        store.migrate(MigrateTo::Up(None)).await.expect("up");
        let insert = "INSERT INTO pipelines (key, revision) VALUES ('lost', 1)";
        let transaction = store.write().await.expect("a transaction");
        transaction.execute_unprepared(insert).await.expect("inserted");
        transaction.execute_unprepared("ROLLBACK").await.expect("rolled back");
        transaction.commit().await.expect_err("nothing was committed");

        let transaction = store.write().await.expect("a transaction on a new connection");
        transaction.execute_unprepared(&insert.replace("lost", "kept")).await.expect("inserted");
        transaction.commit().await.expect("committed");
        let pipelines = store.pipelines().await.expect("pipelines");
        assert_eq!(
            pipelines.iter().map(|(key, _)| key.clone()).collect::<Vec<PipelineKey>>(),
            ["kept".parse().expect("a key")]
        );
        store.close().await.expect("closed");
    }
}
