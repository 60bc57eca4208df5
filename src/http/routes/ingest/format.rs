use axum::http::HeaderMap;
use headers::{ContentType, HeaderMapExt as _};
use mime::Mime;

use crate::http::error::Problem;
use crate::ingest::items::{BadBody, Form};

/// The format that the Content-Type names.
pub(super) fn body_format(headers: &HeaderMap) -> Result<Form, Problem> {
    let content_type = headers.typed_get::<ContentType>().map(Mime::from);
    match content_type.as_ref().map_or("", Mime::essence_str) {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Form::Ndjson),
        other => Err(Problem::unsupported_media_type(format!(
            "the Content-Type is {other:?}; expected application/json (an object or an array) or application/x-ndjson"
        ))),
    }
}

impl From<BadBody> for Problem {
    fn from(error: BadBody) -> Self {
        let detail = error.to_string();
        match error {
            BadBody::Broken { .. } => Self::bad_request(detail),
            BadBody::TooManyItems | BadBody::TooManyLines => Self::too_large(detail),
        }
    }
}
