//! graphql-transport-ws: the session says what a message means, and it is carried out here.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::Request;
use axum::http::header;
use axum::response::Response;

use crate::domain::viewer::{Fingerprint, Viewer};
use crate::graphql::answer::Refusal;
use crate::graphql::operation::RequestParams;
use crate::graphql::operations::{Responder, RunningOperation, StartError};
use crate::http::auth_failures::{Means, Penalty};
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::hijack::Hijack;
use crate::http::state::Services;
use crate::http::tokens::bearer;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::profile::TransportProfile;
use crate::push::protocol::close::Close;
use crate::push::protocol::graphql_ws::SUBPROTOCOL;
use crate::push::protocol::graphql_ws::message;
use crate::push::protocol::graphql_ws::session::{Credentials, Effect, Session};
use crate::push::protocol::handshake::handshake_response;
use crate::push::protocol::websocket::{self, Payload};

const PROFILE: TransportProfile = TransportProfile::GraphqlWs;
const ENCODING: Encoding = Encoding::GraphqlWs;

/// Accepts a handshake that offers the subprotocol. Without a viewer `connection_init` must bring credentials.
pub(super) fn serve(
    services: Arc<Services>,
    viewer: Option<Viewer>,
    caller: Caller,
    request: &Request,
) -> Result<Response, Problem> {
    let offered = request.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL);
    let mut offered = offered.into_iter().filter_map(|value| value.to_str().ok()).flat_map(|list| list.split(','));
    let mut response = handshake_response(request, Some(SUBPROTOCOL))?;
    if !offered.any(|subprotocol| subprotocol.trim() == SUBPROTOCOL) {
        return Err(Problem::bad_request(format!(
            "the WebSocket must offer the subprotocol {SUBPROTOCOL} in Sec-WebSocket-Protocol"
        )));
    }
    services.hub.check_running()?;
    let address = caller.address;
    // A client that is not authenticated stays in the pending pool, and takes no place of one that is.
    let (permit, unauthenticated) = match viewer {
        Some(_) => (Some(services.hub.admit(address, caller.subscriptions.clone(), PROFILE)?), None),
        None => (None, Some(caller)),
    };
    Hijack::attach(&mut response, move |socket, leftover, head| {
        let connection = services.hub.connect(socket, PROFILE, Framing::Raw, permit, &head);
        if let Some(caller) = &unauthenticated {
            caller.pending.attach(&connection);
        }
        let tasks = services.hub.tasks.clone();
        tasks.spawn(run(connection, &leftover, services, viewer, address, unauthenticated));
    });
    Ok(response)
}

/// The server's side of one connection.
struct GraphqlWsConnection {
    services: Arc<Services>,
    viewer: Option<Viewer>,
    address: IpAddr,
    /// The caller of a connection in the pending pool.
    unauthenticated: Option<Caller>,
    session: Session,
    /// Operations with their ids. Dropping one stops it. Most connections have one: a list takes less memory than a map.
    running: Vec<(Box<str>, RunningOperation)>,
    is_acknowledged: Arc<AtomicBool>,
}

/// Runs a connection. An async function would keep its arguments next to what it makes of them, in every connection.
fn run(
    connection: Arc<Connection>,
    leftover: &[u8],
    services: Arc<Services>,
    viewer: Option<Viewer>,
    address: IpAddr,
    unauthenticated: Option<Caller>,
) -> impl Future<Output = ()> + Send + use<> {
    let is_acknowledged = Arc::new(AtomicBool::new(false));
    services.init_timeout.start(&connection, &is_acknowledged);
    let limits = services.limits.websocket;
    let mut client = Box::new(GraphqlWsConnection {
        services,
        viewer,
        address,
        unauthenticated,
        session: Session::default(),
        running: Vec::new(),
        is_acknowledged,
    });
    websocket::read_loop(connection, leftover, limits, move |connection, payload| {
        client.on_message(connection, payload)
    })
}

impl GraphqlWsConnection {
    fn on_message(&mut self, connection: &Arc<Connection>, payload: Payload) -> Result<(), Close> {
        let Payload::Text(text) = payload else { return Err(Close::new(4400, "messages must be text")) };
        self.reap_finished();
        match self
            .session
            .receive(&text, |payload| RequestParams::from_json(payload).map_err(|error| error.to_string()))
        {
            Effect::None => {}
            Effect::Acknowledge { credentials } => {
                // Credentials of the message replace those of the handshake.
                if let Some(credentials) = &credentials {
                    let token = match credentials {
                        Credentials::Authorization(authorization) => bearer(authorization),
                        Credentials::Token(token) => token,
                    };
                    self.viewer = self.services.tokens.viewer(Some(token)).map(|viewer| viewer.at(self.address));
                    if self.viewer.is_none() {
                        return self.refuse(connection, token);
                    }
                }
                if self.viewer.is_none() {
                    return Err(Close::new(4403, "Forbidden"));
                }
                if let Some(caller) = self.unauthenticated.take() {
                    let permit = self.services.hub.admit(caller.address, caller.subscriptions.clone(), PROFILE);
                    connection.set_permit(permit.map_err(|error| Close::new(1013, error.to_string()))?);
                    caller.pending.remove();
                }
                self.is_acknowledged.store(true, Ordering::Relaxed);
                send(connection, "connection_ack", None, None);
            }
            Effect::Pong(payload) => send(connection, "pong", None, payload.as_deref().map(str::as_bytes)),
            Effect::Close(close) => return Err(close),
            Effect::Start { id, payload } => {
                let viewer = self.viewer.ok_or_else(|| Close::new(4401, "Unauthorized"))?;
                self.start(connection, viewer, id, payload);
            }
            Effect::Stop { id } => self.running.retain(|(running, _)| **running != *id),
        }
        Ok(())
    }

    /// Closes a connection whose token is wrong, with a delay after many wrong tokens.
    fn refuse(&self, connection: &Arc<Connection>, token: &str) -> Result<(), Close> {
        let forbidden = Close::new(4403, "Forbidden");
        let failures = &self.services.auth_failures;
        let penalty = failures.record(self.address, Fingerprint::of(token), Means::ConnectionInit);
        if !matches!(penalty, Penalty::Delay(_)) {
            return Err(forbidden);
        }
        let connection = Arc::downgrade(connection);
        self.services.hub.tasks.spawn(async move {
            penalty.wait().await;
            if let Some(connection) = connection.upgrade() {
                websocket::close(&connection, &forbidden);
            }
        });
        Ok(())
    }

    /// Frees the ids of operations that have ended.
    fn reap_finished(&mut self) {
        let session = &mut self.session;
        self.running.retain(|(id, running)| !(running.has_ended() && session.finish(id)));
    }

    fn start(&mut self, connection: &Arc<Connection>, viewer: Viewer, id: String, parameters: RequestParams) {
        let responder = Responder::new(connection, ENCODING, serde_json::Value::from(id.as_str()).to_string());
        let max = self.services.limits.subscriptions_per_connection;
        let operation = if self.session.running() > max {
            Err(Refusal::request(format!("a connection runs at most {max} operations at a time")))
        } else {
            self.services.graphql.parse(parameters)
        };
        let start = |operation| self.services.operations.start_operation(operation, viewer, responder.clone());
        match operation.map_err(StartError::from).and_then(start) {
            Ok(running) => {
                if self.running.is_empty() {
                    self.running.reserve_exact(1);
                }
                self.running.push((id.into(), running));
            }
            Err(error) => {
                self.session.finish(&id);
                responder.refuse(&error);
            }
        }
    }
}

fn send(connection: &Arc<Connection>, kind: &str, id: Option<&str>, payload: Option<&[u8]>) {
    let mut frame = Vec::new();
    message::write(kind, id, payload, &mut frame);
    connection.send(&frame);
}
