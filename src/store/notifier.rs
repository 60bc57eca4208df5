//! Notifications between servers on one PostgreSQL database. They say that something was committed, not what; the
//! receiver queries it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::domain::key::PipelineKey;
use crate::error::Error;
use crate::store::connections::Connections;

const NOTIFY: &str = "SELECT pg_notify(format('pipewatch.%s', 'pipelines'::regclass::oid), $1)";
/// Minimum time between two notifications of one server. Commits in between share a notification.
const MIN_NOTIFY_INTERVAL: Duration = Duration::from_millis(50);
/// Timeout of a notification. After that, other servers find the change by polling.
pub(super) const NOTIFY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum number of pipeline keys in a notification: its payload must stay below 8,000 bytes.
const MAX_KEYS: usize = 100;

/// A notification's payload.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Message {
    /// The sender: each server receives its own notifications too.
    pub(super) from: Uuid,
    /// The changed or removed pipelines; `None` for any.
    pub(super) pipelines: Option<Vec<String>>,
    /// Whether alerts of the server itself changed.
    pub(super) alerts: bool,
}

/// The content of the next notification.
#[derive(Debug, Default)]
struct PendingNotification {
    pipelines: BTreeSet<PipelineKey>,
    alerts: bool,
}

impl PendingNotification {
    fn message(&self, from: Uuid) -> Message {
        let keys = || self.pipelines.iter().map(PipelineKey::to_string).collect();
        Message { from, pipelines: (self.pipelines.len() <= MAX_KEYS).then(keys), alerts: self.alerts }
    }
}

/// Notifies other servers of commits, in the background.
///
/// NOTIFY takes a database-wide lock until its transaction commits, so in a report's transaction it would serialise
/// the reports of all servers. It gets its own transaction, at most one per [`MIN_NOTIFY_INTERVAL`]. If a server dies
/// between the two, the others find its change by polling.
#[derive(Debug)]
pub(super) struct ChangeNotifier {
    id: Uuid,
    // A synchronous mutex: never held across an await.
    pending: Arc<Mutex<PendingNotification>>,
    wake: mpsc::Sender<()>,
}

impl ChangeNotifier {
    /// Starts the notifying task. It ends when the notifier is dropped and everything is sent.
    pub(super) fn start(connections: Connections) -> (Self, JoinHandle<()>) {
        let (id, pending) = (Uuid::new_v4(), Arc::<Mutex<PendingNotification>>::default());
        let (wake, woken) = mpsc::channel(1);
        let task = tokio::spawn(send_notifications(connections, id, Arc::clone(&pending), woken));
        (Self { id, pending, wake }, task)
    }

    pub(super) fn notify_pipeline(&self, pipeline: &PipelineKey) {
        lock(&self.pending).pipelines.insert(pipeline.clone());
        self.wake();
    }

    pub(super) fn notify_alerts(&self) {
        lock(&self.pending).alerts = true;
        self.wake();
    }

    /// Sends a notification without content.
    pub(super) fn send_loopback(&self) {
        self.wake();
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Wakes the task. When it is already due to wake, one notification covers both.
    fn wake(&self) {
        let _ = self.wake.try_send(());
    }
}

async fn send_notifications(
    connections: Connections,
    id: Uuid,
    pending: Arc<Mutex<PendingNotification>>,
    mut wake: mpsc::Receiver<()>,
) {
    while wake.recv().await.is_some() {
        let message = std::mem::take(&mut *lock(&pending)).message(id);
        let text = serde_json::to_string(&message).expect("plain structures always serialise");
        let notify = Statement::from_sql_and_values(DbBackend::Postgres, NOTIFY, [text.into()]);
        let sent = timeout(NOTIFY_TIMEOUT, connections.reader().execute_raw(notify)).await;
        if let Err(error) = sent.map_err(Error::database).and_then(|sent| sent.map_err(Error::database)) {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "cannot notify the other servers of a change; they find it by polling"
            );
        }
        sleep(MIN_NOTIFY_INTERVAL).await;
    }
}

fn lock(pending: &Mutex<PendingNotification>) -> MutexGuard<'_, PendingNotification> {
    pending.lock()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_fits_into_a_payload() {
        for (pipelines, are_named) in [(0, true), (1, true), (MAX_KEYS, true), (MAX_KEYS + 1, false), (10_000, false)] {
            let key = |number: usize| format!("{number:064}").parse().expect("a key");
            let pending = PendingNotification { pipelines: (0..pipelines).map(key).collect(), alerts: true };
            let message = pending.message(Uuid::new_v4());
            assert_eq!(message.pipelines.as_ref().map(Vec::len), are_named.then_some(pipelines));
            assert!(serde_json::to_string(&message).expect("JSON").len() < 8_000, "{pipelines}");
        }
    }
}
