use std::time::Duration;

use async_graphql::parser::types::OperationType;
use async_graphql::{Response, ServerError, Value};
use futures_util::stream::{BoxStream, StreamExt as _, once};
use tokio::time::sleep;
use tokio_stream::StreamMap;

use crate::domain::viewer::Viewer;
use crate::graphql::is_request_error;
use crate::graphql::operation::{Operation, Parameters};
use crate::http::Services;
use crate::http::graphql_ws::session::{Effect, Session, frame};
use crate::http::socket::{Close, Gone, Incoming, Socket};

/// How long a client may take to initialise the connection.
const INIT_WAIT: Duration = Duration::from_secs(3);

/// What an operation has to say.
enum Said {
    Next(Response),
    Errors(Vec<ServerError>),
    Done,
}

/// Carries a session over its socket until one side ends it.
pub(super) async fn converse(mut socket: Socket, services: Services, viewer: Viewer) {
    let mut session = Session::default();
    let mut running: StreamMap<String, BoxStream<'static, Said>> = StreamMap::new();
    let mut init_wait = std::pin::pin!(sleep(INIT_WAIT));
    let mut is_waiting = true;
    let close = loop {
        let effect = tokio::select! {
            () = services.connections.stop.cancelled() => break Close::restarting(),
            () = &mut init_wait, if is_waiting => {
                is_waiting = false;
                session.init_timed_out()
            }
            incoming = socket.receive() => match incoming {
                Incoming::Text(text) => session.receive(&text),
                Incoming::Binary => Effect::Close(Close::new(4400, "messages must be text")),
                Incoming::End => return,
            },
            // The newest is taken when the one before has been written, so a slow client skips what it missed.
            Some((id, said)) = running.next() => {
                if tell(&mut socket, &mut session, &mut running, &id, said).await.is_err() {
                    return;
                }
                Effect::None
            }
        };
        match effect {
            Effect::None => {}
            Effect::Send(text) => {
                if socket.send(text).await.is_err() {
                    return;
                }
            }
            Effect::Close(close) => break close,
            Effect::Start { id, parameters } => {
                running.insert(id, start(services.clone(), viewer, parameters));
            }
            Effect::Stop { id } => drop(running.remove(&id)),
        }
    };
    socket.close(close).await;
}

/// Begins an operation: a query or mutation says one thing, a subscription as many as there are.
fn start(services: Services, viewer: Viewer, parameters: Parameters) -> BoxStream<'static, Said> {
    let operation = match Operation::parse(parameters) {
        Ok(operation) => operation,
        Err(response) => return once(async move { Said::Errors(response.errors) }).boxed(),
    };
    let said = match operation.kind {
        // Without any data the stream could not be begun, or cannot go on.
        OperationType::Subscription => {
            let responses = services.graphql.subscribe(operation.request, viewer);
            responses.map(|response| said(response, |response| response.data == Value::Null)).boxed()
        }
        OperationType::Query | OperationType::Mutation => {
            let response = async move { services.graphql.execute(operation.request, viewer).await };
            once(response).map(|response| said(response, is_request_error)).boxed()
        }
    };
    said.chain(once(async { Said::Done })).boxed()
}

fn said(response: Response, is_refusal: impl Fn(&Response) -> bool) -> Said {
    if response.is_err() && is_refusal(&response) { Said::Errors(response.errors) } else { Said::Next(response) }
}

async fn tell(
    socket: &mut Socket,
    session: &mut Session,
    running: &mut StreamMap<String, BoxStream<'static, Said>>,
    id: &str,
    said: Said,
) -> Result<(), Gone> {
    let text = match said {
        Said::Next(response) => frame("next", Some(id), Some(&json(&response))),
        Said::Errors(errors) => {
            session.finish(id);
            running.remove(id);
            frame("error", Some(id), Some(&json(&errors)))
        }
        Said::Done => {
            session.finish(id);
            running.remove(id);
            frame("complete", Some(id), None)
        }
    };
    socket.send(text).await
}

fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("GraphQL values always serialise")
}
