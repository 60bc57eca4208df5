//! `OpenLineage` events.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use headers::{ContentType, HeaderMapExt as _};
use mime::Mime;
use serde_json::value::RawValue;

use crate::api::lineage::{FailedEvent, LineageResponse, LineageStatus, LineageSummary};
use crate::api::report::{ItemResult, ItemStatus};
use crate::domain::lineage::{Bounded, Event, InvalidEvent, Naming};
use crate::domain::report::ReportKind;
use crate::domain::viewer::Viewer;
use crate::http::error::{Problem, RETRY_AFTER};
use crate::http::state::Services;
use crate::ingest::{Batch, MAX_ITEMS};

/// Bytes of a body, after decompression.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// Memory that an event takes while its report waits to be stored.
const EVENT_SIZE: usize = 1024;

/// The events of a request.
struct Events {
    batch: Batch,
    /// One per event: its error, or whether the next item of the batch is its report.
    results: Vec<Result<bool, InvalidEvent>>,
}

/// `POST /api/v1/lineage`: one event.
pub(in crate::http) async fn one(
    State(services): State<Arc<Services>>,
    _: Viewer,
    request: Request,
) -> Result<Response, Problem> {
    record(&services, request, |body| {
        serde_json::from_slice(body).map(|event| Bounded { items: vec![event], has_more: false })
    })
    .await
}

/// `POST /api/v1/lineage/batch`: a list of events.
pub(in crate::http) async fn batch(
    State(services): State<Arc<Services>>,
    _: Viewer,
    request: Request,
) -> Result<Response, Problem> {
    record(&services, request, |body| serde_json::from_slice(body)).await
}

type EventList<'a> = Bounded<&'a RawValue, MAX_ITEMS>;

/// Stores the reports of events, and responds after the commit.
async fn record(
    services: &Services,
    request: Request,
    split: impl for<'a> FnOnce(&'a [u8]) -> serde_json::Result<EventList<'a>> + Send + 'static,
) -> Result<Response, Problem> {
    require_json(request.headers())?;
    let batch = services.ingest.batch(ReportKind::SourceRun, None);
    let naming = Arc::clone(&services.lineage);
    let read = move |body: &[u8]| {
        let events = split(body).map_err(|error| Problem::bad_request(format!("the body is not valid: {error}")))?;
        if events.has_more {
            return Err(Problem::too_large(format!("more than {MAX_ITEMS} events; send several requests")));
        }
        Ok((Events::read(batch, &events.items, &naming), body.len()))
    };
    let (read, mut reservation) = services.bodies.parse(request, MAX_BODY, read).await?;
    let (events, length) = read?;
    reservation.cover(length + events.results.len() * EVENT_SIZE)?;
    let Events { batch, results } = events;
    let recorded = services.ingest.record_batch(batch).await?;
    Ok(LineageResponse::new(results, recorded.results).respond())
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers.typed_get::<ContentType>().map(Mime::from);
    match content_type.as_ref().map_or("", Mime::essence_str) {
        "application/json" => Ok(()),
        other => {
            Err(Problem::unsupported_media_type(format!("the Content-Type is {other:?}; expected application/json")))
        }
    }
}

impl Events {
    fn read(mut batch: Batch, events: &[&RawValue], naming: &Naming) -> Self {
        let mut read = |event: &&RawValue| {
            let report = Event::parse(event.get())?.report(naming)?;
            let has_report = report.is_some();
            if let Some(report) = report {
                batch.add(Ok(report));
            }
            Ok(has_report)
        };
        let results = events.iter().map(&mut read).collect();
        Self { batch, results }
    }
}

impl LineageResponse {
    fn new(events: Vec<Result<bool, InvalidEvent>>, recorded: Vec<ItemResult>) -> Self {
        let received = events.len();
        let mut recorded = recorded.into_iter();
        let failed_events: Vec<_> = events
            .into_iter()
            .enumerate()
            .filter_map(|(index, event)| {
                let (reason, retriable) = match event {
                    Err(error) => (error.to_string(), false),
                    Ok(false) => return None,
                    Ok(true) => failure(&recorded.next()?)?,
                };
                Some(FailedEvent { index, reason, retriable })
            })
            .collect();
        let failed = failed_events.len();
        let status = match failed {
            0 => LineageStatus::Success,
            _ if failed < received => LineageStatus::PartialSuccess,
            _ => LineageStatus::Failure,
        };
        Self { status, summary: LineageSummary { received, successful: received - failed, failed }, failed_events }
    }

    /// 200 if an event succeeded or the list is empty, 422 if all are refused, 503 if one may succeed later: the others
    /// are then duplicates.
    fn respond(self) -> Response {
        let status = if self.failed_events.iter().any(|event| event.retriable) {
            StatusCode::SERVICE_UNAVAILABLE
        } else if self.status == LineageStatus::Failure {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            StatusCode::OK
        };
        let mut response = (status, Json(self)).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// Why a report is refused, and whether it may succeed later. The first event of a transition counts: another one with
/// the same run is accepted and changes nothing.
fn failure(result: &ItemResult) -> Option<(String, bool)> {
    if result.status != ItemStatus::Refused || result.is_conflict {
        return None;
    }
    let errors = result.errors.iter().map(|error| {
        let field = match error.field.as_str() {
            "id" => "run.runId",
            "timestamp" => "eventTime",
            other => other,
        };
        format!("{field}: {}; expected {}", error.message, error.expected)
    });
    Some((errors.collect::<Vec<_>>().join("\n"), result.is_temporary))
}
