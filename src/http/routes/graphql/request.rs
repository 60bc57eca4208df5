//! What a GraphQL request over HTTP asks for.

use async_graphql::BatchRequest;
use async_graphql_axum::GraphQLBatchRequest;
use async_graphql_axum::rejection::GraphQLRejection;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Query, Request};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use futures_util::FutureExt as _;
use headers::{ContentType, HeaderMapExt as _};
use mime::Mime;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::graphql::answer::Refusal;
use crate::graphql::operation::RequestParams;
use crate::http::request_body::Bodies;
use crate::http::routes::graphql::response::ResponseFormat;

/// Bytes of a GraphQL body, after decompression.
const MAX_GRAPHQL_BODY: usize = 256 * 1024;

/// The operations of a request.
pub(super) enum Operations {
    One(RequestParams),
    /// A batch is answered with a list.
    Batch(Vec<RequestParams>),
}

impl Operations {
    /// Reads the operations of a GET or a POST.
    pub(super) async fn read(bodies: &Bodies, request: Request) -> Result<Self, BadRequest> {
        if request.method() == Method::GET || request.method() == Method::HEAD {
            return from_query(request.uri()).map(Self::One);
        }
        require_json(request.headers())?;
        let read = bodies.parse(request, MAX_GRAPHQL_BODY, from_json).await;
        read.map(|(operations, _)| operations).map_err(|error| {
            let refusal = match error.status() {
                StatusCode::PAYLOAD_TOO_LARGE => Refusal::coded(error.to_string(), "BODY_TOO_LARGE"),
                _ => Refusal::request(error.to_string()),
            };
            BadRequest { status: error.status(), refusal }
        })?
    }

    /// The operation of a request that may have no batch, because its results are events.
    pub(super) fn single(self) -> Result<RequestParams, BadRequest> {
        match self {
            Self::One(parameters) => Ok(parameters),
            Self::Batch(_) => Err(BadRequest::new("event streams take no batches; send one operation per request")),
        }
    }
}

/// A request that is not well formed.
pub struct BadRequest {
    status: StatusCode,
    refusal: Refusal,
}

impl BadRequest {
    fn new(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, refusal: Refusal::request(message) }
    }

    pub(super) fn respond(&self, format: ResponseFormat) -> Response {
        format.respond(self.status, self.refusal.body())
    }
}

/// A page of another site can send forms and plain text without a preflight, but no JSON.
fn require_json(headers: &HeaderMap) -> Result<(), BadRequest> {
    let is_json = headers.typed_get::<ContentType>().map(Mime::from).is_some_and(|mime| {
        mime.essence_str() == mime::APPLICATION_JSON.as_ref()
            && mime.get_param(mime::CHARSET).is_none_or(|charset| charset == mime::UTF_8)
    });
    if is_json {
        return Ok(());
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let message = format!("the Content-Type is {content_type:?}; expected application/json in UTF-8");
    Err(BadRequest { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, refusal: Refusal::request(message) })
}

/// The operations of a body.
fn from_json(body: &[u8]) -> Result<Operations, BadRequest> {
    let json = Body::from(Bytes::copy_from_slice(body));
    let request = Request::builder().method(Method::POST).header(header::CONTENT_TYPE, mime::APPLICATION_JSON.as_ref());
    let request = request.body(json).expect("a constant head is valid");
    // The whole body is in memory, so the extractor never waits.
    let extracted = GraphQLBatchRequest::<GraphQLRejection>::from_request(request, &()).now_or_never();
    match extracted.map(|extracted| extracted.map(GraphQLBatchRequest::into_inner)) {
        Some(Ok(BatchRequest::Single(request))) if is_object(body) => single(request).map(Operations::One),
        Some(Ok(BatchRequest::Batch(requests))) if is_list_of_objects(body) => {
            requests.into_iter().map(single).collect::<Result<_, _>>().map(Operations::Batch)
        }
        _ => Err(BadRequest::new(explain(body))),
    }
}

/// Whether a request is an object: the extractor also reads its fields from a list, by their order.
fn is_object(body: &[u8]) -> bool {
    body.trim_ascii_start().starts_with(b"{")
}

fn is_list_of_objects(body: &[u8]) -> bool {
    serde_json::from_slice::<Vec<serde_json::Map<String, Value>>>(body).is_ok()
}

fn single(request: async_graphql::Request) -> Result<RequestParams, BadRequest> {
    RequestParams::try_from(request).map_err(|error| BadRequest::new(error.to_string()))
}

/// Explains a body that the extractor rejected: its error only says that the body is neither a request nor a batch.
fn explain(body: &[u8]) -> String {
    let json: Value = match serde_json::from_slice(body) {
        Ok(json) => json,
        Err(error) => return format!("the request body is not valid JSON: {error}"),
    };
    let Value::Array(requests) = json else {
        let error = RequestParams::from_json(json).err().map(|error| error.to_string());
        return error.unwrap_or_else(|| "the request body is not a GraphQL request".into());
    };
    if requests.is_empty() {
        return "the batch is empty; send at least one operation".into();
    }
    let errors = requests.into_iter().map(RequestParams::from_json).enumerate();
    let mut errors =
        errors.filter_map(|(index, result)| Some(format!("operation {index} of the batch: {}", result.err()?)));
    errors.next().unwrap_or_else(|| "the request body is not a batch of GraphQL requests".into())
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
/// The parameter that is not well formed.
pub fn from_query(uri: &Uri) -> Result<RequestParams, BadRequest> {
    let Query(url) = Query::<UrlParameters>::try_from_uri(uri).map_err(|error| BadRequest::new(error.body_text()))?;
    let json = |name: &str, text: Option<String>| match text {
        None => Ok(Value::Null),
        Some(text) if text.is_empty() => Ok(Value::Null),
        Some(text) => {
            serde_json::from_str(&text).map_err(|error| BadRequest::new(format!("{name} is not valid JSON: {error}")))
        }
    };
    let operation_name = url.operation_name.filter(|name| !name.is_empty());
    let parameters = json!({
        "query": url.query,
        "operationName": operation_name,
        "variables": json("variables", url.variables)?,
        "extensions": json("extensions", url.extensions)?,
    });
    RequestParams::from_json(parameters).map_err(|error| BadRequest::new(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_is_an_operation_or_a_batch() {
        for (body, expect) in [
            (r#"{"query": "{ a }"}"#, Ok(None)),
            (r#"{"query": "{ a }", "operationName": null, "variables": null, "extensions": null}"#, Ok(None)),
            (r#"{"query": "{ a }", "variables": {"a": [1.5, "b", {"c": null}]}, "other": 1}"#, Ok(None)),
            (r#"[{"query": "{ a }"}]"#, Ok(Some(1))),
            (r#"[{"query": "{ a }"}, {"query": "{ b }"}]"#, Ok(Some(2))),
            ("[]", Err("the batch is empty")),
            ("{", Err("not valid JSON")),
            ("{}", Err("query: it is empty or missing")),
            (r#"{"query": ""}"#, Err("query: it is empty or missing")),
            (r#"{"query": 1}"#, Err("query: it must be a string")),
            (r#"{"query": "{ a }", "variables": []}"#, Err("variables: it must be an object or null")),
            (r#"[{"query": "{ a }"}, {"query": 1}]"#, Err("operation 1 of the batch: query")),
            (r#"[[{"query": "{ a }"}]]"#, Err("operation 0 of the batch: request")),
            (r#"["{ a }"]"#, Err("operation 0 of the batch: request")),
            (r#"[["{ a }"]]"#, Err("operation 0 of the batch: request")),
            ("\"{ a }\"", Err("request: it must be a JSON object")),
        ] {
            match (from_json(body.as_bytes()), expect) {
                (Ok(Operations::One(_)), Ok(None)) => {}
                (Ok(Operations::Batch(batch)), Ok(Some(count))) => assert_eq!(batch.len(), count, "{body}"),
                (Err(error), Err(expect)) => {
                    let text = String::from_utf8(error.refusal.body().to_vec()).expect("text");
                    assert!(text.contains(expect) && error.status == StatusCode::BAD_REQUEST, "{text}");
                }
                (Ok(_), expect) => panic!("{body}: accepted, expected {expect:?}"),
                (Err(error), _) => panic!("{body}: {:?}", error.refusal),
            }
        }
    }

    #[test]
    fn only_json_in_utf_8_is_accepted() {
        for (content_type, expect) in [
            (Some("application/json"), true),
            (Some("Application/JSON; charset=UTF-8"), true),
            (Some("application/json; charset=\"utf-8\""), true),
            (Some("application/json;charset=latin1"), false),
            (Some("application/graphql-response+json"), false),
            (Some("application/x-www-form-urlencoded"), false),
            (Some("multipart/form-data; boundary=x"), false),
            (Some("text/plain"), false),
            (Some(""), false),
            (None, false),
        ] {
            let value = content_type.map(|text| (header::CONTENT_TYPE, text.parse().expect("a header")));
            let accepted = require_json(&value.into_iter().collect());
            assert_eq!(accepted.is_ok(), expect, "{content_type:?}");
            if let Err(error) = accepted {
                assert_eq!(error.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
        }
    }
}
