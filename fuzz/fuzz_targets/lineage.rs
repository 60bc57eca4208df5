//! OpenLineage events, and the names of their jobs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::domain::key::{PipelineKey, SourceKey};
use pipewatch::domain::lineage::{Bounded, Event, Naming};
use pipewatch::domain::report::{Report, ReportContext, ReportKind};
use pipewatch::domain::time::parse_rfc3339;
use serde_json::value::RawValue;

/// Fields that come from the event unchanged, and may be invalid.
const UNCHECKED: [&str; 2] = ["id", "timestamp"];

fuzz_target!(|text: &str| {
    let naming = Naming::default();
    let (pipeline, source) = naming.keys(text, text);
    assert!(pipeline.parse::<PipelineKey>().is_ok(), "{pipeline:?}");
    assert_eq!(source.parse::<SourceKey>().ok().as_ref().map(SourceKey::as_str), Some(source.as_str()));
    if let Ok(batch) = serde_json::from_str::<Bounded<&RawValue, 10>>(text) {
        assert!(batch.items.len() <= 10);
    }
    let Ok(Some(item)) = Event::parse(text).and_then(|event| event.report(&naming)) else { return };
    let received_at = parse_rfc3339("2026-01-28T15:30:45Z").expect("an instant");
    let context = ReportContext { received_at, pipeline: Ok(PipelineKey::default()) };
    if let Err(errors) = Report::parse(ReportKind::SourceRun, item, &context) {
        assert!(errors.iter().all(|error| UNCHECKED.contains(&error.field.as_str())), "{errors:?}");
    }
});
