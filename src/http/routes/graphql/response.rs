//! How results are sent over HTTP, as the GraphQL over HTTP specification has it.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::graphql::answer::{Answer, Reason, Refusal};
use crate::http::accept::media_ranges;
use crate::http::error::RETRY_AFTER;

/// The media type of GraphQL over HTTP.
pub(super) const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";

/// The media type of a GraphQL response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseFormat {
    /// `application/graphql-response+json`: a request error has the HTTP status 400.
    GraphqlResponse,
    /// `application/json`: a well-formed request has the HTTP status 200, whatever its result.
    Json,
}

impl ResponseFormat {
    /// The format that the client prefers, `application/json` if it has no preference; `None` if it accepts neither.
    pub fn accepted(headers: &HeaderMap) -> Option<Self> {
        let mut best: Option<(f32, Self)> = None;
        for (range, weight) in media_ranges(headers) {
            let format = match range.essence_str() {
                GRAPHQL_RESPONSE => Self::GraphqlResponse,
                "application/json" | "application/*" | "*/*" => Self::Json,
                _ => continue,
            };
            if best.is_none_or(|(highest, _)| weight > highest) {
                best = Some((weight, format));
            }
        }
        best.map(|(_, format)| format)
    }

    /// The status of a well-formed request that could not be executed.
    fn request_error(self) -> StatusCode {
        match self {
            Self::GraphqlResponse => StatusCode::BAD_REQUEST,
            Self::Json => StatusCode::OK,
        }
    }

    /// The response to an operation without a result.
    pub(super) fn refuse(self, refusal: &Refusal) -> Response {
        let status = match refusal.reason {
            Reason::Request => self.request_error(),
            Reason::Limit => StatusCode::BAD_REQUEST,
            Reason::TooLarge => StatusCode::OK,
            Reason::Overload => StatusCode::SERVICE_UNAVAILABLE,
        };
        self.respond(status, refusal.body())
    }

    pub(super) fn respond(self, status: StatusCode, json: Bytes) -> Response {
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

impl ResponseFormat {
    /// The response to a batch: a list of results. It is 503 when the server was too busy for any of them.
    pub(super) fn respond_batch(self, answers: Vec<Answer>) -> Response {
        let is_busy =
            |answer: &Answer| matches!(answer, Answer::Refused(refusal) if refusal.reason == Reason::Overload);
        let status = if answers.iter().all(is_busy) { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let mut list = vec![b'['];
        for (index, answer) in answers.into_iter().enumerate() {
            if index > 0 {
                list.push(b',');
            }
            match answer {
                Answer::Executed(json) => list.extend_from_slice(&json),
                Answer::Refused(refusal) => list.extend_from_slice(&refusal.body()),
            }
        }
        list.push(b']');
        self.respond(status, list.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_follows_accept() {
        const GRAPHQL: Option<ResponseFormat> = Some(ResponseFormat::GraphqlResponse);
        const JSON: Option<ResponseFormat> = Some(ResponseFormat::Json);
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
            assert_eq!(ResponseFormat::accepted(&headers), expect, "{accept:?}");
        }
    }
}
