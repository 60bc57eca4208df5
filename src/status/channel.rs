use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::watch;

/// Where the newest of something is published for many to watch: latest wins, nothing queues.
///
/// Watchers are counted by their receivers, so that none can be forgotten on any path out.
#[derive(Debug)]
pub struct Channel<T> {
    newest: watch::Sender<Option<Arc<T>>>,
}

impl<T> Default for Channel<T> {
    fn default() -> Self {
        Self { newest: watch::Sender::new(None) }
    }
}

impl<T> Channel<T> {
    /// Publishes a newer one.
    pub fn publish(&self, newest: Arc<T>) {
        self.newest.send_replace(Some(newest));
    }

    /// The newest one, if there is any yet.
    pub fn newest(&self) -> Option<Arc<T>> {
        self.newest.borrow().clone()
    }

    /// Watches from now on; the newest one, if there is any, comes at once.
    pub fn watch(&self) -> Watch<T> {
        let mut newest = self.newest.subscribe();
        newest.mark_changed();
        Watch { newest }
    }

    /// Whether anybody watches.
    pub fn is_watched(&self) -> bool {
        !self.newest.is_closed()
    }

    /// Waits until nobody watches.
    pub async fn unwatched(&self) {
        self.newest.closed().await;
    }
}

/// Somebody's watching. Dropping it ends it.
#[derive(Debug)]
pub struct Watch<T> {
    newest: watch::Receiver<Option<Arc<T>>>,
}

impl<T> Watch<T> {
    /// The newest one that was not yet given here; waits for one. `None` when no more will come.
    pub async fn next(&mut self) -> Option<Arc<T>> {
        loop {
            self.newest.changed().await.ok()?;
            if let Some(newest) = self.newest.borrow_and_update().clone() {
                return Some(newest);
            }
        }
    }

    /// Whether no more will come.
    pub fn has_ended(&self) -> bool {
        self.newest.has_changed().is_err()
    }

    /// The newest one, given here before or not.
    pub fn newest(&self) -> Option<Arc<T>> {
        self.newest.borrow().clone()
    }
}

impl<T: Send + Sync + 'static> Watch<T> {
    /// All that [`Watch::next`] gives.
    pub fn into_stream(self) -> impl Stream<Item = Arc<T>> + Send + 'static {
        unfold(self, |mut watch| async move { watch.next().await.map(|newest| (newest, watch)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_watcher_skips_to_the_newest() {
        let channel = Channel::default();
        let mut watch = channel.watch();
        for number in 0..5 {
            channel.publish(Arc::new(number));
        }
        assert_eq!(watch.next().await.as_deref(), Some(&4));
        drop(channel);
        assert_eq!(watch.next().await, None);
    }

    #[tokio::test]
    async fn a_late_watcher_gets_the_newest_at_once_and_is_counted() {
        let channel = Channel::default();
        channel.publish(Arc::new("first"));
        assert!(!channel.is_watched());
        let mut watch = channel.watch();
        assert!(channel.is_watched());
        assert_eq!(watch.next().await.as_deref(), Some(&"first"));
        drop(watch);
        channel.unwatched().await;
    }
}
