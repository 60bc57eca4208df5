/// Many rows, inserted by SQL.
pub(crate) mod bulk;
/// Connected WebSocket and SSE clients.
pub(crate) mod clients;
/// Databases for one test: an SQLite file, or a database on the shared PostgreSQL server.
pub(crate) mod database;
/// An evaluator without a server.
pub(crate) mod evaluator;
/// Failures of the machine and of the network.
pub(crate) mod faults;
/// Clients that work normally during an attack.
pub(crate) mod honest_clients;
/// A notifier without a server.
pub(crate) mod notifier;
/// Receivers of notifications.
pub(crate) mod receivers;
/// Reporters that record which reports were acknowledged.
pub(crate) mod reporters;
/// A server in this process, and one in a separate process.
pub(crate) mod server;
/// Runs of the program as a user types them.
pub(crate) mod shell;
/// The program in a pseudo-terminal.
pub(crate) mod terminal;
/// A store with a clock set by the test.
pub(crate) mod timed_store;

use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use database::Database;
pub(crate) use server::Server;

/// Deadline for a condition. Long, for a busy machine; no test waits longer than it needs to.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);
/// What a busy machine may add to a time that the server promises.
pub(crate) const ALLOWANCE: Duration = Duration::from_secs(20);

/// Declares each `async fn name(database: Database)` as two tests, one on SQLite and one on PostgreSQL.
macro_rules! on_both_databases {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::Database::sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::support::Database::postgres().await).await;
            })+
        }
    };
}

/// Polls until the condition returns a value.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let poll = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            if let Some(found) = condition().await {
                return found;
            }
        }
    };
    tokio::time::timeout(DEADLINE, poll).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// Awaits a future, with a deadline.
pub(crate) async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

/// A successful source run that ended now.
pub(crate) fn run(source: &str) -> Value {
    json!({"source": source, "timestamp": now(), "articles_collected": 3, "events_extracted": 2,
        "geocoding_attempts": 20, "geocoding_successes": 18, "validation_attempts": 20, "validation_passes": 19})
}

/// `item` with the fields of `change` added or replaced.
pub(crate) fn with(mut item: Value, change: Value) -> Value {
    let (Value::Object(fields), Value::Object(change)) = (&mut item, change) else { panic!("two objects") };
    fields.extend(change);
    item
}

/// The current time in the format of reports.
pub(crate) fn now() -> String {
    ago(chrono::TimeDelta::zero())
}

/// A past time in the server's format: microseconds without trailing zeros.
pub(crate) fn ago(span: chrono::TimeDelta) -> String {
    use pipewatch::domain::time::{rfc3339, to_micros};
    rfc3339(to_micros(chrono::Utc::now() - span))
}

/// A revision as a number.
pub(crate) fn revision(value: &Value) -> u64 {
    value.as_str().and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("a revision: {value}"))
}
