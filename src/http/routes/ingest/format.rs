use axum::http::HeaderMap;
use headers::{ContentType, HeaderMapExt as _};
use mime::Mime;

use crate::http::error::Problem;
use crate::ingest::items::{BodyFormat, InvalidBody};

/// The format that the Content-Type names.
pub(super) fn body_format(headers: &HeaderMap) -> Result<BodyFormat, Problem> {
    let content_type = headers.typed_get::<ContentType>().map(Mime::from);
    match content_type.as_ref().map_or("", Mime::essence_str) {
        "application/json" => Ok(BodyFormat::Json),
        "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(BodyFormat::Ndjson),
        other => Err(Problem::unsupported_media_type(format!(
            "the Content-Type is {other:?}; expected application/json (an object or an array) or application/x-ndjson"
        ))),
    }
}

impl From<InvalidBody> for Problem {
    fn from(error: InvalidBody) -> Self {
        let detail = error.to_string();
        match error {
            InvalidBody::Broken { .. } => Self::bad_request(detail),
            InvalidBody::TooManyItems | InvalidBody::TooManyLines => Self::too_large(detail),
        }
    }
}
