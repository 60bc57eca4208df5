//! One operation per response: graphql-sse's distinct connections mode, and Apollo's multipart subscriptions.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Response, Version};

use crate::domain::viewer::Viewer;
use crate::graphql::answer::Refusal;
use crate::graphql::operation::Operation;
use crate::graphql::operations::{Responder, StartError};
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::event_stream::{self, EVENT_STREAM};
use crate::http::state::Services;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
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

/// Runs an operation on a stream of its own.
pub(super) fn serve(
    services: Arc<Services>,
    viewer: Viewer,
    caller: &Caller,
    version: Version,
    format: StreamFormat,
    operation: PendingOperation,
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
    operation: PendingOperation,
    connection: Arc<Connection>,
    encoding: Encoding,
) {
    let responder = Responder::new(&connection, encoding, "");
    let start = |operation| services.operations.start_operation(operation, viewer, responder.clone());
    let mut started = operation.map_err(StartError::from).and_then(start);
    match &mut started {
        Ok(running) => running.finish().await,
        Err(error) => responder.refuse(error),
    }
    drop((services, responder));
    wait_for_close(&connection).await;
    drop(started);
}
