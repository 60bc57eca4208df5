//! Query plans of SQLite, which has no statistics: frequent queries must read rows of their time window only.

use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database, DatabaseConnection, DbBackend, QueryTrait, Statement};

use crate::domain::alert::AlertState;
use crate::domain::key::PipelineKey;
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;
use crate::store::alerts::anomalies;
use crate::store::alerts::read::{
    AlertRequest, Since, select_counts, select_events, select_open, select_page, select_worst,
};
use crate::store::sources::running::running;
use crate::store::status::facts::{select_check_sums, select_metric_sums, select_run_sums, select_running};

#[tokio::test]
async fn frequent_queries_read_only_their_window() {
    let connection = Database::connect("sqlite::memory:").await.expect("a database");
    Migrator::up(&connection, None).await.expect("a schema");
    let (key, since) = (PipelineKey::default(), Timestamp::UNIX_EPOCH);
    let metrics = "SEARCH data_quality_metrics USING INDEX idx_data_quality_metrics_pipeline_timestamp_id \
                   (pipeline=? AND timestamp>?)";
    let page = AlertRequest { first: 10, ..AlertRequest::default() };
    for (select, expect) in [
        (
            sql(&select_run_sums(&key, since, DbBackend::Sqlite)),
            "SEARCH source_runs USING INDEX idx_source_runs_pipeline_finished_at_id (pipeline=? AND finished_at>?)",
        ),
        (sql(&select_metric_sums(&key, since, DbBackend::Sqlite)), metrics),
        (
            sql(&select_check_sums(&key, since, DbBackend::Sqlite)),
            "SEARCH metric_checks USING INDEX idx_metric_checks_pipeline_timestamp (pipeline=? AND timestamp>?)",
        ),
        (sql(&select_running(&key)), "SEARCH source_runs USING INDEX idx_source_runs_running (pipeline=?)"),
        (sql(&running()), "SCAN source_runs USING INDEX idx_source_runs_running"),
        (sql(&select_open(Some(&key))), "SEARCH alerts USING INDEX idx_alerts_open_pipeline (pipeline=?)"),
        (sql(&select_open(None)), "SEARCH alerts USING INDEX idx_alerts_open_pipeline (pipeline=?)"),
        (sql(&select_counts(&key)), "SEARCH alerts USING COVERING INDEX idx_alerts_worst (pipeline=?)"),
        (
            sql(&select_worst(&key, Severity::High, AlertState::Firing, 100)),
            "SEARCH alerts USING INDEX idx_alerts_worst (pipeline=? AND severity=? AND state=?)",
        ),
        (
            sql(&anomalies::select_counts(&key, since)),
            "SEARCH anomalies USING COVERING INDEX idx_anomalies_pipeline_severity_bucket_start_id \
             (pipeline=? AND severity=? AND bucket_start>?)",
        ),
        (
            sql(&anomalies::select_worst(&key, Severity::High, since, 100)),
            "SEARCH anomalies USING INDEX idx_anomalies_pipeline_severity_bucket_start_id \
             (pipeline=? AND severity=? AND bucket_start>?)",
        ),
        (sql(&select_page(&page)), "SCAN alerts USING INDEX idx_alerts_changed_at_id"),
        (
            sql(&select_events(Some(&key), Since::Event(5))),
            "SEARCH alert_events USING INDEX idx_alert_events_pipeline_id (pipeline=? AND id>?)",
        ),
    ] {
        let plan = plan(&connection, select).await;
        assert!(plan.contains(&expect.to_owned()), "{plan:?}\nexpected {expect:?}");
    }
}

fn sql(select: &impl QueryTrait) -> Statement {
    select.build(DbBackend::Sqlite)
}

/// The steps of a query plan, as SQLite prints them.
async fn plan(connection: &DatabaseConnection, select: Statement) -> Vec<String> {
    let explain = Statement { sql: format!("EXPLAIN QUERY PLAN {}", select.sql), ..select };
    let steps = connection.query_all_raw(explain).await.expect("a plan");
    steps.iter().map(|step| step.try_get("", "detail").expect("a text")).collect()
}
