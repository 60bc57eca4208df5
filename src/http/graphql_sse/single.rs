use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Uri, Version, header};
use axum::response::IntoResponse as _;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Refusal};
use crate::graphql::operation::{Operation, Parameters};
use crate::http::caller::Caller;
use crate::http::event_stream::{self, CHUNK_END, chunk, chunk_size};
use crate::http::graphql_sse::{event, only_errors};
use crate::http::problem::Problem;
use crate::http::streams::until_end;
use crate::http::subscription::{self, Running};
use crate::http::{Services, errors_json};
use crate::push::connection::Peer;
use crate::push::message::{Dress, Ending, Payload};
use crate::push::profile::Manner;

/// Where a client says which stream it means, unless it says it with `?token=`.
const TOKEN: &str = "x-graphql-event-stream-token";
/// How long a reserved stream waits to be opened.
const RESERVED_FOR: Duration = Duration::from_secs(10);
/// Streams that may be reserved and not yet opened.
const MOST_RESERVED: usize = 1_000;

static MANNER: Manner = event_stream::manner("graphql-sse");
static MANNER_IN_BODY: Manner = event_stream::manner_in_body("graphql-sse");

static NEXT: Dress = Dress {
    slot: 4,
    body: next_body,
    lead: |id, body, out| {
        chunk_size(next_head(id).len() + body - CHUNK_END.len(), out);
        out.extend_from_slice(next_head(id).as_bytes());
    },
    alert: None,
    ending: |id, ending, out| out.extend_from_slice(&chunk(&last_events(id, ending))),
    ends_connection: false,
};
static NEXT_IN_BODY: Dress = Dress {
    slot: 4,
    body: next_body,
    lead: |id, _, out| out.extend_from_slice(next_head(id).as_bytes()),
    alert: None,
    ending: |id, ending, out| out.extend_from_slice(&last_events(id, ending)),
    ends_connection: false,
};

/// The id is JSON text, with its quotes.
fn next_head(id: &str) -> String {
    format!("event: next\ndata: {{\"id\":{id},\"payload\":")
}

fn next_body(payload: &Payload) -> Vec<u8> {
    [&payload.json, &b"}\n\n"[..], CHUNK_END].concat()
}

fn next_event(id: &str, result: &[u8]) -> Vec<u8> {
    [next_head(id).as_bytes(), result, b"}\n\n"].concat()
}

fn last_events(id: &str, ending: &Ending) -> Vec<u8> {
    let errors = match ending {
        Ending::Complete => vec![],
        Ending::Errors(errors) => next_event(id, &only_errors(errors)),
    };
    [errors, event("complete", format!("{{\"id\":{id}}}").as_bytes())].concat()
}

/// The streams that clients have reserved or opened, by their tokens.
#[derive(Debug, Clone, Default)]
pub struct Reservations {
    by_token: Arc<Mutex<HashMap<String, Reservation>>>,
}

#[derive(Debug, Default)]
struct Reservation {
    /// The stream, once it is open, and how it writes.
    open: Option<(Weak<Peer>, &'static Dress)>,
    running: HashMap<String, Running>,
    /// What was asked before the stream was opened, and begins with it.
    waiting: Vec<(String, Asked)>,
}

/// An operation that was found good.
#[derive(Debug)]
struct Asked {
    operation: Operation,
    viewer: Viewer,
}

/// The token of a request, if it names one.
pub(in crate::http) fn token(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(TOKEN).and_then(|token| token.to_str().ok()).map(str::to_owned);
    header.or_else(|| parameter(uri, "token"))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let axum::extract::Query(parameters) = axum::extract::Query::<HashMap<String, String>>::try_from_uri(uri).ok()?;
    parameters.get(name).cloned()
}

impl Reservations {
    /// Reserves a stream: its token is the answer.
    pub(in crate::http) fn reserve(&self) -> Result<Response<Body>, Problem> {
        let token = Uuid::new_v4().to_string();
        {
            let mut by_token = self.lock();
            if by_token.values().filter(|reservation| reservation.open.is_none()).count() >= MOST_RESERVED {
                return Err(Problem::overloaded("too many streams are reserved and not yet opened"));
            }
            by_token.insert(token.clone(), Reservation::default());
        }
        let (reservations, reserved) = (self.clone(), token.clone());
        tokio::spawn(async move {
            tokio::time::sleep(RESERVED_FOR).await;
            let mut by_token = reservations.lock();
            if by_token.get(&reserved).is_some_and(|reservation| reservation.open.is_none()) {
                by_token.remove(&reserved);
            }
        });
        let mut response = (StatusCode::CREATED, token).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Ok(response)
    }

    /// Whether there is such a stream.
    pub(in crate::http) fn has(&self, token: &str) -> bool {
        self.lock().contains_key(token)
    }

    /// Opens a reserved stream.
    pub(in crate::http) fn open(
        &self,
        services: Arc<Services>,
        caller: &Caller,
        version: Version,
        token: String,
    ) -> Result<Response<Body>, Problem> {
        match self.lock().get(&token) {
            None => return Err(stream_not_found()),
            Some(reservation) if reservation.open.is_some() => {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "STREAM_OPEN",
                    "the stream of this token is open already",
                ));
            }
            Some(_) => {}
        }
        let permit = services.streams.admit(caller, &MANNER)?;
        let reservations = self.clone();
        Ok(event_stream::open(version, b":\n\n", move |wire, first, is_chunked| {
            let (manner, dress) = if is_chunked { (&MANNER, &NEXT) } else { (&MANNER_IN_BODY, &NEXT_IN_BODY) };
            let peer = services.streams.connect(wire, manner, Some(permit), &first);
            match reservations.lock().get_mut(&token) {
                Some(reservation) if reservation.open.is_none() => {
                    reservation.open = Some((Arc::downgrade(&peer), dress));
                    for (id, asked) in std::mem::take(&mut reservation.waiting) {
                        let running = run(&services, asked, &peer, dress, &id);
                        reservation.running.extend(running.map(|running| (id, running)));
                    }
                }
                _ => peer.say_goodbye(),
            }
            services.streams.tasks.spawn(async move {
                until_end(&peer).await;
                // Its places are dropped outside of the lock.
                let ended = reservations.take_if_of(&token, &peer);
                drop(ended);
            });
        }))
    }

    /// Begins an operation whose results come on the stream of the token. The answer says that it was accepted, or what
    /// is wrong with it.
    pub(in crate::http) async fn start(
        &self,
        services: &Arc<Services>,
        viewer: Viewer,
        token: &str,
        method: &Method,
        parameters: Parameters,
    ) -> Result<Response<Body>, Wrong> {
        let id = match parameters.extensions().get("operationId") {
            Some(serde_json::Value::String(id)) if !id.is_empty() => id.clone(),
            _ => return Err(Problem::bad_request("extensions.operationId is missing; expected a string").into()),
        };
        let operation = services.graphql.parse(parameters.clone()).map_err(Wrong::Operation)?;
        if *method == Method::GET && operation.kind == OperationType::Mutation {
            return Err(Wrong::Method);
        }
        services.graphql.check(operation).await.map_err(Wrong::Operation)?;
        let operation = services.graphql.parse(parameters).map_err(Wrong::Operation)?;
        let asked = Asked { operation, viewer };
        self.begin(services, token, id, asked)?;
        Ok(StatusCode::ACCEPTED.into_response())
    }

    fn begin(&self, services: &Arc<Services>, token: &str, id: String, asked: Asked) -> Result<(), Problem> {
        let mut by_token = self.lock();
        let reservation = by_token.get_mut(token).ok_or_else(stream_not_found)?;
        reservation.running.retain(|_, running| !running.has_ended());
        if reservation.running.contains_key(&id) || reservation.waiting.iter().any(|(waiting, _)| *waiting == id) {
            let detail = format!("an operation with the id {id:?} is running already");
            return Err(Problem::new(StatusCode::CONFLICT, "OPERATION_EXISTS", detail));
        }
        let most = services.limits.subscriptions_per_connection;
        if reservation.running.len() + reservation.waiting.len() >= most {
            return Err(Problem::overloaded(format!("a stream runs at most {most} operations at a time")));
        }
        match &reservation.open {
            None => reservation.waiting.push((id, asked)),
            Some((peer, dress)) => {
                let peer = peer.upgrade().ok_or_else(stream_not_found)?;
                let running = run(services, asked, &peer, dress, &id);
                reservation.running.extend(running.map(|running| (id, running)));
            }
        }
        Ok(())
    }

    /// Ends an operation; nothing more comes for it.
    pub(in crate::http) fn stop(&self, uri: &Uri, token: &str) -> Result<Response<Body>, Problem> {
        let id = parameter(uri, "operationId");
        let mut by_token = self.lock();
        let reservation = by_token.get_mut(token).ok_or_else(stream_not_found)?;
        let id = id.ok_or_else(|| Problem::bad_request("the parameter operationId is missing"))?;
        let stopped = reservation.running.remove(&id);
        reservation.waiting.retain(|(waiting, _)| *waiting != id);
        drop(by_token);
        drop(stopped);
        Ok(StatusCode::OK.into_response())
    }

    fn take_if_of(&self, token: &str, peer: &Arc<Peer>) -> Option<Reservation> {
        let mut by_token = self.lock();
        let open = by_token.get(token)?.open.as_ref()?;
        if Weak::as_ptr(&open.0) == Arc::as_ptr(peer) { by_token.remove(token) } else { None }
    }

    // A std mutex: held for look-ups only, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Reservation>> {
        self.by_token.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an operation was not accepted.
#[derive(Debug)]
pub(in crate::http) enum Wrong {
    /// The stream or the request.
    Problem(Problem),
    /// The operation itself.
    Operation(Refusal),
    /// It is a mutation, which a GET may not begin.
    Method,
}

impl From<Problem> for Wrong {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

fn run(services: &Arc<Services>, asked: Asked, peer: &Arc<Peer>, dress: &'static Dress, id: &str) -> Option<Running> {
    let Asked { operation, viewer } = asked;
    let id = serde_json::Value::from(id).to_string();
    if operation.kind == OperationType::Subscription {
        return match subscription::join(services, operation, viewer, peer, dress, &id) {
            Ok(place) => Some(Running::Place(place)),
            Err(too_many) => {
                end(peer, dress, &id, &Ending::Errors(errors_json(&too_many.to_string()).into()));
                None
            }
        };
    }
    let (peer, graphql) = (Arc::clone(peer), services.graphql.clone());
    Some(Running::Task(AbortOnDropHandle::new(tokio::spawn(async move {
        let json = match graphql.execute(operation, viewer).await {
            Answer::Refused(refusal) => return end(&peer, dress, &id, &Ending::Errors(refusal.errors())),
            Answer::Executed(json) => json,
        };
        let mut message = Vec::new();
        let body = (dress.body)(&Payload::new(json, None));
        (dress.lead)(&id, body.len(), &mut message);
        message.extend_from_slice(&body);
        peer.send(&message);
        end(&peer, dress, &id, &Ending::Complete);
    }))))
}

fn end(peer: &Arc<Peer>, dress: &'static Dress, id: &str, ending: &Ending) {
    let mut last = Vec::new();
    (dress.ending)(id, ending, &mut last);
    peer.send(&last);
}

pub(in crate::http) fn stream_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "STREAM_NOT_FOUND", "there is no stream of this token; reserve one with PUT")
}
