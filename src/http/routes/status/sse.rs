use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, Uri, Version};

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::event_stream::{CHUNK_END, LAST_CHUNK, chunk};
use crate::http::problem::Problem;
use crate::http::routes::status::watch::Watcher;
use crate::http::streams::until_end;
use crate::http::{Services, event_stream};
use crate::push::message::{Dress, Payload};
use crate::push::profile::Manner;

static MANNER: Manner = event_stream::manner("sse");
static MANNER_IN_BODY: Manner = event_stream::manner_in_body("sse");

static STATUS: Dress = Dress {
    alert: Some(|json, out| out.extend_from_slice(&chunk(&alert_event(json)))),
    ..event_stream::dress(1, status_event, |_, _, out| out.extend_from_slice(LAST_CHUNK))
};
static STATUS_IN_BODY: Dress = Dress {
    alert: Some(|json, out| out.extend_from_slice(&alert_event(json))),
    ..event_stream::dress_in_body(1, status_event, |_, _, _| {})
};

fn status_event(payload: &Payload) -> Vec<u8> {
    let revision = payload.revision.map(|revision| revision.to_string()).unwrap_or_default();
    [b"event: status\nid: ", revision.as_bytes(), b"\ndata: ", &payload.json, b"\n\n", CHUNK_END].concat()
}

/// Without an id: a browser's `EventSource` gives back the last one of any kind, and that has to be a revision.
fn alert_event(json: &[u8]) -> Vec<u8> {
    [b"event: alert\ndata: ", json, b"\n\n"].concat()
}

/// The revision that a client saw last; a text that is not one counts as none.
pub fn last_event_id(headers: &HeaderMap) -> Option<Revision> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// The newest status at once, then every new one, and each step of an alert before the first status that has it, until the pipeline is removed or the server stops.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Viewer,
    caller: Caller,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    // What another server has shown already is not taken back here.
    let seen = last_event_id(&headers);
    let watcher = Watcher::admit(&services, viewer, &caller, &uri, &MANNER, seen).await?;
    let retry = b"retry: 3000\n";
    let response = event_stream::open(version, retry, move |wire, first, is_chunked| {
        let (manner, dress) = if is_chunked { (&MANNER, &STATUS) } else { (&MANNER_IN_BODY, &STATUS_IN_BODY) };
        let streams = &services.streams;
        let (peer, place) = watcher.connect(streams, wire, manner, first, dress);
        streams.tasks.spawn(async move {
            until_end(&peer).await;
            drop(place);
        });
    });
    Ok(response)
}
