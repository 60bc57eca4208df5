use std::time::Duration;

use sea_orm::{DbErr, RuntimeErr, sqlx};

/// The cause of a database error, which decides how to recover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The connection is broken, silent, or was closed by the server. Another connection may work.
    Connection,
    /// The session is read-only, for example after a failover. Another session may write.
    ReadOnlySession,
    /// The disk is full.
    DiskFull,
    /// The database is locked, read-only, overloaded, or lacks a table. Every transaction fails.
    Database,
    /// The data of this transaction. Another transaction may succeed.
    Content,
}

impl Cause {
    pub(super) fn of(error: &DbErr) -> Self {
        match error {
            DbErr::Conn(RuntimeErr::Internal(_)) => Self::Connection,
            // `Custom` errors are the store's own, for example of a deleted file.
            DbErr::ConnectionAcquire(_) | DbErr::Custom(_) => Self::Database,
            DbErr::Conn(RuntimeErr::SqlxError(error))
            | DbErr::Exec(RuntimeErr::SqlxError(error))
            | DbErr::Query(RuntimeErr::SqlxError(error)) => Self::of_driver(error),
            _ => Self::Content,
        }
    }

    fn of_driver(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                // SQLite's codes are numbers, PostgreSQL's have five characters.
                match code.parse::<u32>() {
                    Ok(number) if code.len() < 5 => Self::of_sqlite(number),
                    _ => Self::of_postgres(&code),
                }
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed => Self::Database,
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Connection,
            _ => Self::Content,
        }
    }

    /// Maps SQLite's extended result code, whose lower byte is the primary code.
    fn of_sqlite(code: u32) -> Self {
        match code & 0xff {
            // ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE
            1 | 18 | 19 | 20 | 25 => Self::Content,
            // FULL
            13 => Self::DiskFull,
            _ => Self::Database,
        }
    }

    /// Maps PostgreSQL's SQLSTATE.
    fn of_postgres(code: &str) -> Self {
        match code {
            "25006" => Self::ReadOnlySession,
            "53100" => Self::DiskFull,
            // The server is shutting down or has terminated the session.
            "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => Self::Connection,
            _ => match code.get(..2) {
                Some("08") => Self::Connection,
                // Cardinality, data, constraints, program limits.
                Some("21" | "22" | "23" | "54") => Self::Content,
                _ => Self::Database,
            },
        }
    }
}

/// Whether the database rolled back a transaction that may succeed when retried: a deadlock or a serialisation
/// failure.
pub(super) fn is_conflict(error: &DbErr) -> bool {
    let (DbErr::Exec(RuntimeErr::SqlxError(error)) | DbErr::Query(RuntimeErr::SqlxError(error))) = error else {
        return false;
    };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    matches!(code.as_deref(), Some("40001" | "40P01"))
}

/// The database did not answer in time.
pub(super) fn no_answer(limit: Duration) -> DbErr {
    DbErr::Conn(RuntimeErr::Internal(format!("the database did not answer within {} s", limit.as_secs())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_from_codes() {
        for (code, cause) in [
            // SQLITE_FULL, SQLITE_IOERR_WRITE, SQLITE_BUSY, SQLITE_READONLY, SQLITE_CONSTRAINT_UNIQUE, SQLITE_TOOBIG
            (13, Cause::DiskFull),
            (778, Cause::Database),
            (5, Cause::Database),
            (8, Cause::Database),
            (2067, Cause::Content),
            (18, Cause::Content),
        ] {
            assert_eq!(Cause::of_sqlite(code), cause, "{code}");
        }
        for (code, cause) in [
            ("25006", Cause::ReadOnlySession),
            ("53100", Cause::DiskFull),
            ("57P01", Cause::Connection),
            ("25P03", Cause::Connection),
            ("08006", Cause::Connection),
            ("55P03", Cause::Database),
            ("57014", Cause::Database),
            ("42P01", Cause::Database),
            ("23505", Cause::Content),
            ("22021", Cause::Content),
        ] {
            assert_eq!(Cause::of_postgres(code), cause, "{code}");
        }
        assert_eq!(Cause::of(&no_answer(Duration::from_secs(1))), Cause::Connection);
        assert_eq!(Cause::of(&DbErr::RecordNotUpdated), Cause::Content);
    }
}
