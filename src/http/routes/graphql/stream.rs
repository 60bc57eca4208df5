//! One operation per response: graphql-sse's distinct connections mode, and Apollo's multipart subscriptions.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::body::Body;
use axum::http::{Response, Version};

use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Refusal};
use crate::graphql::operation::Operation;
use crate::graphql::operations::Responder;
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::event_stream::{self, EVENT_STREAM};
use crate::http::state::Services;
use crate::push::completion::Completion;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::hub::wait_for_close;
use crate::push::profile::TransportProfile;
use crate::push::protocol::multipart;

/// The operation of a stream, or why it cannot run.
pub(super) type PendingOperation = Result<Operation, Refusal>;

/// The format of a response with one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StreamFormat {
    /// Server-Sent Events: graphql-sse.
    Events,
    /// Parts of `multipart/mixed`: Apollo's protocol.
    Multipart,
}

impl StreamFormat {
    /// The media type of the response.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Events => EVENT_STREAM,
            Self::Multipart => multipart::CONTENT_TYPE,
        }
    }

    fn profile(self) -> TransportProfile {
        match self {
            Self::Events => TransportProfile::GraphqlSse,
            Self::Multipart => TransportProfile::GraphqlMultipart,
        }
    }

    fn encoding(self) -> Encoding {
        match self {
            Self::Events => Encoding::GraphqlSse,
            Self::Multipart => Encoding::GraphqlMultipart,
        }
    }

    fn first_bytes(self) -> &'static [u8] {
        match self {
            Self::Events => b"",
            Self::Multipart => multipart::BEGIN,
        }
    }
}

/// Answers an operation as a stream. Only a subscription takes the connection out of hyper, which then ends with it; the
/// response to any other operation is complete, and the client can reuse its connection.
pub(super) async fn serve(
    services: Arc<Services>,
    viewer: Viewer,
    caller: &Caller,
    version: Version,
    format: StreamFormat,
    operation: PendingOperation,
) -> Result<Response<Body>, Problem> {
    match operation {
        Ok(operation) if operation.kind == OperationType::Subscription => {
            subscribe(services, viewer, caller, version, format, operation)
        }
        Ok(operation) => {
            services.hub.check_running()?;
            // A task of its own: a mutation is not aborted when its client disconnects.
            let executing = tokio::spawn(async move { services.graphql.execute(operation, viewer).await });
            let failed = |_| Answer::Refused(Refusal::request("the operation failed; the server's log has the cause"));
            Ok(complete(format, executing.await.unwrap_or_else(failed)))
        }
        Err(refusal) => Ok(complete(format, Answer::Refused(refusal))),
    }
}

/// A response with the result of an operation and its end.
fn complete(format: StreamFormat, answer: Answer) -> Response<Body> {
    let (encoding, mut bytes) = (format.encoding(), format.first_bytes().to_vec());
    let completion = match answer {
        Answer::Refused(refusal) => Completion::Errors(refusal.errors()),
        Answer::Executed(json) => {
            encoding.write_message("", &json, Framing::Raw, &mut bytes);
            Completion::Complete
        }
    };
    encoding.write_completion("", &completion, Framing::Raw, &mut bytes);
    let mut response = event_stream::head(format.content_type());
    *response.body_mut() = Body::from(bytes);
    response
}

fn subscribe(
    services: Arc<Services>,
    viewer: Viewer,
    caller: &Caller,
    version: Version,
    format: StreamFormat,
    operation: Operation,
) -> Result<Response<Body>, Problem> {
    let profile = format.profile();
    let permit = services.hub.admit(caller.address, caller.subscriptions.clone(), profile)?;
    let (content_type, first) = (format.content_type(), format.first_bytes());
    Ok(event_stream::open(version, content_type, first, move |socket, head, framing| {
        let connection = services.hub.connect(socket, profile, framing, Some(permit), &head);
        let tasks = services.hub.tasks.clone();
        tasks.spawn(run(services, viewer, operation, connection, format.encoding()));
    }))
}

async fn run(
    services: Arc<Services>,
    viewer: Viewer,
    operation: Operation,
    connection: Arc<Connection>,
    encoding: Encoding,
) {
    let responder = Responder::new(&connection, encoding, "");
    let started = services.operations.start_operation(operation, viewer, responder.clone());
    if let Err(error) = &started {
        responder.refuse(error);
    }
    drop((services, responder));
    wait_for_close(&connection).await;
    drop(started);
}
