use std::sync::Arc;

use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt as _};

/// Publishes the newest value to many receivers. A slow receiver skips values; nothing queues.
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
    /// Publishes a value.
    pub fn publish(&self, value: Arc<T>) {
        self.newest.send_replace(Some(value));
    }

    /// The newest value, if there is one yet.
    pub fn newest(&self) -> Option<Arc<T>> {
        self.newest.borrow().clone()
    }

    /// A receiver of the newest value and all later ones.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(self.newest.subscribe())
    }

    /// Whether there is a receiver.
    pub fn is_watched(&self) -> bool {
        !self.newest.is_closed()
    }

    /// Waits until there is no receiver.
    pub async fn wait_idle(&self) {
        self.newest.closed().await;
    }
}

/// Receives the newest value of a [`Channel`].
#[derive(Debug)]
pub struct Receiver<T>(watch::Receiver<Option<Arc<T>>>);

/// A channel's later values. Before the first there may be none.
pub(super) type Changes<T> = WatchStream<Option<Arc<T>>>;

impl<T> Receiver<T> {
    /// The newest value, if there is one yet.
    pub fn newest(&self) -> Option<Arc<T>> {
        self.0.borrow().clone()
    }
}

impl<T: Send + Sync + 'static> Receiver<T> {
    /// The newest value, then all later ones, until the channel is dropped.
    pub fn into_stream(self) -> impl Stream<Item = Arc<T>> + Send + 'static {
        WatchStream::new(self.0).filter_map(|value| value)
    }

    /// The newest value, and the later ones.
    pub(super) fn into_parts(mut self) -> (Option<Arc<T>>, Changes<T>) {
        let newest = self.0.borrow_and_update().clone();
        (newest, WatchStream::from_changes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn slow_receiver_skips_to_the_newest_value() {
        let channel = Channel::default();
        let mut values = std::pin::pin!(channel.subscribe().into_stream());
        for number in 0..5 {
            channel.publish(Arc::new(number));
        }
        assert_eq!(values.next().await.as_deref(), Some(&4));
        drop(channel);
        assert_eq!(values.next().await, None);
    }

    #[tokio::test]
    async fn late_receiver_gets_the_newest_value_and_is_counted() {
        let channel = Channel::default();
        channel.publish(Arc::new("first"));
        assert!(!channel.is_watched());
        let mut values = Box::pin(channel.subscribe().into_stream());
        assert!(channel.is_watched());
        assert_eq!(values.next().await.as_deref(), Some(&"first"));
        drop(values);
        channel.wait_idle().await;
    }
}
