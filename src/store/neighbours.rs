//! What the servers on one PostgreSQL tell each other: that something is committed, and not what. Who hears it looks.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::domain::pipeline::PipelineKey;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::connect::Connections;

/// The channel is named after the table, so that those hear each other who share it, and not others who have a schema of
/// their own in the same database.
const CHANNEL: &str = "SELECT format('pipewatch.%s', 'pipelines'::regclass::oid)";
const NOTIFY: &str = "SELECT pg_notify(format('pipewatch.%s', 'pipelines'::regclass::oid), $1)";
/// So far apart are two messages of one server: what is committed in between goes together.
const DISTANCE: Duration = Duration::from_millis(50);
/// How long a message may take; after that the others find by themselves what it would have told.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of more pipelines than these the keys are not told: a payload must stay below 8,000 bytes.
const MANY: usize = 100;

/// A message as it goes over the channel.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    /// Who says it: each server hears itself, too.
    from: Uuid,
    /// The pipelines that have changed or are gone; none where it may be any.
    pipelines: Option<Vec<String>>,
    /// Whether alerts of the server itself took a step.
    alerts: bool,
}

/// What is to be told next.
#[derive(Debug, Default)]
struct Untold {
    pipelines: BTreeSet<PipelineKey>,
    alerts: bool,
}

impl Untold {
    fn message(&self, from: Uuid) -> Message {
        let keys = || self.pipelines.iter().map(PipelineKey::to_string).collect();
        Message { from, pipelines: (self.pipelines.len() <= MANY).then(keys), alerts: self.alerts }
    }
}

/// Tells the other servers of commits, once they are made and without anybody waiting for it.
///
/// A NOTIFY takes a lock of the whole database until its transaction is committed: in that of a report it would have all
/// reports of all servers take turns. So it has a transaction to itself, at most one in [`DISTANCE`]. Should a server die
/// between the two, the others find its change when they look by themselves.
#[derive(Debug)]
pub(super) struct Teller {
    name: Uuid,
    // A std mutex: held to add to it or take it, never across an await.
    untold: Arc<Mutex<Untold>>,
    bell: mpsc::Sender<()>,
}

impl Teller {
    /// Starts the task that tells. It ends when the teller is dropped and all is told.
    pub(super) fn start(connections: Connections) -> (Self, JoinHandle<()>) {
        let (name, untold) = (Uuid::new_v4(), Arc::<Mutex<Untold>>::default());
        let (bell, rings) = mpsc::channel(1);
        let task = tokio::spawn(tell(connections, name, Arc::clone(&untold), rings));
        (Self { name, untold, bell }, task)
    }

    pub(super) fn tell_of(&self, pipeline: &PipelineKey) {
        lock(&self.untold).pipelines.insert(pipeline.clone());
        self.ring();
    }

    pub(super) fn tell_of_alerts(&self) {
        lock(&self.untold).alerts = true;
        self.ring();
    }

    /// Tells of nothing.
    pub(super) fn greet(&self) {
        self.ring();
    }

    pub(super) fn name(&self) -> Uuid {
        self.name
    }

    /// Has a message sent. When the bell has not been heard yet, what was added goes with what it was rung for.
    fn ring(&self) {
        let _ = self.bell.try_send(());
    }
}

async fn tell(connections: Connections, name: Uuid, untold: Arc<Mutex<Untold>>, mut bell: mpsc::Receiver<()>) {
    while bell.recv().await.is_some() {
        let message = std::mem::take(&mut *lock(&untold)).message(name);
        let text = serde_json::to_string(&message).expect("plain structures always serialise");
        let notify = Statement::from_sql_and_values(DbBackend::Postgres, NOTIFY, [text.into()]);
        let told = timeout(PATIENCE, connections.reader().execute_raw(notify)).await;
        if let Err(error) = told.map_err(Error::database).and_then(|told| told.map_err(Error::database)) {
            tracing::debug!(error = &error as &dyn std::error::Error, "the other servers are not told of a change");
        }
        sleep(DISTANCE).await;
    }
}

fn lock(untold: &Mutex<Untold>) -> MutexGuard<'_, Untold> {
    untold.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A connection that receives the notifications of the other servers.
pub struct Listener {
    connection: PgListener,
    /// Changes when the connections to the database are replaced.
    replacements: watch::Receiver<u64>,
}

/// The database has told no name of a channel.
#[derive(Debug, thiserror::Error)]
#[error("the channel has no name")]
struct Nameless;

/// The connection is no more.
#[derive(Debug, thiserror::Error)]
#[error("the connection on which other servers are heard has ended")]
struct Ended;

impl Store {
    /// Listens to the other servers on a PostgreSQL, on a connection of its own, and then looks for what was changed
    /// before. This server greets itself: with that greeting [`Store::hear`] comes back for the first time, unless something
    /// is in between that lets no notice through.
    pub async fn listen(&self) -> Result<Listener> {
        let listen = async {
            let (mut connection, replacements) = self.connections.listener().await.map_err(Error::database)?;
            let channel = self.connections.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, CHANNEL));
            let channel = channel.await.map_err(Error::database)?.ok_or_else(|| Error::database(Nameless))?;
            let channel: String = channel.try_get_by_index(0).map_err(Error::database)?;
            connection.listen(&channel).await.map_err(Error::database)?;
            self.refresh().await?;
            Ok::<_, Error>(Listener { connection, replacements })
        };
        let listener = timeout(PATIENCE, listen).await.map_err(Error::database)??;
        // Of the server's own alerts nothing says which steps were missed.
        self.changes.stir();
        self.changes.greet();
        Ok(listener)
    }

    /// Waits for the next message, and learns what it tells of. That takes a query, but none when this server has told it.
    pub async fn hear(&self, listener: &mut Listener) -> Result<()> {
        let heard = tokio::select! {
            heard = listener.connection.try_recv() => heard.map_err(Error::database)?,
            // It fails with the pool only, which the store has.
            _ = listener.replacements.changed() => None,
        };
        let heard = heard.ok_or_else(|| Error::database(Ended))?;
        let message: Message = match serde_json::from_str(heard.payload()) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "a notice that no server sends");
                return Ok(());
            }
        };
        if self.changes.is_own(message.from) {
            return Ok(());
        }
        if message.alerts {
            self.changes.stir();
        }
        match message.pipelines {
            None => self.refresh().await.map(drop),
            Some(keys) => {
                let keys: Vec<PipelineKey> = keys.iter().filter_map(|key| key.parse().ok()).collect();
                if keys.is_empty() { Ok(()) } else { self.refresh_these(&keys).await }
            }
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_never_too_long_for_a_payload() {
        for (pipelines, are_named) in [(0, true), (1, true), (MANY, true), (MANY + 1, false), (10_000, false)] {
            let key = |number: usize| format!("{number:064}").parse().expect("a key");
            let untold = Untold { pipelines: (0..pipelines).map(key).collect(), alerts: true };
            let message = untold.message(Uuid::new_v4());
            assert_eq!(message.pipelines.as_ref().map(Vec::len), are_named.then_some(pipelines));
            assert!(serde_json::to_string(&message).expect("JSON").len() < 8_000, "{pipelines}");
        }
    }
}
