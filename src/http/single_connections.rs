use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Uri, Version, header};
use axum::response::IntoResponse as _;
use parking_lot::{Mutex, MutexGuard};
use uuid::Uuid;

use crate::domain::viewer::Viewer;
use crate::graphql::Graphql;
use crate::graphql::answer::Refusal;
use crate::graphql::operation::{Operation, RequestParams};
use crate::graphql::operations::{Operations, Responder, RunningOperation};
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::event_stream::{self, EVENT_STREAM};
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::hub::{ConnectionHub, wait_for_close};
use crate::push::profile::TransportProfile;

/// The header that names a stream; `?token=` names it as well.
pub(super) const STREAM_TOKEN: HeaderName = HeaderName::from_static("x-graphql-event-stream-token");
/// How long a reserved stream may stay unopened.
const RESERVATION_TIMEOUT: Duration = Duration::from_secs(10);
/// Streams that are reserved and not opened, at most.
const MAX_RESERVATIONS: usize = 1_000;

const PROFILE: TransportProfile = TransportProfile::GraphqlSse;
const ENCODING: Encoding = Encoding::GraphqlSseSingle;

/// The streams that clients have reserved or opened, by their tokens.
#[derive(Clone)]
pub struct SingleConnectionStreams {
    graphql: Graphql,
    operations: Operations,
    hub: ConnectionHub,
    max_operations: usize,
    by_token: Arc<Mutex<HashMap<String, SingleConnectionStream>>>,
}

#[derive(Debug, Default)]
struct SingleConnectionStream {
    /// The stream, once it is open.
    open: Option<Weak<Connection>>,
    running: HashMap<String, RunningOperation>,
    /// Operations that start when the stream is opened.
    queued: Vec<(String, PendingOperation)>,
}

/// A valid operation.
#[derive(Debug)]
struct PendingOperation {
    operation: Operation,
    viewer: Viewer,
}

/// The token of a request, if it has one.
pub(in crate::http) fn token(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers.get(STREAM_TOKEN).and_then(|token| token.to_str().ok()).map(str::to_owned);
    header.or_else(|| parameter(uri, "token"))
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let axum::extract::Query(parameters) = axum::extract::Query::<HashMap<String, String>>::try_from_uri(uri).ok()?;
    parameters.get(name).cloned()
}

impl SingleConnectionStreams {
    /// Without any stream. Each stream runs `max_operations` at most.
    pub fn new(graphql: Graphql, operations: Operations, hub: ConnectionHub, max_operations: usize) -> Self {
        Self { graphql, operations, hub, max_operations, by_token: Arc::default() }
    }

    /// Reserves a stream. The response body is its token.
    pub(in crate::http) fn reserve(&self) -> Result<Response<Body>, Problem> {
        let token = Uuid::new_v4().to_string();
        {
            let mut by_token = self.lock();
            if by_token.values().filter(|stream| stream.open.is_none()).count() >= MAX_RESERVATIONS {
                return Err(Problem::overloaded("too many streams are reserved and not opened; try again later"));
            }
            by_token.insert(token.clone(), SingleConnectionStream::default());
        }
        let (streams, reserved) = (self.clone(), token.clone());
        tokio::spawn(async move {
            tokio::time::sleep(RESERVATION_TIMEOUT).await;
            let mut by_token = streams.lock();
            if by_token.get(&reserved).is_some_and(|stream| stream.open.is_none()) {
                by_token.remove(&reserved);
            }
        });
        let mut response = (StatusCode::CREATED, token).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Ok(response)
    }

    /// Whether the stream exists.
    pub(in crate::http) fn has(&self, token: &str) -> bool {
        self.lock().contains_key(token)
    }

    /// Opens a reserved stream.
    pub(in crate::http) fn open(
        &self,
        caller: &Caller,
        version: Version,
        token: String,
    ) -> Result<Response<Body>, Problem> {
        match self.lock().get(&token) {
            None => return Err(stream_not_found()),
            Some(stream) if stream.open.is_some() => {
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "STREAM_OPEN",
                    "the stream of this token is already open",
                ));
            }
            Some(_) => {}
        }
        let permit = self.hub.admit(caller.address, caller.subscriptions.clone(), PROFILE)?;
        let streams = self.clone();
        Ok(event_stream::open(version, EVENT_STREAM, b":\n\n", move |socket, head, framing| {
            let connection = streams.hub.connect(socket, PROFILE, framing, Some(permit), &head);
            match streams.lock().get_mut(&token) {
                Some(stream) if stream.open.is_none() => {
                    stream.open = Some(Arc::downgrade(&connection));
                    for (id, operation) in std::mem::take(&mut stream.queued) {
                        let running = streams.run(operation, &connection, &id);
                        stream.running.extend(running.map(|running| (id, running)));
                    }
                }
                _ => connection.close_gracefully(),
            }
            let tasks = streams.hub.tasks.clone();
            tasks.spawn(async move {
                wait_for_close(&connection).await;
                // Its operations are dropped outside of the lock.
                let ended = streams.remove_if_owned_by(&token, &connection);
                drop(ended);
            });
        }))
    }

    /// Starts an operation whose results are sent on the stream of the token. The response is 202, or the error.
    pub(in crate::http) async fn start(
        &self,
        viewer: Viewer,
        token: &str,
        method: &Method,
        parameters: RequestParams,
    ) -> Result<Response<Body>, RequestError> {
        let id = match parameters.extensions().get("operationId") {
            Some(serde_json::Value::String(id)) if !id.is_empty() => id.clone(),
            _ => return Err(Problem::bad_request("extensions.operationId is missing; expected a string").into()),
        };
        let operation = self.graphql.parse(parameters).map_err(RequestError::Operation)?;
        if *method == Method::GET && operation.kind == OperationType::Mutation {
            return Err(RequestError::Method);
        }
        self.graphql.validate(&operation).await.map_err(RequestError::Operation)?;
        self.enqueue(token, id, PendingOperation { operation, viewer })?;
        Ok(StatusCode::ACCEPTED.into_response())
    }

    fn enqueue(&self, token: &str, id: String, operation: PendingOperation) -> Result<(), Problem> {
        let mut by_token = self.lock();
        let stream = by_token.get_mut(token).ok_or_else(stream_not_found)?;
        stream.running.retain(|_, running| !running.has_ended());
        if stream.running.contains_key(&id) || stream.queued.iter().any(|(queued, _)| *queued == id) {
            let detail = format!("an operation with the id {id:?} is already running");
            return Err(Problem::new(StatusCode::CONFLICT, "OPERATION_EXISTS", detail));
        }
        let max = self.max_operations;
        if stream.running.len() + stream.queued.len() >= max {
            return Err(Problem::overloaded(format!("a stream runs at most {max} operations at a time")));
        }
        match &stream.open {
            None => stream.queued.push((id, operation)),
            Some(connection) => {
                let connection = connection.upgrade().ok_or_else(stream_not_found)?;
                let running = self.run(operation, &connection, &id);
                stream.running.extend(running.map(|running| (id, running)));
            }
        }
        Ok(())
    }

    /// Stops an operation; nothing more is sent for it.
    pub(in crate::http) fn stop(&self, uri: &Uri, token: &str) -> Result<Response<Body>, Problem> {
        let id = parameter(uri, "operationId");
        let mut by_token = self.lock();
        let stream = by_token.get_mut(token).ok_or_else(stream_not_found)?;
        let id = id.ok_or_else(|| Problem::bad_request("the parameter operationId is missing"))?;
        let stopped = stream.running.remove(&id);
        stream.queued.retain(|(queued, _)| *queued != id);
        drop(by_token);
        drop(stopped);
        Ok(StatusCode::OK.into_response())
    }

    fn run(&self, operation: PendingOperation, connection: &Arc<Connection>, id: &str) -> Option<RunningOperation> {
        let PendingOperation { operation, viewer } = operation;
        let responder = Responder::new(connection, ENCODING, serde_json::Value::from(id).to_string());
        let started = self.operations.start_operation(operation, viewer, responder.clone());
        started.inspect_err(|error| responder.refuse(error)).ok()
    }

    fn remove_if_owned_by(&self, token: &str, connection: &Arc<Connection>) -> Option<SingleConnectionStream> {
        let mut by_token = self.lock();
        let open = by_token.get(token)?.open.as_ref()?;
        if Weak::as_ptr(open) == Arc::as_ptr(connection) { by_token.remove(token) } else { None }
    }

    // A synchronous mutex: held for look-ups only, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, SingleConnectionStream>> {
        self.by_token.lock()
    }
}

/// Why an operation does not start.
#[derive(Debug)]
pub(in crate::http) enum RequestError {
    /// The request is invalid, or its stream does not exist.
    Problem(Problem),
    /// The operation is invalid.
    Operation(Refusal),
    /// A GET must not start a mutation.
    Method,
}

impl From<Problem> for RequestError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

pub(in crate::http) fn stream_not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "STREAM_NOT_FOUND", "no stream has this token; reserve one with PUT")
}
