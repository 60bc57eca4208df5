use async_graphql::parser::types::OperationType;
use axum::body::{Body, Bytes};
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequest as _, FromRequestParts as _, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::domain::viewer::Viewer;
use crate::graphql::operation::{Operation, Parameters};
use crate::graphql::{is_request_error, refusal};
use crate::http::problem::Problem;
use crate::http::{Services, graphql_ws};

/// Answers operations over HTTP, as the GraphQL over HTTP specification has it, and upgrades to subscriptions.
pub(super) async fn serve(State(services): State<Services>, viewer: Viewer, request: Request) -> Response {
    if is_upgrade(request.headers()) {
        let (mut parts, _) = request.into_parts();
        return match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
            Ok(upgrade) => graphql_ws::serve(services, viewer, upgrade).into_response(),
            Err(rejection) => Problem::bad_request(rejection.body_text()).into_response(),
        };
    }
    let Some(form) = Form::accepted(request.headers()) else {
        let detail = "expected an Accept that has application/graphql-response+json or application/json";
        return Problem::new(StatusCode::NOT_ACCEPTABLE, "NOT_ACCEPTABLE", detail).into_response();
    };
    let method = request.method().clone();
    let parameters = match method {
        Method::GET => from_query(request.uri()),
        Method::POST => from_body(request).await,
        _ => {
            let detail = "GraphQL takes POST, and GET for queries";
            return not_allowed(
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail),
                "GET, POST",
            );
        }
    };
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(Refusal { status, message }) => return form.respond(status, &refusal(message)),
    };
    let operation = match Operation::parse(parameters) {
        Ok(operation) => operation,
        Err(response) => return form.respond(form.request_error(), &response),
    };
    match operation.kind {
        OperationType::Mutation if method == Method::GET => {
            not_allowed(form.respond(StatusCode::METHOD_NOT_ALLOWED, &refusal("mutations go by POST")), "POST")
        }
        OperationType::Subscription => {
            let message = format!(
                "subscriptions are streams: open a WebSocket here with the subprotocol {}, or watch Server-Sent \
                 Events at /api/v1/monitoring/pipeline-status/stream",
                graphql_ws::PROTOCOL
            );
            form.respond(form.request_error(), &refusal(message))
        }
        OperationType::Query | OperationType::Mutation => {
            let response = services.graphql.execute(operation.request, viewer).await;
            let status = if is_request_error(&response) { form.request_error() } else { StatusCode::OK };
            form.respond(status, &response)
        }
    }
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

async fn from_body(request: Request) -> Result<Parameters, Refusal> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let essence = parts.next().unwrap_or_default();
    let charset =
        parts.find_map(|part| part.strip_prefix("charset=").map(|charset| charset.trim_matches('"').to_owned()));
    if essence != "application/json" || charset.is_some_and(|charset| charset != "utf-8") {
        let message = format!("the Content-Type is {content_type:?}; expected application/json in UTF-8");
        return Err(Refusal { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message });
    }
    let body = Bytes::from_request(request, &())
        .await
        .map_err(|rejection: BytesRejection| Refusal { status: rejection.status(), message: rejection.body_text() })?;
    let json =
        serde_json::from_slice(&body).map_err(|error| Refusal::bad_request(format!("the body is no JSON: {error}")))?;
    Parameters::from_json(json).map_err(|error| Refusal::bad_request(error.to_string()))
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn not_allowed(response: impl axum::response::IntoResponse, allow: &'static str) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
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
