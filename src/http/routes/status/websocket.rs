use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;

use crate::domain::viewer::Viewer;
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::hijack::Hijack;
use crate::http::routes::status::watch::StatusWatch;
use crate::http::state::Services;
use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::profile::TransportProfile;
use crate::push::protocol::close::Close;
use crate::push::protocol::handshake::handshake_response;
use crate::push::protocol::websocket;

const PROFILE: TransportProfile = TransportProfile::StatusWebSocket;

/// Sends the newest status and every new one as text messages. Messages of the client are ignored.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let mut response = handshake_response(&request, None)?;
    let Ok(viewer) = viewer else { return refuse(&services, caller, response) };
    let watch = StatusWatch::admit(&services, viewer, &caller, request.uri(), PROFILE, None).await?;
    let limits = services.limits.websocket;
    Hijack::attach(&mut response, move |socket, leftover, head| {
        let hub = &services.hub;
        let (connection, guard) = watch.connect(hub, socket, PROFILE, Framing::Raw, head, Encoding::StatusWebSocket);
        let reading = websocket::read_loop(connection, &leftover, limits, |_, _| Ok(()));
        hub.tasks.spawn(async move {
            reading.await;
            drop(guard);
        });
    });
    Ok(response)
}

/// Accepts the handshake and closes the connection: a browser's `WebSocket` does not show its page the status of a response,
/// but it does show the close code.
fn refuse(services: &Services, caller: Caller, mut response: Response) -> Result<Response, Problem> {
    services.hub.check_running()?;
    let (hub, limits) = (services.hub.clone(), services.limits.websocket);
    Hijack::attach(&mut response, move |socket, leftover, head| {
        let connection = hub.connect(socket, PROFILE, Framing::Raw, None, &head);
        caller.pending.attach(&connection);
        websocket::close(&connection, &Close::new(4001, "Unauthorized"));
        let reading = websocket::read_loop(connection, &leftover, limits, |_, _| Ok(()));
        hub.tasks.clone().spawn(async move {
            reading.await;
            drop(caller);
        });
    });
    Ok(response)
}
