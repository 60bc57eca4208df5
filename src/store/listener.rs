//! Receives the notifications of other servers.

use sea_orm::sqlx::postgres::PgListener;
use sea_orm::{ConnectionTrait as _, DbBackend, Statement};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::domain::key::PipelineKey;
use crate::error::{Error, Result};
use crate::store::handle::Store;
use crate::store::notifier::{Message, NOTIFY_TIMEOUT};

/// The channel is named after the table's OID, so that servers with another schema in the same database do not share
/// it.
const CHANNEL: &str = "SELECT format('pipewatch.%s', 'pipelines'::regclass::oid)";

/// A connection that receives the notifications of the other servers.
pub struct Listener {
    connection: PgListener,
    /// Changes when the pool is replaced.
    replacements: watch::Receiver<u64>,
}

/// The query for the channel's name returned no row.
#[derive(Debug, thiserror::Error)]
#[error("the notification channel has no name")]
struct NoChannelName;

/// The connection was lost.
#[derive(Debug, thiserror::Error)]
#[error("the listening connection was lost")]
struct ListenerClosed;

impl Store {
    /// Opens a listening connection, and then loads the changes made before. This server notifies itself:
    /// [`Store::next_notification`] returns for the first time with that notification, unless a pooler drops
    /// notifications.
    pub async fn listen(&self) -> Result<Listener> {
        let listen = async {
            let (mut connection, replacements) = self.connections.listener().await.map_err(Error::database)?;
            let channel = self.connections.reader().query_one_raw(Statement::from_string(DbBackend::Postgres, CHANNEL));
            let channel = channel.await.map_err(Error::database)?.ok_or_else(|| Error::database(NoChannelName))?;
            let channel: String = channel.try_get_by_index(0).map_err(Error::database)?;
            connection.listen(&channel).await.map_err(Error::database)?;
            self.refresh().await?;
            Ok::<_, Error>(Listener { connection, replacements })
        };
        let listener = timeout(NOTIFY_TIMEOUT, listen).await.map_err(Error::database)??;
        // Missed events of server alerts are unknown.
        self.revisions.notify_all();
        self.revisions.send_loopback();
        Ok(listener)
    }

    /// Waits for the next notification and loads the changes that it names. Own notifications need no query.
    pub async fn next_notification(&self, listener: &mut Listener) -> Result<()> {
        let notification = tokio::select! {
            notification = listener.connection.try_recv() => notification.map_err(Error::database)?,
            // It can only fail when the pool is gone, which the store owns.
            _ = listener.replacements.changed() => None,
        };
        let notification = notification.ok_or_else(|| Error::database(ListenerClosed))?;
        let message: Message = match serde_json::from_str(notification.payload()) {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "ignoring a malformed notification");
                return Ok(());
            }
        };
        if self.revisions.is_own(message.from) {
            return Ok(());
        }
        if message.alerts {
            self.revisions.notify_all();
        }
        match message.pipelines {
            None => self.refresh().await.map(drop),
            Some(keys) => {
                let keys: Vec<PipelineKey> = keys.iter().filter_map(|key| key.parse().ok()).collect();
                if keys.is_empty() { Ok(()) } else { self.refresh_pipelines(&keys).await }
            }
        }
    }
}

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}
