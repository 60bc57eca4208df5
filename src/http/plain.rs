//! What the plain event stream and the plain WebSocket share: a watcher of a pipeline's plain status.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::http::Uri;
use bytes::Bytes;
use futures_util::StreamExt as _;

use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::http::problem::Problem;
use crate::http::streams::{Streams, hash};
use crate::http::{PlainQuery, Services};
use crate::live::admission::Permit;
use crate::live::channel::Watch;
use crate::live::group::{Key, News, Place, Source, TooManyGroups};
use crate::live::manner::Manner;
use crate::live::payload::{Dress, Payload};
use crate::live::peer::{Peer, Wire};
use crate::live::snapshot::{Listing, Snapshot};

/// Somebody who asked for something that there is, and was admitted.
#[derive(Debug)]
pub(super) struct Watcher {
    pipeline: PipelineKey,
    listing: Listing,
    watch: Watch<Snapshot>,
    permit: Permit,
}

impl Watcher {
    /// Admits a request. Who has `seen` a revision that this server does not know has it looked for.
    pub(super) async fn admit(
        services: &Services,
        viewer: Viewer,
        address: SocketAddr,
        uri: &Uri,
        manner: &'static Manner,
        seen: Option<Revision>,
    ) -> Result<Self, Problem> {
        let query = PlainQuery::of(uri)?;
        let (pipeline, listing) = (query.pipeline(viewer)?, query.listing()?);
        let permit = services.streams.admit(address, manner)?;
        if let Some(seen) = seen {
            services.monitor.look_again(&pipeline, seen).await;
        }
        let watch = services.monitor.watch(&pipeline).await?;
        Ok(Self { pipeline, listing, watch, permit })
    }

    /// Puts it on its wire and into its group, in the dress of its transport.
    pub(super) fn connect(
        self,
        streams: &Streams,
        wire: Box<dyn Wire>,
        manner: &'static Manner,
        first: &[u8],
        dress: &'static Dress,
    ) -> (Arc<Peer>, Result<Place, TooManyGroups>) {
        let Self { pipeline, listing, watch, permit } = self;
        let peer = streams.connect(wire, manner, permit, first);
        let least = watch.newest().map(|snapshot| snapshot.revision());
        let place = streams.groups.join_at(key(&pipeline, listing), || source(watch, listing), &peer, dress, "", least);
        (peer, place)
    }
}

/// The group of those who watch a pipeline's plain status.
fn key(pipeline: &PipelineKey, listing: Listing) -> Key {
    hash([&b"plain"[..], pipeline.as_str().as_bytes(), &[listing as u8]])
}

/// The snapshots of a pipeline as plain JSON.
fn source(watch: Watch<Snapshot>, listing: Listing) -> Source {
    let payload = move |snapshot: Arc<Snapshot>| {
        let json: Bytes = snapshot.rendering(listing).json.clone();
        News::Payload(Arc::new(Payload::new(json, Some(snapshot.revision()))))
    };
    watch.into_stream().map(payload).boxed()
}
