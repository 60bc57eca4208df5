//! Helpers for SQL statements.

use chrono::SecondsFormat;
use sea_orm::{ConnectionTrait, DbBackend, DbErr, Statement};
use serde::Serialize;

use crate::domain::time::Timestamp;

/// Rows per INSERT: 24 columns × 1,000 rows stay below SQLite's limit of 32,766 parameters.
pub(super) const MAX_ROWS_PER_INSERT: usize = 1_000;

pub(super) async fn execute(
    transaction: &impl ConnectionTrait,
    sql: &str,
    rows: &(impl Serialize + ?Sized),
) -> Result<(), DbErr> {
    let rows = serde_json::to_string(rows).map_err(|error| DbErr::Custom(error.to_string()))?;
    let backend = transaction.get_database_backend();
    transaction.execute_raw(Statement::from_sql_and_values(backend, sql, [rows.into()])).await?;
    Ok(())
}

/// A timestamp in the format of SQLite's rows, which are compared as text.
pub(super) fn text(instant: Timestamp) -> String {
    instant.to_rfc3339_opts(SecondsFormat::AutoSi, false)
}

/// Counts rows up to a limit, which is the last value. A larger number costs no more.
pub(super) async fn count(
    connection: &impl ConnectionTrait,
    sql: &str,
    values: impl IntoIterator<Item = sea_orm::Value>,
) -> Result<usize, DbErr> {
    let statement = Statement::from_sql_and_values(connection.get_database_backend(), sql, values);
    let row = connection.query_one_raw(statement).await?;
    let count: i64 = row.ok_or_else(|| DbErr::RecordNotFound("a count".to_owned()))?.try_get_by_index(0)?;
    Ok(usize::try_from(count).unwrap_or(0))
}

pub(super) fn bigint(limit: usize) -> sea_orm::Value {
    i64::try_from(limit).unwrap_or(i64::MAX).into()
}

/// The sum of a column of counts, at most 2⁵³ − 1: databases fail where a sum exceeds 64 bits. Null without values.
pub(super) fn capped_sum(column: &str, backend: DbBackend) -> String {
    let sum = match backend {
        DbBackend::Postgres => format!("LEAST(SUM({column}), 9007199254740991)::bigint"),
        // TOTAL computes with floating point, which is exact up to there.
        _ => format!("CAST(MIN(TOTAL({column}), 9007199254740991.0) AS INTEGER)"),
    };
    format!("CASE WHEN COUNT({column}) > 0 THEN {sum} END")
}

/// The table of the named counts in a column, and its expressions of name and value.
pub(super) fn each_count(column: &str, backend: DbBackend) -> (String, &'static str, &'static str) {
    match backend {
        DbBackend::Postgres => (
            format!("LATERAL jsonb_each_text({column}::jsonb) AS named(name, value)"),
            "named.name",
            "named.value::bigint",
        ),
        _ => (format!("json_each({column}) AS named"), "named.key", "named.value"),
    }
}
