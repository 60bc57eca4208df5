use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, Uri, header};
use axum::response::Response;
use futures_util::stream::unfold;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::domain::viewer::Viewer;
use crate::http::problem::Problem;
use crate::http::{PlainQuery, Services};
use crate::live::channel::Watch;
use crate::live::snapshot::{Listing, Snapshot};

/// A comment goes out when so much time passed without an event, so that proxies keep the stream open.
const HEARTBEAT: Duration = Duration::from_secs(15);

struct Stream {
    watch: Watch<Snapshot>,
    listing: Listing,
    is_first: bool,
    stop: CancellationToken,
    _open: TaskTrackerToken,
}

/// The newest status at once, then every new one, until the pipeline is removed or the server stops.
pub(super) async fn serve(State(services): State<Services>, viewer: Viewer, uri: Uri) -> Result<Response, Problem> {
    let query = PlainQuery::of(&uri)?;
    let listing = query.listing()?;
    let stream = Stream {
        watch: services.monitor.watch(&query.pipeline(viewer)?).await?,
        listing,
        is_first: true,
        stop: services.connections.stop.clone(),
        _open: services.connections.tasks.token(),
    };
    let chunks =
        unfold(
            stream,
            |mut stream| async move { Some((Ok::<_, std::convert::Infallible>(stream.chunk().await?), stream)) },
        );
    let mut response = Response::new(Body::from_stream(chunks));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

impl Stream {
    async fn chunk(&mut self) -> Option<Bytes> {
        tokio::select! {
            () = self.stop.cancelled() => None,
            snapshot = self.watch.next() => {
                let event = snapshot?.rendering(self.listing).event.clone();
                let is_first = std::mem::take(&mut self.is_first);
                Some(if is_first { [b"retry: 3000\n", &event[..]].concat().into() } else { event })
            }
            () = tokio::time::sleep(HEARTBEAT) => Some(Bytes::from_static(b":\n\n")),
        }
    }
}
