use async_graphql::parser::types::OperationType;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Reason, Refusal};
use crate::graphql::operation::Parameters;
use crate::http::caller::Caller;
use crate::http::graphql_sse::single::StartError;
use crate::http::graphql_sse::{distinct, single};
use crate::http::problem::{Problem, RETRY_AFTER};
use crate::http::routes::status::poll;
use crate::http::{Bodies, MAX_GRAPHQL_BODY, Services, graphql_ws, pages};
use crate::push::hub::topic_key as hash;
use crate::push::protocol::graphql_ws::SUBPROTOCOL;

/// GraphQL in all its forms: over HTTP, as event streams, and upgraded to a WebSocket.
pub(super) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    caller: Caller,
    request: Request,
) -> Response {
    let (version, method) = (request.version(), request.method().clone());
    if is_upgrade(request.headers()) {
        // Its credentials may still come with the first message.
        return graphql_ws::serve(services, viewer.ok(), caller, &request).into_response();
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
        return stream_of_token(services, viewer, caller, request, token).await.into_response();
    }
    if method == Method::PUT {
        return services.single_connections.reserve().into_response();
    }
    if wants_events(request.headers()) && (method == Method::GET || method == Method::POST) {
        let parameters = match parameters(&services, request).await {
            Ok(parameters) => parameters,
            Err(malformed) => return malformed.respond(Form::Json),
        };
        let operation = services.graphql.parse(parameters);
        if method == Method::GET && operation.as_ref().is_ok_and(|it| it.kind == OperationType::Mutation) {
            return mutation_by_get(Form::Json);
        }
        return distinct::serve(services, viewer, &caller, version, operation).into_response();
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
        Err(malformed) => return malformed.respond(form),
    };
    let operation = match services.graphql.parse(parameters) {
        Ok(operation) => operation,
        Err(refusal) => return form.refuse(&refusal),
    };
    match operation.kind {
        OperationType::Mutation if method == Method::GET => mutation_by_get(form),
        OperationType::Subscription => {
            let message = format!(
                "subscriptions are streams: open a WebSocket here with the subprotocol {SUBPROTOCOL}, or ask for Server-Sent \
                 Events with Accept: text/event-stream"
            );
            form.refuse(&Refusal::request(message))
        }
        OperationType::Query | OperationType::Mutation => match services.graphql.execute(operation, viewer).await {
            Answer::Refused(refusal) => form.refuse(&refusal),
            Answer::Executed(json) if method == Method::GET => with_etag(form, json, &known),
            Answer::Executed(json) => form.respond(StatusCode::OK, json),
        },
    }
}

/// What concerns a client's single stream.
async fn stream_of_token(
    services: Arc<Services>,
    viewer: Viewer,
    caller: Caller,
    request: Request,
    token: String,
) -> Result<Response, Problem> {
    let reservations = services.single_connections.clone();
    let (version, method) = (request.version(), request.method().clone());
    match method {
        Method::PUT => Err(Problem::new(StatusCode::CONFLICT, "STREAM_EXISTS", "reserve a stream without naming one")),
        Method::GET if wants_events(request.headers()) => reservations.open(services, &caller, version, token),
        Method::DELETE => reservations.stop(request.uri(), &token),
        Method::GET | Method::POST => {
            if !reservations.has(&token) {
                return Err(single::stream_not_found());
            }
            let form = Form::accepted(request.headers()).unwrap_or(Form::Json);
            let parameters = match parameters(&services, request).await {
                Ok(parameters) => parameters,
                Err(malformed) => return Ok(malformed.respond(form)),
            };
            match reservations.start(&services, viewer, &token, &method, parameters).await {
                Ok(accepted) => Ok(accepted),
                Err(StartError::Problem(problem)) => Err(problem),
                Err(StartError::Method) => Ok(mutation_by_get(form)),
                // Its answer is all that there will be: without a status of its own nobody would know.
                Err(StartError::Operation(refusal)) => Ok(form.respond(StatusCode::BAD_REQUEST, refusal.body())),
            }
        }
        _ => {
            Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", "expected GET, POST, PUT or DELETE"))
        }
    }
}

/// An answer to a GET has a tag over its body; who has it already gets a 304.
fn with_etag(form: Form, json: Bytes, known: &HeaderMap) -> Response {
    let hash = u64::from_be_bytes(*hash([&json[..]]).first_chunk().unwrap_or(&[0; 8]));
    let etag = format!("W/\"{hash:016x}\"");
    let mut response = if poll::is_known(known, etag.as_bytes()) {
        form.respond(StatusCode::NOT_MODIFIED, Bytes::new())
    } else {
        form.respond(StatusCode::OK, json)
    };
    if let Ok(etag) = HeaderValue::try_from(etag) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn parameters(services: &Services, request: Request) -> Result<Parameters, Malformed> {
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
pub fn wants_events(headers: &HeaderMap) -> bool {
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
pub enum Form {
    /// `application/graphql-response+json`: the HTTP status tells of request errors.
    GraphqlResponse,
    /// `application/json`: 200 once the request is well formed.
    Json,
}

impl Form {
    /// The form that the client likes best, `application/json` where it does not care; `None` when neither will do.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
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

    /// Answers that an operation was not executed, or has no result.
    fn refuse(self, refusal: &Refusal) -> Response {
        let status = match refusal.reason {
            Reason::Request => self.request_error(),
            Reason::Limit => StatusCode::BAD_REQUEST,
            Reason::TooLarge => StatusCode::OK,
            Reason::Overload => StatusCode::SERVICE_UNAVAILABLE,
        };
        self.respond(status, refusal.body())
    }

    fn respond(self, status: StatusCode, json: Bytes) -> Response {
        let mut http = Response::new(Body::from(json));
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
pub struct Malformed {
    status: StatusCode,
    refusal: Refusal,
}

impl Malformed {
    fn bad_request(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, refusal: Refusal::request(message) }
    }

    fn respond(&self, form: Form) -> Response {
        form.respond(self.status, self.refusal.body())
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

/// The parameters of a GET.
///
/// # Errors
/// What is not well formed.
pub fn from_query(uri: &Uri) -> Result<Parameters, Malformed> {
    let Query(url) =
        Query::<UrlParameters>::try_from_uri(uri).map_err(|error| Malformed::bad_request(error.body_text()))?;
    let json = |name: &str, text: Option<String>| match text {
        None => Ok(Value::Null),
        Some(text) if text.is_empty() => Ok(Value::Null),
        Some(text) => {
            serde_json::from_str(&text).map_err(|error| Malformed::bad_request(format!("{name} is no JSON: {error}")))
        }
    };
    let operation_name = url.operation_name.filter(|name| !name.is_empty());
    let parameters = json!({
        "query": url.query,
        "operationName": operation_name,
        "variables": json("variables", url.variables)?,
        "extensions": json("extensions", url.extensions)?,
    });
    Parameters::from_json(parameters).map_err(|error| Malformed::bad_request(error.to_string()))
}

async fn from_body(bodies: &Bodies, request: Request) -> Result<Parameters, Malformed> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let charset =
        parts.find_map(|part| part.strip_prefix("charset=").map(|charset| charset.trim_matches('"').to_owned()));
    if essence != "application/json" || charset.is_some_and(|charset| charset != "utf-8") {
        let message = format!("the Content-Type is {content_type:?}; expected application/json in UTF-8");
        let refusal = Refusal::request(message);
        return Err(Malformed { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal });
    }
    let parse = |body: &[u8]| {
        let json =
            serde_json::from_slice(body).map_err(|error| format!("the request body is not valid JSON: {error}"))?;
        Parameters::from_json(json).map_err(|error| error.to_string())
    };
    let read = bodies.parse(request, MAX_GRAPHQL_BODY, parse).await;
    let (parameters, _) = read.map_err(|error| {
        let refusal = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Refusal::coded(error.to_string(), "BODY_TOO_LARGE"),
            _ => Refusal::request(error.to_string()),
        };
        Malformed { status: error.status(), refusal }
    })?;
    parameters.map_err(Malformed::bad_request)
}

/// A GET changes nothing: a link or an image makes one.
fn mutation_by_get(form: Form) -> Response {
    allow(form.respond(StatusCode::METHOD_NOT_ALLOWED, Refusal::request("mutations go by POST").body()), "POST")
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
