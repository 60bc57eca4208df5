//! What the event stream and the WebSocket share: watching a pipeline's status.

use std::sync::Arc;

use axum::http::Uri;

use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::query::StatusParams;
use crate::http::state::Services;
use crate::push::broker::ResumePoint;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::hub::{ConnectionHub, topic_key};
use crate::push::io::socket::Socket;
use crate::push::limits::ConnectionPermit;
use crate::push::message::{AlertEvents, EventId};
use crate::push::profile::TransportProfile;
use crate::push::quota::TopicKey;
use crate::push::topic::SubscriptionGuard;
use crate::status::channel::Receiver;
use crate::status::snapshot::{Snapshot, SourceListing};

/// A request for a status that was admitted.
#[derive(Debug)]
pub(super) struct StatusWatch {
    pipeline: PipelineKey,
    listing: SourceListing,
    snapshots: Receiver<Snapshot>,
    permit: ConnectionPermit,
    /// The alert events that a resuming client missed, and the id of the last event.
    replay: Option<(AlertEvents, EventId)>,
}

impl StatusWatch {
    /// Admits a request. If the client has seen a revision that this server does not know, it is looked up.
    pub(super) async fn admit(
        services: &Services,
        viewer: Viewer,
        caller: &Caller,
        uri: &Uri,
        profile: TransportProfile,
        seen: Option<Revision>,
    ) -> Result<Self, Problem> {
        let query = StatusParams::of(uri)?;
        let (pipeline, listing) = (query.pipeline(viewer)?, query.listing()?);
        let permit = services.hub.admit(caller.address, caller.subscriptions.clone(), profile)?;
        if let Some(seen) = seen {
            services.monitor.refresh_if_behind(&pipeline, seen).await;
        }
        let snapshots = services.monitor.watch(&pipeline).await?;
        let replay = match seen {
            // Events that are committed from here on come with the snapshots.
            Some(seen) => Some(services.monitor.missed_alert_events(&pipeline, seen).await?),
            None => None,
        };
        Ok(Self { pipeline, listing, snapshots, permit, replay })
    }

    /// Opens the connection and subscribes it to the topic of the pipeline.
    pub(super) fn connect(
        self,
        hub: &ConnectionHub,
        socket: Box<dyn Socket>,
        profile: TransportProfile,
        framing: Framing,
        mut head: Vec<u8>,
        encoding: Encoding,
    ) -> (Arc<Connection>, SubscriptionGuard) {
        let Self { pipeline, listing, snapshots, permit, replay } = self;
        let min_revision = snapshots.newest().map(|snapshot| snapshot.revision());
        let last_event_id = replay.map(|(events, last)| {
            events.iter().for_each(|(_, json)| encoding.write_event(json, framing, &mut head));
            last
        });
        let connection = hub.connect(socket, profile, framing, Some(permit), &head);
        let from = ResumePoint { min_revision, last_event_id };
        let guard = hub.broker.join_from(
            key(&pipeline, listing),
            || snapshots.into_updates(listing),
            &connection,
            encoding,
            from,
        );
        (connection, guard)
    }
}

/// The topic of a pipeline's status.
fn key(pipeline: &PipelineKey, listing: SourceListing) -> TopicKey {
    topic_key([&b"status"[..], pipeline.as_str().as_bytes(), &[listing as u8]])
}
