use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use pipewatch::clock::Clock;
use pipewatch::domain::health::Health;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::report::{Report, ReportContext, ReportKind};
use pipewatch::store::{MigrateTo, NewReport, RecordOutcome, Store};
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::Value;

use crate::support::Database;

/// A store without a server, with a clock set by the test.
pub(crate) struct TimedStore {
    pub(crate) store: Store,
    now: Arc<Mutex<DateTime<Utc>>>,
}

/// A time written in a test.
pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

impl TimedStore {
    pub(crate) async fn open(database: &Database, now: &str) -> Self {
        let now = Arc::new(Mutex::new(at(now)));
        let clock = Clock::new({
            let now = Arc::clone(&now);
            move || *now.lock().expect("no panic")
        });
        let store = Store::open(&database.url, clock).await.expect("open");
        store.migrate(MigrateTo::Up(None)).await.expect("up");
        store.prepare().await.expect("prepared");
        Self { store, now }
    }

    pub(crate) fn set_now(&self, now: &str) {
        *self.now.lock().expect("no panic") = at(now);
    }

    /// Stores reports in one batch.
    pub(crate) async fn record(&self, items: &[(ReportKind, Value)]) {
        let pipeline = Ok(PipelineKey::default());
        let arrival = ReportContext { received_at: *self.now.lock().expect("no panic"), pipeline };
        let entries = items.iter().map(|(kind, item)| {
            let report = Report::parse(*kind, item.clone(), &arrival).unwrap_or_else(|faults| panic!("{faults:?}"));
            NewReport { report, status: Health::Healthy }
        });
        let receipt = self.store.record(entries.collect()).await.expect("recorded");
        assert!(receipt.results.iter().all(|result| matches!(result, RecordOutcome::Stored(_))), "{receipt:?}");
    }

    pub(crate) async fn runs(&self, runs: &[Value]) {
        let runs: Vec<_> = runs.iter().map(|run| (ReportKind::SourceRun, run.clone())).collect();
        self.record(&runs).await;
    }

    pub(crate) async fn metrics(&self, metrics: &[Value]) {
        let metrics: Vec<_> = metrics.iter().map(|metric| (ReportKind::DataQuality, metric.clone())).collect();
        self.record(&metrics).await;
    }

    pub(crate) async fn close(self) {
        self.store.close().await.expect("closed");
    }
}

/// Rows as lines, read outside the server; each column must be cast to text.
pub(crate) async fn lines(database: &Database, sql: &str) -> Vec<String> {
    let connection = database.connect().await;
    let statement = Statement::from_string(connection.get_database_backend(), sql);
    let rows = connection.query_all_raw(statement).await.expect("good SQL");
    let lines = rows.iter().map(|row| row.try_get_by_index(0).expect("a text")).collect();
    connection.close().await.expect("closed");
    lines
}

/// All roll-ups of a pipeline, as sorted lines.
pub(crate) async fn rollups(database: &Database, pipeline: &str) -> Vec<String> {
    let start = if database.is_postgres() {
        "to_char(bucket_start AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
    } else {
        "substr(bucket_start, 1, 19)"
    };
    let sql = format!(
        "SELECT source || '|' || basis || '|' || series || '|' || bucket || '|' || {start} || '|' || runs || ' ' || \
         total || ' ' || passes FROM quality_rollups WHERE pipeline = '{pipeline}'"
    );
    let mut lines = lines(database, &sql).await;
    lines.sort_unstable();
    lines
}
