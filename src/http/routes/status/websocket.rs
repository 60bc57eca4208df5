use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, Uri, Version};
use axum::response::Response;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::domain::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::hijack::Takeover;
use crate::http::problem::Problem;
use crate::http::routes::status::watch::Watcher;
use crate::http::{Services, socket};
use crate::push::message::{Dress, Payload};
use crate::push::profile::Manner;
use crate::push::protocol::ws_frame::{Close, write_header};

static MANNER: Manner = socket::manner("websocket");

/// A whole text frame, the same for everybody.
static STATUS: Dress = Dress {
    slot: 0,
    body: frame,
    lead: |_, _, _| {},
    alert: None,
    ending: |_, _, out| Close::new(1000, "the pipeline was removed").write(out),
    ends_connection: true,
};

fn frame(payload: &Payload) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.json.len() + 4);
    write_header(OpCode::Data(Data::Text), payload.json.len(), &mut frame);
    frame.extend_from_slice(&payload.json);
    frame
}

/// The status as text messages: at once, then every new one. What the client sends is read and ignored.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    caller: Caller,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(viewer) = viewer else { return refuse(&services, caller, version, &headers) };
    let mut response = socket::handshake(version, &headers, None)?;
    let watcher = Watcher::admit(&services, viewer, &caller, &uri, &MANNER, None).await?;
    let limits = services.limits;
    Takeover::mark(&mut response, move |wire, already, head| {
        let streams = &services.streams;
        let (peer, place) = watcher.connect(streams, wire, &MANNER, head, &STATUS);
        streams.tasks.spawn(async move {
            socket::listen(&peer, already, limits, |_, _| Ok(())).await;
            drop(place);
        });
    });
    Ok(response)
}

/// A browser's `WebSocket` does not show its page the status of a handshake, but it does show how it was closed.
fn refuse(services: &Services, caller: Caller, version: Version, headers: &HeaderMap) -> Result<Response, Problem> {
    let mut response = socket::handshake(version, headers, None)?;
    services.streams.check_running()?;
    let (streams, limits) = (services.streams.clone(), services.limits);
    Takeover::mark(&mut response, move |wire, already, head| {
        let peer = streams.connect(wire, &MANNER, None, &head);
        caller.seat.hand_over(&peer);
        socket::close(&peer, &Close::new(4001, "Unauthorized"));
        streams.tasks.clone().spawn(async move {
            socket::listen(&peer, already, limits, |_, _| Ok(())).await;
            drop(caller);
        });
    });
    Ok(response)
}
