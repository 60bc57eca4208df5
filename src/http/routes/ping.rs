//! Pings of cron jobs and scripts: a URL per signal, answered in plain text.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use serde_json::Value;
use uuid::Uuid;

use crate::api::report::{ItemResult, ItemStatus};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::ping::{InvalidPing, MAX_LOG, PingParams, Signal, UNNAMED_RUN, log_text, report};
use crate::domain::report::ReportKind;
use crate::domain::viewer::Viewer;
use crate::http::error::{Problem, method_not_allowed};
use crate::http::state::Services;

/// Counts, for clients that cannot change the query: `rows=5, bytes=10`.
pub(in crate::http) const COUNTS: HeaderName = HeaderName::from_static("pipewatch-counts");

/// `/api/v1/ping/{pipeline}/{source}`: a successful run.
pub(in crate::http) async fn success(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    Path((pipeline, source)): Path<(String, String)>,
    request: Request,
) -> Response {
    respond(ping(&services, viewer, &pipeline, &source, Ok(Signal::Success), request).await)
}

/// `/api/v1/ping/{pipeline}/{source}/{signal}`.
pub(in crate::http) async fn signal(
    State(services): State<Arc<Services>>,
    viewer: Result<Viewer, Problem>,
    Path((pipeline, source, signal)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let signal = signal.parse().map_err(|error| {
        Problem::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", format!("unknown signal {signal:?}; {error}"))
    });
    respond(ping(&services, viewer, &pipeline, &source, signal, request).await)
}

/// A method other than GET, HEAD and POST.
pub(in crate::http) async fn other_method(method: Method, uri: Uri) -> Response {
    let mut response = method_not_allowed(method, uri).await.into_text();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
    response
}

fn respond(result: Result<(), Problem>) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    match result {
        Ok(()) => (HEADERS, "OK").into_response(),
        Err(problem) => problem.into_text(),
    }
}

/// Records a ping. Returns after the commit.
async fn ping(
    services: &Services,
    viewer: Result<Viewer, Problem>,
    pipeline: &str,
    source: &str,
    signal: Result<Signal, Problem>,
    request: Request,
) -> Result<(), Problem> {
    viewer?;
    let signal = signal?;
    let params = params(request.uri(), request.headers())?;
    let log = log_text(&read_end(request).await?);
    let ping = Ping { services, pipeline, source, params: &params, log: &log };
    match (signal, params.run_id.as_deref()) {
        (Signal::Log, run_id) => ping.append_log(run_id).await,
        (_, Some(run_id)) => ping.record(signal, Some(run_id)).await?.into_result(),
        (Signal::Start, None) => {
            let run_id = format!("{UNNAMED_RUN}{}", Uuid::now_v7());
            ping.record(signal, Some(&run_id)).await?.into_result()
        }
        (_, None) => ping.end_unnamed(signal).await,
    }
}

struct Ping<'a> {
    services: &'a Services,
    pipeline: &'a str,
    source: &'a str,
    params: &'a PingParams,
    log: &'a str,
}

impl Ping<'_> {
    async fn record(&self, signal: Signal, run_id: Option<&str>) -> Result<Recorded, Problem> {
        let item: Vec<Value> = report(signal, self.source, run_id, self.params, self.log).into_iter().collect();
        let response = self.services.ingest.record(ReportKind::SourceRun, item, Some(self.pipeline)).await?;
        Ok(Recorded(response.results.into_iter().next()))
    }

    /// Ends the run that the latest ping without a run id started, or records a run of its own.
    async fn end_unnamed(&self, signal: Signal) -> Result<(), Problem> {
        if let Some((pipeline, source)) = self.keys()
            && let Some(run_id) = self.services.store.open_run_with_prefix(&pipeline, &source, UNNAMED_RUN).await?
        {
            let recorded = self.record(signal, Some(&run_id)).await?;
            // Another ping may have ended it in the meantime.
            if !recorded.is_taken() {
                return recorded.into_result();
            }
        }
        self.record(signal, None).await?.into_result()
    }

    /// Appends to the log of a run: the named one, or else the latest one of the source.
    async fn append_log(&self, run_id: Option<&str>) -> Result<(), Problem> {
        let not_found = || {
            let which = run_id.map_or_else(String::new, |run_id| format!(" {run_id:?}"));
            let (pipeline, source) = (self.pipeline, self.source);
            let detail =
                format!("no run{which} of source {source:?} in pipeline {pipeline:?} to log to; ping /start first");
            Problem::new(StatusCode::NOT_FOUND, "RUN_NOT_FOUND", detail)
        };
        let (pipeline, source) = self.keys().ok_or_else(not_found)?;
        let is_known = self.services.store.append_log(&pipeline, &source, run_id, self.log).await?;
        if is_known { Ok(()) } else { Err(not_found()) }
    }

    /// `None` if one is invalid, for which there is an error once it is reported.
    fn keys(&self) -> Option<(PipelineKey, SourceKey)> {
        Some((self.pipeline.parse().ok()?, self.source.parse().ok()?))
    }
}

/// The result of a report.
struct Recorded(Option<ItemResult>);

impl Recorded {
    /// Whether a run with this id has ended before.
    fn is_taken(&self) -> bool {
        self.0.as_ref().is_some_and(|result| result.is_conflict || result.status == ItemStatus::Duplicate)
    }

    fn into_result(self) -> Result<(), Problem> {
        let Some(result) = self.0.filter(|result| result.status == ItemStatus::Refused) else { return Ok(()) };
        let lines = result.errors.iter().map(|error| {
            let field = if error.field == "id" { "rid" } else { &error.field };
            format!("{field}: {}; expected {}", error.message, error.expected)
        });
        let (status, code) = match (result.is_conflict, result.is_temporary) {
            (true, _) => (StatusCode::CONFLICT, "CONFLICT"),
            (_, true) => (StatusCode::SERVICE_UNAVAILABLE, "BEING_REMOVED"),
            _ => (StatusCode::UNPROCESSABLE_ENTITY, "REFUSED"),
        };
        Err(Problem::new(status, code, lines.collect::<Vec<_>>().join("\n")))
    }
}

/// The parameters of a ping's query.
///
/// # Errors
/// A parameter is unknown or invalid.
pub fn ping_params(uri: &Uri) -> Result<PingParams, Problem> {
    let Query(query) =
        Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| Problem::bad_request(error.body_text()))?;
    Ok(PingParams::of_query(query)?)
}

fn params(uri: &Uri, headers: &HeaderMap) -> Result<PingParams, Problem> {
    let mut params = ping_params(uri)?;
    for value in headers.get_all(COUNTS) {
        let value =
            value.to_str().map_err(|_| InvalidPing::NotAPair(String::from_utf8_lossy(value.as_bytes()).into()))?;
        params.add_header(value)?;
    }
    Ok(params)
}

impl From<InvalidPing> for Problem {
    fn from(error: InvalidPing) -> Self {
        Self::bad_request(error.to_string())
    }
}

/// The end of a body of any size, read without holding more of it. Its time is limited.
async fn read_end(request: Request) -> Result<Vec<u8>, Problem> {
    if let Some(encoding) = request.headers().get(header::CONTENT_ENCODING) {
        let encoding = String::from_utf8_lossy(encoding.as_bytes()).into_owned();
        return Err(Problem::unsupported_media_type(format!("the Content-Encoding is {encoding:?}; send plain text")));
    }
    let mut pieces = request.into_body().into_data_stream();
    let mut end = Vec::new();
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Problem::bad_request(format!("the body ended early: {error}")))?;
        end.extend_from_slice(&piece[piece.len().saturating_sub(MAX_LOG)..]);
        let excess = end.len().saturating_sub(MAX_LOG);
        end.drain(..excess);
    }
    Ok(end)
}
