use axum::http::{HeaderMap, header};

use crate::http::problem::Problem;
use crate::ingest::items::{BadBody, Form};

/// The form that the Content-Type names.
pub(super) fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
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
