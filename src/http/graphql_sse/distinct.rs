use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{Response, Version};

use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Refusal};
use crate::graphql::operation::Operation;
use crate::http::caller::Caller;
use crate::http::event_stream::{self, EVENT_STREAM};
use crate::http::problem::Problem;
use crate::http::subscription;
use crate::http::{Services, errors_json};
use crate::push::connection::Connection;
use crate::push::encoding::{Completion, Encoding};
use crate::push::hub::wait_for_close;
use crate::push::profile::TransportProfile;

/// The operation of a stream, or why it cannot run.
pub(in crate::http) type PendingOperation = Result<Operation, Refusal>;

/// Runs an operation on a stream of its own.
pub(in crate::http) fn serve(
    services: Arc<Services>,
    viewer: Viewer,
    caller: &Caller,
    version: Version,
    operation: PendingOperation,
) -> Result<Response<Body>, Problem> {
    let profile = TransportProfile::GraphqlSse;
    let permit = services.hub.admit(caller.address, caller.subscriptions.clone(), profile)?;
    Ok(event_stream::open(version, EVENT_STREAM, b"", move |socket, head, framing| {
        let connection = services.hub.connect(socket, profile, framing, Some(permit), &head);
        let tasks = services.hub.tasks.clone();
        tasks.spawn(run(services, viewer, operation, connection, Encoding::GraphqlSse));
    }))
}

async fn run(
    services: Arc<Services>,
    viewer: Viewer,
    operation: PendingOperation,
    connection: Arc<Connection>,
    encoding: Encoding,
) {
    let started = match operation {
        Err(refusal) => Err(Completion::Errors(refusal.errors())),
        Ok(operation) if operation.kind == OperationType::Subscription => {
            let joined = subscription::join(&services, operation, viewer, &connection, encoding, "");
            joined.map_err(|too_many| Completion::Errors(errors_json(&too_many.to_string()).into()))
        }
        Ok(operation) => match services.graphql.execute(operation, viewer).await {
            Answer::Refused(refusal) => Err(Completion::Errors(refusal.errors())),
            Answer::Executed(json) => {
                connection.send_message(encoding, "", &json);
                Err(Completion::Complete)
            }
        },
    };
    if let Err(completion) = &started {
        connection.complete(encoding, "", completion);
    }
    drop(services);
    wait_for_close(&connection).await;
    drop(started);
}
