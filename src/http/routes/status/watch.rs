//! What the plain event stream and the plain WebSocket share: a watcher of a pipeline's plain status.

use std::sync::Arc;

use axum::http::Uri;
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::api::status::alert_step;
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::problem::Problem;
use crate::http::streams::{Streams, hash};
use crate::http::{PlainQuery, Services};
use crate::push::broker::{Key, News, Past, Place, Source};
use crate::push::connection::Peer;
use crate::push::io::socket::Wire;
use crate::push::limits::Permit;
use crate::push::message::{Dress, Payload, Steps};
use crate::push::profile::Manner;
use crate::status::channel::Watch;
use crate::status::snapshot::{Listing, Snapshot};
use crate::store::alerts::read::Since;

/// Steps of alerts that are told to who comes back, at most: who was away for longer reads the list of alerts.
const MOST_MISSED: u64 = 1_000;

/// Somebody who asked for something that there is, and was admitted.
#[derive(Debug)]
pub(super) struct Watcher {
    pipeline: PipelineKey,
    listing: Listing,
    watch: Watch<Snapshot>,
    permit: Permit,
    /// The steps of alerts that somebody missed who comes back, and the number of the last that there was.
    missed: Option<(Steps, i64)>,
}

impl Watcher {
    /// Admits a request. Who has `seen` a revision that this server does not know has it looked for.
    pub(super) async fn admit(
        services: &Services,
        viewer: Viewer,
        caller: &Caller,
        uri: &Uri,
        manner: &'static Manner,
        seen: Option<Revision>,
    ) -> Result<Self, Problem> {
        let query = PlainQuery::of(uri)?;
        let (pipeline, listing) = (query.pipeline(viewer)?, query.listing()?);
        let permit = services.streams.admit(caller, manner)?;
        if let Some(seen) = seen {
            services.monitor.look_again(&pipeline, seen).await;
        }
        let watch = services.monitor.watch(&pipeline).await?;
        let missed = match seen {
            // Watching has begun: what happens from here on is in what comes.
            Some(seen) => Some(missed(services, &pipeline, seen).await?),
            None => None,
        };
        Ok(Self { pipeline, listing, watch, permit, missed })
    }

    /// Puts it on its wire and into its group, in the dress of its transport.
    pub(super) fn connect(
        self,
        streams: &Streams,
        wire: Box<dyn Wire>,
        manner: &'static Manner,
        mut first: Vec<u8>,
        dress: &'static Dress,
    ) -> (Arc<Peer>, Place) {
        let Self { pipeline, listing, watch, permit, missed } = self;
        let mut past = Past { least: watch.newest().map(|snapshot| snapshot.revision()), ..Past::default() };
        if let Some((steps, last)) = missed {
            if let Some(alert) = dress.alert {
                steps.iter().for_each(|(_, json)| alert(json, &mut first));
            }
            past.told = last;
        }
        let peer = streams.connect(wire, manner, Some(permit), &first);
        let place = streams.groups.join_plain(key(&pipeline, listing), || source(watch, listing), &peer, dress, past);
        (peer, place)
    }
}

/// The steps of alerts of a pipeline that came after a revision, and the number of the last step that there is.
async fn missed(services: &Services, pipeline: &PipelineKey, seen: Revision) -> Result<(Steps, i64), Problem> {
    let last = services.store.last_alert_event().await?;
    let events = services.store.alert_events(Some(pipeline), Since::Revision(seen), MOST_MISSED).await?;
    let last = events.last().map_or(last, |event| event.id.max(last));
    Ok((events.iter().map(|event| (event.id, alert_step(event))).collect(), last))
}

/// The group of those who watch a pipeline's plain status.
fn key(pipeline: &PipelineKey, listing: Listing) -> Key {
    hash([&b"plain"[..], pipeline.as_str().as_bytes(), &[listing as u8]])
}

/// The snapshots of a pipeline as plain JSON.
fn source(watch: Watch<Snapshot>, listing: Listing) -> Source {
    let payload = move |snapshot: Arc<Snapshot>| {
        let json: Bytes = snapshot.rendering(listing).json.clone();
        let steps = Arc::clone(snapshot.alert_steps());
        News::Payload(Arc::new(Payload::new(json, Some(snapshot.revision())).after(steps)))
    };
    watch.into_stream().map(payload).boxed()
}
