use async_graphql::parser::types::OperationType;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::viewer::Viewer;
use crate::graphql::operation::{Operation, Parameters};
use crate::graphql::{is_request_error, refusal};
use crate::http::client_address::ClientAddress;
use crate::http::graphql_sse::single::Wrong;
use crate::http::graphql_sse::{distinct, single};
use crate::http::problem::{Problem, RETRY_AFTER};
use crate::http::streams::hash;
use crate::http::{Bodies, MAX_GRAPHQL_BODY, Services, graphql_ws, pages, poll};

/// GraphQL in all its forms: over HTTP, as event streams, and upgraded to a WebSocket.
pub(super) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    address: ClientAddress,
    request: Request,
) -> Response {
    let (version, method) = (request.version(), request.method().clone());
    if is_upgrade(request.headers()) {
        // Its credentials may still come with the first message.
        return graphql_ws::serve(services, viewer.ok(), address, version, request.headers()).into_response();
    }
    if is_of_a_browser(&request) {
        return pages::to_graphiql();
    }
    let viewer = match viewer {
        Ok(viewer) => viewer,
        Err(problem) => return problem.into_response(),
    };
    let token = single::token(request.uri(), request.headers());
    if let Some(token) = token {
        return stream_of_token(services, viewer, address, request, token).await.into_response();
    }
    if method == Method::PUT {
        return services.reservations.reserve().into_response();
    }
    if wants_events(request.headers()) && (method == Method::GET || method == Method::POST) {
        let parameters = match parameters(&services, request).await {
            Ok(parameters) => parameters,
            Err(Refusal { status, message }) => return Form::Json.respond(status, &refusal(message)),
        };
        if method == Method::GET
            && Operation::parse(parameters.clone()).is_ok_and(|it| it.kind == OperationType::Mutation)
        {
            return mutation_by_get(Form::Json);
        }
        return distinct::serve(services, viewer, address, version, parameters).into_response();
    }
    over_http(services, viewer, request).await
}

/// Operations over HTTP, as the GraphQL over HTTP specification has it.
async fn over_http(services: Arc<Services>, viewer: Viewer, request: Request) -> Response {
    let method = request.method().clone();
    if method != Method::GET && method != Method::POST {
        let detail = "GraphQL takes POST, and GET for queries";
        return allow(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail), "GET, POST");
    }
    let Some(form) = Form::accepted(request.headers()) else {
        let detail =
            "expected an Accept that has application/graphql-response+json, application/json or text/event-stream";
        return Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", detail).into_response();
    };
    let known = request.headers().clone();
    let parameters = match parameters(&services, request).await {
        Ok(parameters) => parameters,
        Err(Refusal { status, message }) => return form.respond(status, &refusal(message)),
    };
    let operation = match Operation::parse(parameters) {
        Ok(operation) => operation,
        Err(response) => return form.respond(form.request_error(), &response),
    };
    match operation.kind {
        OperationType::Mutation if method == Method::GET => mutation_by_get(form),
        OperationType::Subscription => {
            let message = format!(
                "subscriptions are streams: open a WebSocket here with the subprotocol {}, or ask for Server-Sent \
                 Events with Accept: text/event-stream",
                graphql_ws::PROTOCOL
            );
            form.respond(form.request_error(), &refusal(message))
        }
        OperationType::Query | OperationType::Mutation => {
            let response = services.graphql.execute(operation.request, viewer).await;
            let is_refused = is_request_error(&response);
            let status = if is_refused { form.request_error() } else { StatusCode::OK };
            let response = form.respond(status, &response);
            if method == Method::GET && !is_refused { with_etag(response, &known).await } else { response }
        }
    }
}

/// What concerns a client's single stream.
async fn stream_of_token(
    services: Arc<Services>,
    viewer: Viewer,
    address: ClientAddress,
    request: Request,
    token: String,
) -> Result<Response, Problem> {
    let reservations = services.reservations.clone();
    let (version, method) = (request.version(), request.method().clone());
    match method {
        Method::PUT => Err(Problem::new(StatusCode::CONFLICT, "STREAM_EXISTS", "reserve a stream without naming one")),
        Method::GET if wants_events(request.headers()) => reservations.open(services, address, version, token),
        Method::DELETE => reservations.stop(request.uri(), &token),
        Method::GET | Method::POST => {
            if !reservations.has(&token) {
                return Err(single::stream_not_found());
            }
            let form = Form::accepted(request.headers()).unwrap_or(Form::Json);
            let parameters = match parameters(&services, request).await {
                Ok(parameters) => parameters,
                Err(Refusal { status, message }) => return Ok(form.respond(status, &refusal(message))),
            };
            match reservations.start(&services, viewer, &token, &method, parameters).await {
                Ok(accepted) => Ok(accepted),
                Err(Wrong::Problem(problem)) => Err(problem),
                Err(Wrong::Method) => Ok(mutation_by_get(form)),
                // Its answer is all that there will be: without a status of its own nobody would know.
                Err(Wrong::Operation(errors)) => {
                    Ok(form.respond(StatusCode::BAD_REQUEST, &async_graphql::Response::from_errors(errors)))
                }
            }
        }
        _ => {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "expected GET, POST, PUT or DELETE"))
        }
    }
}

/// An answer to a GET has a tag over its body; who has it already gets a 304.
async fn with_etag(response: Response, known: &HeaderMap) -> Response {
    let (mut parts, body) = response.into_parts();
    // It was made of bytes, and is read back without waiting.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let hash = u64::from_be_bytes(*hash([&bytes[..]]).first_chunk().unwrap_or(&[0; 8]));
    let etag = format!("W/\"{hash:016x}\"");
    let body = if poll::is_known(known, etag.as_bytes()) {
        parts.status = StatusCode::NOT_MODIFIED;
        Body::empty()
    } else {
        Body::from(bytes)
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        parts.headers.insert(header::ETAG, etag);
    }
    parts.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Response::from_parts(parts, body)
}

async fn parameters(services: &Services, request: Request) -> Result<Parameters, Refusal> {
    if request.method() == Method::GET { from_query(request.uri()) } else { from_body(&services.bodies, request).await }
}

/// Whether somebody has opened `/graphql` in a browser: they ask for a page, and no operation.
fn is_of_a_browser(request: &Request) -> bool {
    let has_query = || {
        let query = request.uri().query().unwrap_or_default();
        query.split('&').any(|pair| pair.split('=').next() == Some("query"))
    };
    let ranges = request.headers().get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut essences = ranges.flat_map(|list| list.split(',')).map(|range| range.split(';').next().unwrap_or_default());
    matches!(*request.method(), Method::GET | Method::HEAD)
        && essences.any(|essence| essence.trim().eq_ignore_ascii_case("text/html"))
        && !has_query()
}

/// Whether the client asks for events rather than for one answer.
fn wants_events(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let first = ranges.flat_map(|list| list.split(',')).find_map(|range| {
        let essence = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_ours = ["text/event-stream", "application/json", "application/graphql-response+json"];
        is_ours.contains(&essence.as_str()).then(|| essence == "text/event-stream")
    });
    first.unwrap_or(false)
}

/// The two content types of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `application/graphql-response+json`: the HTTP status tells of request errors.
    GraphqlResponse,
    /// `application/json`: 200 once the request is well formed.
    Json,
}

impl Form {
    /// The form that the client likes best, `application/json` where it does not care; `None` when neither will do.
    fn accepted(headers: &HeaderMap) -> Option<Self> {
        let ranges = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let mut ranges = ranges.flat_map(|list| list.split(',')).filter(|range| !range.trim().is_empty()).peekable();
        if ranges.peek().is_none() {
            return Some(Self::Json);
        }
        let mut best: Option<(f32, Self)> = None;
        for range in ranges {
            let mut parts = range.split(';').map(|part| part.trim().to_ascii_lowercase());
            let form = match parts.next().as_deref() {
                Some("application/graphql-response+json") => Self::GraphqlResponse,
                Some("application/json" | "application/*" | "*/*") => Self::Json,
                _ => continue,
            };
            let weight = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
                best = Some((weight, form));
            }
        }
        best.map(|(_, form)| form)
    }

    /// The status of a well-formed request that could not be executed.
    fn request_error(self) -> StatusCode {
        match self {
            Self::GraphqlResponse => StatusCode::BAD_REQUEST,
            Self::Json => StatusCode::OK,
        }
    }

    fn respond(self, status: StatusCode, response: &async_graphql::Response) -> Response {
        // A request that was refused has no data, not even null.
        let body = if is_request_error(response) {
            serde_json::to_vec(&json!({"errors": response.errors}))
        } else {
            serde_json::to_vec(response)
        };
        let mut http = Response::new(Body::from(body.expect("GraphQL values always serialise")));
        *http.status_mut() = status;
        let content_type = match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        };
        http.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            http.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        http
    }
}

/// A request that is not well formed.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UrlParameters {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

fn from_query(uri: &Uri) -> Result<Parameters, Refusal> {
    let Query(url) =
        Query::<UrlParameters>::try_from_uri(uri).map_err(|error| Refusal::bad_request(error.body_text()))?;
    let json = |name: &str, text: Option<String>| match text {
        None => Ok(Value::Null),
        Some(text) if text.is_empty() => Ok(Value::Null),
        Some(text) => {
            serde_json::from_str(&text).map_err(|error| Refusal::bad_request(format!("{name} is no JSON: {error}")))
        }
    };
    let operation_name = url.operation_name.filter(|name| !name.is_empty());
    let parameters = json!({
        "query": url.query,
        "operationName": operation_name,
        "variables": json("variables", url.variables)?,
        "extensions": json("extensions", url.extensions)?,
    });
    Parameters::from_json(parameters).map_err(|error| Refusal::bad_request(error.to_string()))
}

async fn from_body(bodies: &Bodies, request: Request) -> Result<Parameters, Refusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let charset =
        parts.find_map(|part| part.strip_prefix("charset=").map(|charset| charset.trim_matches('"').to_owned()));
    if essence != "application/json" || charset.is_some_and(|charset| charset != "utf-8") {
        let message = format!("the Content-Type is {content_type:?}; expected application/json in UTF-8");
        return Err(Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message });
    }
    let parse = |body: &[u8]| {
        let json =
            serde_json::from_slice(body).map_err(|error| format!("the request body is not valid JSON: {error}"))?;
        Parameters::from_json(json).map_err(|error| error.to_string())
    };
    let read = bodies.parse(request, MAX_GRAPHQL_BODY, parse).await;
    let (parameters, _) = read.map_err(|error| Refusal { status: error.status(), message: error.to_string() })?;
    parameters.map_err(Refusal::bad_request)
}

/// A GET changes nothing: a link or an image makes one.
fn mutation_by_get(form: Form) -> Response {
    allow(form.respond(StatusCode::METHOD_NOT_ALLOWED, &refusal("mutations go by POST")), "POST")
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
    fn the_form_follows_accept() {
        const GRAPHQL: Option<Form> = Some(Form::GraphqlResponse);
        const JSON: Option<Form> = Some(Form::Json);
        for (accept, expect) in [
            ("", JSON),
            ("*/*", JSON),
            ("application/*", JSON),
            ("application/json", JSON),
            ("application/graphql-response+json", GRAPHQL),
            ("Application/GraphQL-Response+JSON; charset=utf-8", GRAPHQL),
            ("application/graphql-response+json, application/json;q=0.9", GRAPHQL),
            ("application/json;q=0.5, application/graphql-response+json;q=0.6", GRAPHQL),
            (
                "application/graphql-response+json, application/graphql+json, application/json, text/event-stream",
                GRAPHQL,
            ),
            ("text/html, */*;q=0.1", JSON),
            ("text/html", None),
            ("application/json;q=0", None),
        ] {
            let headers = [(header::ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            assert_eq!(Form::accepted(&headers), expect, "{accept:?}");
        }
    }
}
