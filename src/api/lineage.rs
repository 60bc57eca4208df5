//! The JSON of responses to `OpenLineage` events.

use serde::Serialize;
use utoipa::ToSchema;

/// The result of a request with events. Successful events are committed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "status": "partial_success", "summary": {"received": 2, "successful": 1, "failed": 1},
    "failed_events": [{"index": 1, "reason": "eventTime is missing; expected an OpenLineage run, job or dataset event",
        "retriable": false}]
}))]
pub struct LineageResponse {
    /// Whether all, some or none of the events succeeded.
    pub status: LineageStatus,
    /// The numbers of events.
    pub summary: LineageSummary,
    /// The events that failed, in order.
    pub failed_events: Vec<FailedEvent>,
}

/// The result of all events of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineageStatus {
    /// All events succeeded, or the list was empty.
    Success,
    /// Some events failed.
    PartialSuccess,
    /// All events failed.
    Failure,
}

/// The numbers of events of a request.
#[derive(Debug, Serialize, ToSchema)]
pub struct LineageSummary {
    /// The number of events in the request.
    #[schema(value_type = u64)]
    pub received: usize,
    /// The number of events that were stored, were stored before, or change no run.
    #[schema(value_type = u64)]
    pub successful: usize,
    /// The number of events that failed.
    #[schema(value_type = u64)]
    pub failed: usize,
}

/// An event that failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedEvent {
    /// The position of the event in the request, starting at 0.
    #[schema(value_type = u64)]
    pub index: usize,
    /// The problem and the expected value.
    pub reason: String,
    /// Whether the same event may succeed later.
    pub retriable: bool,
}
