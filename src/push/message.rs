use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::domain::revision::Revision;

/// How many dresses there are.
pub const DRESSES: usize = 5;

/// What goes out to all who asked the same: JSON, rendered once, and once more for each transport's way of wrapping it.
#[derive(Debug)]
pub struct Payload {
    /// The JSON text.
    pub json: Bytes,
    /// The revision, where it is a status by itself.
    pub revision: Option<Revision>,
    /// The last steps of alerts, the oldest first: who has not been told of one is told of it before this.
    pub alerts: Steps,
    dressed: [OnceLock<Bytes>; DRESSES],
}

/// Steps of alerts, the oldest first: their numbers and their JSON.
pub type Steps = Arc<[(i64, Bytes)]>;

/// Writes a step of an alert, given as JSON.
pub type Tell = fn(json: &[u8], out: &mut Vec<u8>);

/// How a transport wraps what goes out: what is the same for all its subscribers is made once, and what differs leads it.
#[derive(Debug)]
pub struct Dress {
    /// Which of the dresses it is.
    pub slot: usize,
    /// The part that all share.
    pub body: fn(&Payload) -> Vec<u8>,
    /// What comes before it, for the subscription of this id and a body of so many bytes.
    pub lead: fn(id: &str, body: usize, out: &mut Vec<u8>),
    /// How a step of an alert is told, where that is told at all.
    pub alert: Option<Tell>,
    /// What is said when there will be no more.
    pub ending: fn(id: &str, ending: &Ending, out: &mut Vec<u8>),
    /// Whether the connection ends with the subscription.
    pub ends_connection: bool,
}

/// Why there will be no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// What was watched is gone.
    Complete,
    /// It could not be watched: the list of errors, as JSON.
    Errors(Bytes),
}

impl Payload {
    /// Of a JSON text.
    pub fn new(json: Bytes, revision: Option<Revision>) -> Self {
        Self { json, revision, alerts: Steps::default(), dressed: Default::default() }
    }

    /// Before which these steps of alerts are told.
    #[must_use]
    pub fn after(self, alerts: Steps) -> Self {
        Self { alerts, ..self }
    }

    /// The shared part in this dress.
    pub fn dressed(&self, dress: &Dress) -> &Bytes {
        self.dressed[dress.slot].get_or_init(|| (dress.body)(self).into())
    }
}
