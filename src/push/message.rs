use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use strum::EnumCount as _;
use tokio::sync::watch;

use crate::domain::revision::Revision;
use crate::push::encoding::Encoding;

/// The number of an alert event. Numbers rise; 0 is before the first.
pub type EventId = i64;

/// Recent alert events with their JSON, oldest first.
pub type AlertEvents = Arc<[(EventId, Bytes)]>;

/// What a topic publishes to all subscribers: JSON, rendered once, and encoded once per transport.
#[derive(Debug)]
pub struct Message {
    /// The JSON text.
    pub json: Bytes,
    /// The revision of the status, if the message is one.
    pub revision: Option<Revision>,
    /// Recent alert events. A subscriber that was not sent one of them gets it before this message.
    pub events: AlertEvents,
    encoded: [OnceLock<Bytes>; Encoding::COUNT],
}

impl Message {
    /// A message without alert events.
    pub fn new(json: Bytes, revision: Option<Revision>) -> Self {
        Self { json, revision, events: AlertEvents::default(), encoded: Default::default() }
    }

    /// The same message behind these alert events.
    #[must_use]
    pub fn with_events(self, events: AlertEvents) -> Self {
        Self { events, ..self }
    }

    /// The part that is the same for every subscriber of this encoding.
    pub fn encoded(&self, encoding: Encoding) -> &Bytes {
        self.encoded[encoding as usize].get_or_init(|| encoding.encode_shared(&self.json, self.revision).into())
    }
}

/// A topic's newest message with its version; version 0 has none.
pub(super) type Versioned = (u64, Option<Arc<Message>>);

/// Where a topic's newest message is read: older ones are skipped, never queued.
#[derive(Debug)]
pub(super) struct Latest(watch::Sender<Versioned>);

impl Latest {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new((0, None)))
    }

    pub(super) fn publish(&self, message: Arc<Message>) {
        self.0.send_modify(|(version, newest)| {
            *version += 1;
            *newest = Some(message);
        });
    }

    pub(super) fn get(&self) -> Versioned {
        self.0.borrow().clone()
    }

    pub(super) fn watch(&self) -> watch::Receiver<Versioned> {
        self.0.subscribe()
    }
}
