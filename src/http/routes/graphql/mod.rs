//! `/graphql`: GraphQL over HTTP, event streams, multipart responses and WebSockets.

/// The operations of a request.
mod request;
/// Results over HTTP.
mod response;
/// One operation per stream.
mod stream;
/// graphql-transport-ws.
mod websocket;

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Refusal};
use crate::http::accept::media_ranges;
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::event_stream::{self, EVENT_STREAM};
use crate::http::respond::if_none_match;
use crate::http::routes::graphql::request::Operations;
pub use crate::http::routes::graphql::request::from_query;
use crate::http::routes::graphql::response::GRAPHQL_RESPONSE;
pub use crate::http::routes::graphql::response::ResponseFormat;
use crate::http::routes::graphql::stream::StreamFormat;
use crate::http::routes::pages;
use crate::http::single_connections::{self, RequestError};
use crate::http::state::Services;
use crate::push::hub::topic_key;
use crate::push::protocol::graphql_ws::SUBPROTOCOL;

/// Serves GraphQL over HTTP, as event streams, and over a WebSocket.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    caller: Caller,
    request: Request,
) -> Response {
    let method = request.method().clone();
    if is_upgrade(request.headers()) {
        // The first message may bring the credentials.
        return websocket::serve(services, viewer.ok(), caller, &request).into_response();
    }
    if is_browser_navigation(&request) {
        return pages::to_graphiql();
    }
    let viewer = match viewer {
        Ok(viewer) => viewer,
        Err(problem) => return problem.into_response(),
    };
    let token = single_connections::token(request.uri(), request.headers());
    if let Some(token) = token {
        return single_connection(services, viewer, caller, request, token).await.into_response();
    }
    if method == Method::PUT {
        return services.single_connections.reserve().into_response();
    }
    if [Method::GET, Method::HEAD, Method::POST].contains(&method) {
        if accepts_event_stream(request.headers()) {
            return serve_stream(services, viewer, &caller, request, StreamFormat::Events).await;
        }
        // Apollo's clients also accept JSON, and get it for queries and for invalid requests.
        if accepts_only_multipart(request.headers()) {
            return serve_stream(services, viewer, &caller, request, StreamFormat::Multipart).await;
        }
    }
    execute(services, viewer, caller, request).await
}

/// Runs the operation of a request on a stream of its own.
async fn serve_stream(
    services: Arc<Services>,
    viewer: Viewer,
    caller: &Caller,
    request: Request,
    format: StreamFormat,
) -> Response {
    let (version, method) = (request.version(), request.method().clone());
    let read = Operations::read(&services.bodies, request).await;
    let parameters = match read.and_then(Operations::single) {
        Ok(parameters) => parameters,
        Err(bad_request) => return bad_request.respond(ResponseFormat::Json),
    };
    let operation = services.graphql.parse(parameters);
    if method != Method::POST && operation.as_ref().is_ok_and(|it| it.kind == OperationType::Mutation) {
        return mutation_by_get(ResponseFormat::Json);
    }
    if method == Method::HEAD {
        return event_stream::head(format.content_type());
    }
    stream::serve(services, viewer, caller, version, format, operation).await.into_response()
}

/// Executes the operations of a request and answers with their results, as the GraphQL over HTTP specification has it.
async fn execute(services: Arc<Services>, viewer: Viewer, caller: Caller, request: Request) -> Response {
    let (version, method) = (request.version(), request.method().clone());
    let is_read = method == Method::GET || method == Method::HEAD;
    if !is_read && method != Method::POST {
        let detail = "GraphQL accepts POST, and GET for queries";
        return allow(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail), "GET, POST");
    }
    let Some(format) = ResponseFormat::accepted(request.headers()) else {
        let detail = "expected an Accept with application/graphql-response+json, application/json, text/event-stream or multipart/mixed";
        return Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", detail).into_response();
    };
    let headers = request.headers().clone();
    let parameters = match Operations::read(&services.bodies, request).await {
        Ok(Operations::One(parameters)) => parameters,
        Ok(Operations::Batch(batch)) => {
            return match services.graphql.parse_batch(batch) {
                Ok(operations) => format.respond_batch(services.graphql.execute_batch(operations, viewer).await),
                Err(refusal) => format.respond(StatusCode::BAD_REQUEST, refusal.body()),
            };
        }
        Err(bad_request) => return bad_request.respond(format),
    };
    let operation = match services.graphql.parse(parameters) {
        Ok(operation) => operation,
        Err(refusal) => return format.refuse(&refusal),
    };
    match operation.kind {
        OperationType::Mutation if is_read => mutation_by_get(format),
        OperationType::Subscription if accepts_multipart(&headers) => {
            if method == Method::HEAD {
                return event_stream::head(StreamFormat::Multipart.content_type());
            }
            let multipart = StreamFormat::Multipart;
            stream::serve(services, viewer, &caller, version, multipart, Ok(operation)).await.into_response()
        }
        OperationType::Subscription => {
            let message = format!(
                "a subscription needs a stream: open a WebSocket with the subprotocol {SUBPROTOCOL}, or request \
                 Server-Sent Events with Accept: text/event-stream"
            );
            format.refuse(&Refusal::request(message))
        }
        OperationType::Query | OperationType::Mutation => match services.graphql.execute(operation, viewer).await {
            Answer::Refused(refusal) => format.refuse(&refusal),
            Answer::Executed(json) if is_read => with_etag(format, json, &headers),
            Answer::Executed(json) => format.respond(StatusCode::OK, json),
        },
    }
}

/// Serves graphql-sse's single connection mode.
async fn single_connection(
    services: Arc<Services>,
    viewer: Viewer,
    caller: Caller,
    request: Request,
    token: String,
) -> Result<Response, Problem> {
    let streams = services.single_connections.clone();
    let (version, method) = (request.version(), request.method().clone());
    match method {
        Method::PUT => Err(Problem::new(StatusCode::CONFLICT, "STREAM_EXISTS", "reserve a stream without naming one")),
        Method::GET if accepts_event_stream(request.headers()) => streams.open(&caller, version, token),
        Method::HEAD if !streams.has(&token) => Err(single_connections::stream_not_found()),
        Method::HEAD => Ok(event_stream::head(EVENT_STREAM)),
        Method::DELETE => streams.stop(request.uri(), &token),
        Method::GET | Method::POST => {
            if !streams.has(&token) {
                return Err(single_connections::stream_not_found());
            }
            let format = ResponseFormat::accepted(request.headers()).unwrap_or(ResponseFormat::Json);
            let read = Operations::read(&services.bodies, request).await;
            let parameters = match read.and_then(Operations::single) {
                Ok(parameters) => parameters,
                Err(bad_request) => return Ok(bad_request.respond(format)),
            };
            match streams.start(viewer, &token, &method, parameters).await {
                Ok(accepted) => Ok(accepted),
                Err(RequestError::Problem(problem)) => Err(problem),
                Err(RequestError::Method) => Ok(mutation_by_get(format)),
                // The client of this request gets nothing else, so the status must show the failure.
                Err(RequestError::Operation(refusal)) => Ok(format.respond(StatusCode::BAD_REQUEST, refusal.body())),
            }
        }
        _ => {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "expected GET, POST, PUT or DELETE"))
        }
    }
}

/// The response to a GET, with an entity tag of its body; 304 if the client has it.
fn with_etag(format: ResponseFormat, json: Bytes, headers: &HeaderMap) -> Response {
    let hash = u64::from_be_bytes(*topic_key([&json[..]]).first_chunk().unwrap_or(&[0; 8]));
    let etag = format!("W/\"{hash:016x}\"");
    let mut response = if if_none_match(headers, etag.as_bytes()) {
        format.respond(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        format.respond(StatusCode::OK, json)
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Whether a person has opened `/graphql` in a browser: the request asks for a page and names no operation.
fn is_browser_navigation(request: &Request) -> bool {
    let query = request.uri().query().unwrap_or_default();
    let has_query = query.split('&').any(|pair| pair.split('=').next() == Some("query"));
    matches!(*request.method(), Method::GET | Method::HEAD)
        && media_ranges(request.headers()).iter().any(|(range, _)| range.essence_str() == mime::TEXT_HTML.as_ref())
        && !has_query
}

/// Whether the client accepts events, and names them before a single response.
pub fn accepts_event_stream(headers: &HeaderMap) -> bool {
    let ranges = media_ranges(headers);
    let first = ranges.iter().find_map(|(range, _)| match range.essence_str() {
        "text/event-stream" => Some(true),
        "application/json" | GRAPHQL_RESPONSE | MULTIPART => Some(false),
        _ => None,
    });
    first.unwrap_or(false)
}

/// The media type of Apollo's multipart subscriptions, without its parameters.
const MULTIPART: &str = "multipart/mixed";

/// Whether the client accepts Apollo's multipart subscriptions, which have one version. `@defer` has another parameter.
fn accepts_multipart(headers: &HeaderMap) -> bool {
    media_ranges(headers).iter().any(|(range, _)| {
        range.essence_str() == MULTIPART
            && range.get_param("subscriptionSpec").is_none_or(|version| version == "1.0")
            && range.get_param("deferSpec").is_none()
    })
}

fn accepts_only_multipart(headers: &HeaderMap) -> bool {
    accepts_multipart(headers) && ResponseFormat::accepted(headers).is_none()
}

/// A GET changes nothing: a link or an image makes one.
fn mutation_by_get(format: ResponseFormat) -> Response {
    allow(
        format.respond(
            StatusCode::METHOD_NOT_ALLOWED,
            Refusal::request("a GET cannot run a mutation; send it by POST").body(),
        ),
        "POST",
    )
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn allow(response: impl axum::response::IntoResponse, methods: &'static str) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(methods));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipart_is_accepted_with_and_without_parameters() {
        for (accept, expect) in [
            ("multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\"", true),
            ("multipart/mixed; boundary=graphql; subscriptionSpec=1.0, application/json", true),
            ("multipart/mixed;subscriptionSpec=1.0,application/graphql-response+json,application/json;q=0.9", true),
            ("Multipart/Mixed", true),
            ("application/json, multipart/mixed;subscriptionspec=1.0", true),
            ("multipart/mixed;subscriptionSpec=2.0", false),
            ("multipart/mixed;deferSpec=20220824, application/json", false),
            ("multipart/mixed;q=0", false),
            ("multipart/form-data", false),
            ("*/*", false),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(accepts_multipart(&headers), expect, "{accept}");
        }
    }
}
