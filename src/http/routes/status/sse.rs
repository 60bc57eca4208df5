use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, Method, Response, Uri, Version};

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::event_stream;
use crate::http::event_stream::EVENT_STREAM;
use crate::http::routes::status::watch::StatusWatch;
use crate::http::state::Services;
use crate::push::encoding::Encoding;
use crate::push::hub::wait_for_close;
use crate::push::profile::TransportProfile;

/// The header with the id of the last event that a client received.
pub(in crate::http) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The revision in `Last-Event-ID`; `None` if it is not one.
pub fn last_event_id(headers: &HeaderMap) -> Option<Revision> {
    headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()
}

/// Streams the newest status, every new one, and each alert event before the first status that includes it, until the
/// pipeline is removed or the server stops.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Viewer,
    caller: Caller,
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    // The client may have seen a newer status on another server.
    let seen = last_event_id(&headers);
    let profile = TransportProfile::StatusSse;
    let watch = StatusWatch::admit(&services, viewer, &caller, &uri, profile, seen).await?;
    if method == Method::HEAD {
        return Ok(event_stream::head(EVENT_STREAM));
    }
    let retry = b"retry: 3000\n";
    Ok(event_stream::open(version, EVENT_STREAM, retry, move |socket, head, framing| {
        let hub = &services.hub;
        let (connection, guard) = watch.connect(hub, socket, profile, framing, head, Encoding::StatusSse);
        hub.tasks.spawn(async move {
            wait_for_close(&connection).await;
            drop(guard);
        });
    }))
}
