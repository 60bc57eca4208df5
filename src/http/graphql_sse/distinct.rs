use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{Response, Version};

use crate::domain::viewer::Viewer;
use crate::graphql::is_request_error;
use crate::graphql::operation::{Operation, Parameters};
use crate::http::client_address::ClientAddress;
use crate::http::event_stream::{self, CHUNK_END, LAST_CHUNK, chunk};
use crate::http::graphql_sse::{event, only_errors};
use crate::http::problem::Problem;
use crate::http::streams::until_end;
use crate::http::subscription::{self, json};
use crate::http::{Services, errors_json};
use crate::live::manner::Manner;
use crate::live::payload::{Dress, Ending, Payload};
use crate::live::peer::Peer;

static MANNER: Manner = event_stream::manner("graphql-sse");
static MANNER_IN_BODY: Manner = event_stream::manner_in_body("graphql-sse");

static NEXT: Dress = event_stream::dress(3, next, |_, ending, out| {
    out.extend_from_slice(&chunk(&last_events(ending)));
    out.extend_from_slice(LAST_CHUNK);
});
static NEXT_IN_BODY: Dress =
    event_stream::dress_in_body(3, next, |_, ending, out| out.extend_from_slice(&last_events(ending)));

fn next(payload: &Payload) -> Vec<u8> {
    [event("next", &payload.json).as_slice(), CHUNK_END].concat()
}

/// Errors come as a result; then, and otherwise at once, the operation is complete.
fn last_events(ending: &Ending) -> Vec<u8> {
    let errors = match ending {
        Ending::Complete => vec![],
        Ending::Errors(errors) => event("next", &only_errors(errors)),
    };
    [errors.as_slice(), b"event: complete\ndata:\n\n"].concat()
}

/// Answers an operation as a stream of its own.
pub(in crate::http) fn serve(
    services: Arc<Services>,
    viewer: Viewer,
    ClientAddress(address): ClientAddress,
    version: Version,
    parameters: Parameters,
) -> Result<Response<Body>, Problem> {
    let permit = services.streams.admit(address, &MANNER)?;
    Ok(event_stream::open(version, b"", move |wire, first, is_chunked| {
        let (manner, dress) = if is_chunked { (&MANNER, &NEXT) } else { (&MANNER_IN_BODY, &NEXT_IN_BODY) };
        let peer = services.streams.connect(wire, manner, permit, &first);
        let tasks = services.streams.tasks.clone();
        tasks.spawn(run(services, viewer, parameters, peer, dress));
    }))
}

async fn run(services: Arc<Services>, viewer: Viewer, parameters: Parameters, peer: Arc<Peer>, dress: &'static Dress) {
    let key = subscription::key(&parameters, viewer);
    let place = match Operation::parse(parameters) {
        Err(response) => Err(Ending::Errors(json(&response.errors))),
        Ok(operation) if operation.kind == OperationType::Subscription => {
            let graphql = services.graphql.clone();
            let source = move || subscription::source(graphql, operation, viewer);
            let joined = services.streams.groups.join(key, source, &peer, dress, "");
            joined.map_err(|too_many| Ending::Errors(errors_json(&too_many.to_string()).into()))
        }
        Ok(operation) => {
            let response = services.graphql.execute(operation.request, viewer).await;
            if is_request_error(&response) {
                Err(Ending::Errors(json(&response.errors)))
            } else {
                let mut message = Vec::new();
                let body = (dress.body)(&Payload::new(json(&response), None));
                (dress.lead)("", body.len(), &mut message);
                message.extend_from_slice(&body);
                peer.send(&message);
                Err(Ending::Complete)
            }
        }
    };
    if let Err(ending) = &place {
        let mut last = Vec::new();
        (dress.ending)("", ending, &mut last);
        peer.close(&last);
    }
    drop(services);
    until_end(&peer).await;
    drop(place);
}
