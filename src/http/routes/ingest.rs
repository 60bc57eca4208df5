//! Reports by REST.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use headers::{ContentType, HeaderMapExt as _};
use mime::Mime;

use crate::api::report::{IngestResponse, ItemStatus};
use crate::domain::report::ReportKind;
use crate::domain::viewer::Viewer;
use crate::http::error::{Problem, RETRY_AFTER};
use crate::http::query::StatusParams;
use crate::http::state::Services;
use crate::ingest::items::{self, BodyFormat, InvalidBody};

/// Bytes of a body of reports, after decompression.
const MAX_BODY: usize = 8 * 1024 * 1024;

/// Memory that an item takes in addition to its text while it waits to be stored.
const ITEM_SIZE: usize = 1024;

/// Stores one item, an array or NDJSON, and responds after the commit.
pub(in crate::http) async fn record(
    kind: ReportKind,
    State(services): State<Arc<Services>>,
    _: Viewer,
    request: Request,
) -> Result<Response, Problem> {
    let query = StatusParams::of(request.uri())?;
    let form = body_format(request.headers())?;
    let mut batch = services.ingest.batch(kind, query.pipeline.as_deref());
    let read = move |body: &[u8]| items::read(form, body, |item| batch.add(item)).map(|()| (batch, body.len()));
    let (read, mut reservation) = services.bodies.parse(request, MAX_BODY, read).await?;
    let (batch, length) = read?;
    // The reports wait to be committed, and take memory as the body did.
    reservation.cover(length + batch.len() * ITEM_SIZE)?;
    let answer = services.ingest.record_batch(batch).await?;
    let status = status(&answer);
    let mut response = (status, Json(answer)).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    Ok(response)
}

/// The format that the Content-Type names.
fn body_format(headers: &HeaderMap) -> Result<BodyFormat, Problem> {
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

/// 201 if all are stored, 200 if all are stored or duplicates, 207 if some are refused. If all are refused: 409 for
/// taken ids only, 503 if a retry may succeed, otherwise 422.
fn status(answer: &IngestResponse) -> StatusCode {
    let (mut stored, mut duplicates, mut refused, mut conflicts) = (0, 0, 0, 0);
    for result in &answer.results {
        match result.status {
            ItemStatus::Stored => stored += 1,
            ItemStatus::Duplicate => duplicates += 1,
            ItemStatus::Refused => refused += 1,
        }
        conflicts += usize::from(result.is_conflict);
    }
    match (stored, duplicates, refused) {
        (1.., 0, 0) => StatusCode::CREATED,
        (_, _, 0) => StatusCode::OK,
        (0, 0, _) if refused == conflicts => StatusCode::CONFLICT,
        (0, 0, _) if answer.results.iter().any(|result| result.is_temporary) => StatusCode::SERVICE_UNAVAILABLE,
        (0, 0, _) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::MULTI_STATUS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::report::ItemResult;

    #[test]
    fn the_status_sums_the_items_up() {
        let result = |letter| ItemResult {
            index: 0,
            id: None,
            status: match letter {
                's' => ItemStatus::Stored,
                'd' => ItemStatus::Duplicate,
                _ => ItemStatus::Refused,
            },
            errors: vec![],
            warnings: vec![],
            is_conflict: letter == 'c',
            is_temporary: letter == 't',
        };
        for (letters, expect) in [
            ("", 200),
            ("s", 201),
            ("ss", 201),
            ("sd", 200),
            ("d", 200),
            ("sr", 207),
            ("dr", 207),
            ("sc", 207),
            ("r", 422),
            ("rc", 422),
            ("c", 409),
            ("cc", 409),
            ("t", 503),
            ("tr", 503),
            ("st", 207),
        ] {
            let answer = IngestResponse { results: letters.chars().map(result).collect(), ..IngestResponse::default() };
            assert_eq!(status(&answer).as_u16(), expect, "{letters:?}");
        }
    }
}
