//! graphql-transport-ws: the session says what a message means, the connection carries it out.

/// Carries a session over a WebSocket.
mod connection;
/// What each message means, without a socket.
mod session;

use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;

use crate::domain::viewer::Viewer;
use crate::http::Services;
use crate::http::problem::Problem;
use crate::http::socket::{MAX_MESSAGE, Socket};

/// The one subprotocol that is spoken, in its exact letters.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";

/// Upgrades a request that offers the subprotocol.
pub(super) fn serve(services: Services, viewer: Viewer, upgrade: WebSocketUpgrade) -> Result<Response, Problem> {
    let upgrade = upgrade.protocols([PROTOCOL]);
    if upgrade.selected_protocol().is_none() {
        return Err(Problem::bad_request(format!(
            "the WebSocket must offer the subprotocol {PROTOCOL} in Sec-WebSocket-Protocol"
        )));
    }
    let open = services.connections.tasks.token();
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
        connection::converse(Socket::new(socket), services, viewer).await;
        drop(open);
    }))
}
