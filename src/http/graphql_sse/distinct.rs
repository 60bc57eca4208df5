use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{Response, Version};

use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Refusal};
use crate::graphql::operation::Operation;
use crate::http::caller::Caller;
use crate::http::event_stream::{self, CHUNK_END, LAST_CHUNK, chunk};
use crate::http::graphql_sse::{event, only_errors};
use crate::http::problem::Problem;
use crate::http::streams::until_end;
use crate::http::subscription;
use crate::http::{Services, errors_json};
use crate::push::connection::Peer;
use crate::push::message::{Dress, Ending, Payload};
use crate::push::profile::Manner;

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

/// What is executed on a stream of its own, or what is wrong with it.
pub(in crate::http) type Asked = Result<Operation, Refusal>;

/// Answers an operation as a stream of its own.
pub(in crate::http) fn serve(
    services: Arc<Services>,
    viewer: Viewer,
    caller: &Caller,
    version: Version,
    asked: Asked,
) -> Result<Response<Body>, Problem> {
    let permit = services.streams.admit(caller, &MANNER)?;
    Ok(event_stream::open(version, b"", move |wire, first, is_chunked| {
        let (manner, dress) = if is_chunked { (&MANNER, &NEXT) } else { (&MANNER_IN_BODY, &NEXT_IN_BODY) };
        let peer = services.streams.connect(wire, manner, Some(permit), &first);
        let tasks = services.streams.tasks.clone();
        tasks.spawn(run(services, viewer, asked, peer, dress));
    }))
}

async fn run(services: Arc<Services>, viewer: Viewer, asked: Asked, peer: Arc<Peer>, dress: &'static Dress) {
    let place = match asked {
        Err(refusal) => Err(Ending::Errors(refusal.errors())),
        Ok(operation) if operation.kind == OperationType::Subscription => {
            let joined = subscription::join(&services, operation, viewer, &peer, dress, "");
            joined.map_err(|too_many| Ending::Errors(errors_json(&too_many.to_string()).into()))
        }
        Ok(operation) => match services.graphql.execute(operation, viewer).await {
            Answer::Refused(refusal) => Err(Ending::Errors(refusal.errors())),
            Answer::Executed(json) => {
                let mut message = Vec::new();
                let body = (dress.body)(&Payload::new(json, None));
                (dress.lead)("", body.len(), &mut message);
                message.extend_from_slice(&body);
                peer.send(&message);
                Err(Ending::Complete)
            }
        },
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
