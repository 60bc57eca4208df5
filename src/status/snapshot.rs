use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use crate::api::status::render_status;
use crate::domain::revision::Revision;
use crate::domain::status::PipelineStatus;
use crate::domain::time::{Timestamp, rfc3339};
use crate::push::message::{AlertEvents, Message};
use crate::push::topic::{Update, UpdateStream};
use crate::status::channel::Receiver;

/// A status with its revision. It is computed once, and its renderings are shared by all clients.
#[derive(Debug)]
pub struct Snapshot {
    status: PipelineStatus,
    computed_at: Instant,
    alert_events: AlertEvents,
    renderings: [OnceLock<Rendering>; 3],
}

/// Which sources the status lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SourceListing {
    /// The worst ones, at most [`SourceListing::MAX_WORST`].
    #[default]
    Worst,
    /// All of them, at most [`SourceListing::MAX_ALL`].
    All,
    /// None of them.
    None,
}

impl SourceListing {
    /// Sources that are listed unless all are requested, at most.
    pub const MAX_WORST: usize = 50;
    /// Sources that are listed if all are requested, at most. A pipeline has no more by default.
    pub const MAX_ALL: usize = 5_000;

    /// The length of the list, of `sources`.
    fn length(self, sources: usize) -> usize {
        match self {
            Self::Worst => sources.min(Self::MAX_WORST),
            Self::All => sources.min(Self::MAX_ALL),
            Self::None => 0,
        }
    }
}

/// The JSON of a snapshot, with its entity tag.
#[derive(Debug)]
pub struct Rendering {
    /// The JSON object.
    pub json: Bytes,
    /// A weak entity tag of everything but the instant.
    pub etag: Bytes,
    /// The instant, as in the JSON.
    pub timestamp: Bytes,
}

impl Snapshot {
    /// Of a status that was just computed.
    pub fn new(status: PipelineStatus) -> Self {
        Self {
            status,
            computed_at: Instant::now(),
            alert_events: AlertEvents::default(),
            renderings: Default::default(),
        }
    }

    /// The same snapshot with recent alert events.
    #[must_use]
    pub fn with_alert_events(self, alert_events: AlertEvents) -> Self {
        Self { alert_events, ..self }
    }

    /// The pipeline's alert events of some minutes, oldest first.
    pub fn alert_events(&self) -> &AlertEvents {
        &self.alert_events
    }

    /// The status.
    pub fn status(&self) -> &PipelineStatus {
        &self.status
    }

    /// The revision of the data it is worked out from.
    pub fn revision(&self) -> Revision {
        self.status.revision
    }

    /// The instant it is worked out for.
    pub fn timestamp(&self) -> Timestamp {
        self.status.timestamp
    }

    /// When it was computed, by the steady clock that schedules go by.
    pub fn computed_at(&self) -> Instant {
        self.computed_at
    }

    /// The JSON, rendered when it is first needed.
    pub fn rendering(&self, listing: SourceListing) -> &Rendering {
        self.renderings[listing as usize].get_or_init(|| {
            let listed = listing.length(self.status.scraping_health.sources.len());
            let json = Bytes::from(render_status(&self.status, listed, Some(self.status.timestamp)));
            // Eight bytes of the hash suffice: a tag is only compared with the one before it.
            let hash = Sha256::digest(render_status(&self.status, listed, None));
            let hash = hash.iter().take(8).fold(0u64, |hash, byte| hash << 8 | u64::from(*byte));
            let etag = format!("W/\"{}-{hash:016x}\"", self.status.revision);
            Rendering { json, etag: etag.into(), timestamp: rfc3339(self.status.timestamp).into() }
        })
    }
}

impl Receiver<Snapshot> {
    /// The JSON of the snapshots with their alert events, for a topic.
    pub fn into_updates(self, listing: SourceListing) -> UpdateStream {
        let message = move |snapshot: Arc<Snapshot>| {
            let json = snapshot.rendering(listing).json.clone();
            let events = Arc::clone(snapshot.alert_events());
            Update::Message(Arc::new(Message::new(json, Some(snapshot.revision())).with_events(events)))
        };
        self.into_stream().map(message).boxed()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::key::PipelineKey;
    use crate::domain::run::{LastRun, RunState};
    use crate::domain::status::{Excerpt, Facts, Rules, SourceFacts, evaluate};
    use crate::domain::time::parse_rfc3339;

    fn now() -> Timestamp {
        parse_rfc3339("2026-01-28T15:30:45.123456Z").expect("a time")
    }

    fn snapshot(sources: usize, seconds: i64) -> Snapshot {
        let sources = (0..sources).map(|index| SourceFacts {
            key: format!("s{index:03}").parse().expect("a source"),
            enabled: true,
            last_run: Some(LastRun { state: RunState::Ok, finished_at: now() }),
            running: 0,
            runs: 1,
            succeeded: 1,
            succeeded_fresh: 1,
        });
        let facts = Facts {
            pipeline: PipelineKey::default(),
            revision: Revision::after(None, now()),
            sources: sources.collect(),
            counts: std::collections::BTreeMap::new(),
            steps: Excerpt::default(),
            alerts: Excerpt::default(),
            anomalies: Excerpt::default(),
            metrics: vec![],
            conflict_events: None,
        };
        Snapshot::new(evaluate(facts, &Rules::default(), now() + TimeDelta::seconds(seconds)))
    }

    #[test]
    fn sources_beyond_the_limit_are_counted() {
        for (listing, listed, omitted) in
            [(SourceListing::Worst, 50, 10), (SourceListing::All, 60, 0), (SourceListing::None, 0, 60)]
        {
            let json = snapshot(60, 0).rendering(listing).json.clone();
            let status: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
            let health = &status["scraping_health"];
            assert_eq!(health["sources"].as_array().map(Vec::len), Some(listed), "{listing:?}");
            assert_eq!(health["sources_omitted"], omitted, "{listing:?}");
        }
    }

    #[test]
    fn entity_tag_depends_on_everything_but_the_instant() {
        let tag = |snapshot: Snapshot| snapshot.rendering(SourceListing::Worst).etag.clone();
        assert_eq!(tag(snapshot(3, 0)), tag(snapshot(3, 5)));
        assert_ne!(tag(snapshot(3, 0)), tag(snapshot(2, 0)));
        assert_ne!(tag(snapshot(3, 0)), tag(snapshot(3, 24 * 3600)), "the sources became stale");
    }
}
