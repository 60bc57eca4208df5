//! graphql-transport-ws: the session says what a message means, and here it is carried out.

/// Connections that are not initialised in time.
mod init_wait;
/// What each message means, without a socket.
pub mod session;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{HeaderMap, Response, Version, header};
use bytes::Bytes;
use tokio_util::task::AbortOnDropHandle;
use tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::domain::viewer::{Fingerprint, Viewer};
use crate::graphql::answer::Answer;
use crate::graphql::operation::Parameters;
use crate::http::auth_failures::{Means, Penalty};
use crate::http::caller::Caller;
pub use crate::http::graphql_ws::init_wait::InitWait;
use crate::http::graphql_ws::session::{Effect, Session, frame};
use crate::http::hijack::Takeover;
use crate::http::problem::Problem;
use crate::http::socket::{self, Heard};
use crate::http::subscription::{self, Running};
use crate::http::{Services, errors_json};
use crate::push::connection::Peer;
use crate::push::message::{Dress, Ending, Payload};
use crate::push::profile::Manner;
use crate::push::protocol::ws_frame::{Close, write_header, write_text};

/// The one subprotocol that is spoken, in its exact letters.
pub(super) const PROTOCOL: &str = "graphql-transport-ws";

static MANNER: Manner = socket::manner("graphql-ws");

/// The result and the brace behind it are the same for everybody; what leads them has the id.
static NEXT: Dress = Dress { slot: 2, body: next_body, lead: next_lead, alert: None, ending, ends_connection: false };

const NEXT_TYPE: &str = ",\"type\":\"next\",\"payload\":";

fn next_body(payload: &Payload) -> Vec<u8> {
    [&payload.json, &b"}"[..]].concat()
}

/// The id is JSON text, with its quotes.
fn next_lead(id: &str, body: usize, out: &mut Vec<u8>) {
    write_header(OpCode::Data(Data::Text), "{\"id\":".len() + id.len() + NEXT_TYPE.len() + body, out);
    out.extend_from_slice(b"{\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(NEXT_TYPE.as_bytes());
}

fn ending(id: &str, ending: &Ending, out: &mut Vec<u8>) {
    match ending {
        Ending::Complete => write_text(&frame("complete", Some(id), None), out),
        Ending::Errors(errors) => write_text(&frame("error", Some(id), Some(&String::from_utf8_lossy(errors))), out),
    }
}

/// Upgrades a request that offers the subprotocol. Without a viewer the first message must bring one.
pub(super) fn serve(
    services: Arc<Services>,
    viewer: Option<Viewer>,
    caller: Caller,
    version: Version,
    headers: &HeaderMap,
) -> Result<Response<Body>, Problem> {
    let offered = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|list| list.split(',')).any(|protocol| protocol.trim() == PROTOCOL) {
        return Err(Problem::bad_request(format!(
            "the WebSocket must offer the subprotocol {PROTOCOL} in Sec-WebSocket-Protocol"
        )));
    }
    let mut response = socket::handshake(version, headers, Some(PROTOCOL))?;
    services.streams.check_running()?;
    let address = caller.address;
    // A client that is not known waits in the lobby, and takes no place that one who is known could have.
    let (permit, unknown) = match viewer {
        Some(_) => (Some(services.streams.admit(&caller, &MANNER)?), None),
        None => (None, Some(caller)),
    };
    Takeover::mark(&mut response, move |wire, already, head| {
        let peer = services.streams.connect(wire, &MANNER, permit, &head);
        if let Some(caller) = &unknown {
            caller.seat.hand_over(&peer);
        }
        let tasks = services.streams.tasks.clone();
        tasks.spawn(converse(peer, already, services, viewer, address, unknown));
    });
    Ok(response)
}

/// A client's conversation.
struct Conversation {
    services: Arc<Services>,
    viewer: Option<Viewer>,
    address: IpAddr,
    /// The client of a connection that waits in the lobby.
    unknown: Option<Caller>,
    session: Session,
    /// What runs, by id; dropping it ends it.
    running: HashMap<String, Running>,
    is_acknowledged: Arc<AtomicBool>,
}

async fn converse(
    peer: Arc<Peer>,
    already: Bytes,
    services: Arc<Services>,
    viewer: Option<Viewer>,
    address: IpAddr,
    unknown: Option<Caller>,
) {
    let is_acknowledged = Arc::new(AtomicBool::new(false));
    services.init_wait.begin(&peer, &is_acknowledged);
    let limits = services.limits;
    let mut conversation = Box::new(Conversation {
        services,
        viewer,
        address,
        unknown,
        session: Session::default(),
        running: HashMap::new(),
        is_acknowledged,
    });
    socket::listen(&peer, already, limits, move |peer, heard| conversation.hear(peer, heard)).await;
}

impl Conversation {
    fn hear(&mut self, peer: &Arc<Peer>, heard: Heard) -> Result<(), Close> {
        let Heard::Text(text) = heard else { return Err(Close::new(4400, "messages must be text")) };
        self.forget_what_ended();
        match self.session.receive(&text) {
            Effect::None => {}
            Effect::Acknowledge { token } => {
                // What the message says counts; the handshake's credentials do where it says nothing.
                if let Some(token) = &token {
                    self.viewer = self.services.tokens.viewer(Some(token)).map(|viewer| viewer.at(self.address));
                    if self.viewer.is_none() {
                        return self.refuse(peer, token);
                    }
                }
                if self.viewer.is_none() {
                    return Err(Close::new(4403, "Forbidden"));
                }
                if let Some(caller) = self.unknown.take() {
                    let permit = self.services.streams.admit(&caller, &MANNER);
                    peer.hold(permit.map_err(|problem| Close::new(1013, problem.detail()))?);
                    caller.seat.leave();
                }
                self.is_acknowledged.store(true, Ordering::Relaxed);
                send(peer, &frame("connection_ack", None, None));
            }
            Effect::Send(text) => send(peer, &text),
            Effect::Close(close) => return Err(close),
            Effect::Start { id, parameters } => {
                let viewer = self.viewer.ok_or_else(|| Close::new(4401, "Unauthorized"))?;
                self.start(peer, viewer, id, parameters);
            }
            Effect::Stop { id } => drop(self.running.remove(&id)),
        }
        Ok(())
    }

    /// Closes a connection whose token is wrong, after a while if many of them are.
    fn refuse(&self, peer: &Arc<Peer>, token: &str) -> Result<(), Close> {
        let forbidden = Close::new(4403, "Forbidden");
        let failures = &self.services.auth_failures;
        let penalty = failures.record(self.address, Fingerprint::of(token), Means::ConnectionInit);
        if !matches!(penalty, Penalty::Delay(_)) {
            return Err(forbidden);
        }
        let peer = Arc::downgrade(peer);
        self.services.streams.tasks.spawn(async move {
            penalty.wait().await;
            if let Some(peer) = peer.upgrade() {
                socket::close(&peer, &forbidden);
            }
        });
        Ok(())
    }

    /// Ids of what has ended by itself are free again.
    fn forget_what_ended(&mut self) {
        let session = &mut self.session;
        self.running.retain(|id, running| !(running.has_ended() && session.finish(id)));
    }

    fn start(&mut self, peer: &Arc<Peer>, viewer: Viewer, id: String, parameters: Parameters) {
        let quoted = serde_json::Value::from(id.as_str()).to_string();
        let refuse = |session: &mut Session, errors: &[u8]| {
            session.finish(&id);
            send(peer, &frame("error", Some(&quoted), Some(&String::from_utf8_lossy(errors))));
        };
        if self.session.running() > self.services.limits.subscriptions_per_connection {
            let most = self.services.limits.subscriptions_per_connection;
            return refuse(
                &mut self.session,
                &errors_json(&format!("a connection runs at most {most} operations at a time")),
            );
        }
        let operation = match self.services.graphql.parse(parameters) {
            Ok(operation) => operation,
            Err(refusal) => return refuse(&mut self.session, &refusal.errors()),
        };
        let graphql = self.services.graphql.clone();
        let running = match operation.kind {
            OperationType::Subscription => {
                match subscription::join(&self.services, operation, viewer, peer, &NEXT, &quoted) {
                    Ok(place) => Running::Place(place),
                    Err(too_many) => return refuse(&mut self.session, &errors_json(&too_many.to_string())),
                }
            }
            OperationType::Query | OperationType::Mutation => {
                let peer = Arc::clone(peer);
                let task = tokio::spawn(async move {
                    let send = |kind, payload: &[u8]| {
                        send(&peer, &frame(kind, Some(&quoted), Some(&String::from_utf8_lossy(payload))));
                    };
                    match graphql.execute(operation, viewer).await {
                        Answer::Refused(refusal) => send("error", &refusal.errors()),
                        Answer::Executed(json) => {
                            send("next", &json);
                            self::send(&peer, &frame("complete", Some(&quoted), None));
                        }
                    }
                });
                Running::Task(AbortOnDropHandle::new(task))
            }
        };
        self.running.insert(id, running);
    }
}

fn send(peer: &Arc<Peer>, text: &str) {
    let mut message = Vec::with_capacity(text.len() + 10);
    write_text(text, &mut message);
    peer.send(&message);
}
