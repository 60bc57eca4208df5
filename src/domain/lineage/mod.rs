//! OpenLineage events as reports of source runs. The job of an event is a source, its namespace a pipeline.
//!
//! | event | report |
//! | --- | --- |
//! | `START` | the start of a run |
//! | `COMPLETE`, `FAIL`, `ABORT` | its end: `ok`, `failed`, `aborted` |
//! | `RUNNING`, `OTHER`, without `eventType`, of a job, of a dataset | none |
//!
//! Unknown facets, and known facets of another form than specified, are ignored.

mod assertions;
mod bounded;
mod event;
mod facets;
mod naming;

pub use crate::domain::lineage::bounded::Bounded;
pub use crate::domain::lineage::event::{Event, InvalidEvent, Transition};
pub use crate::domain::lineage::naming::{InvalidTemplate, Naming, Template};
