//! Labels, and the matchers of silences.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::domain::alert::{Matcher, Silence};
use pipewatch::domain::labels::Label;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::rollup::Series;
use pipewatch::domain::key::SourceKey;
use pipewatch::domain::time::parse_rfc3339;

fuzz_target!(|texts: (&str, &str, &str)| {
    let (first, second, third) = texts;
    let label = first.parse::<Label>().ok();
    if let Some(label) = &label {
        assert!(!label.name.is_empty());
        assert_eq!(label.to_string().parse::<Label>().as_ref(), Ok(label));
    }
    let source = second.parse::<SourceKey>().ok();
    if let Some(source) = &source {
        assert_eq!(source.as_str().parse::<SourceKey>().as_ref(), Ok(source));
    }
    let pipeline = third.parse::<PipelineKey>().ok();
    drop(third.parse::<Series>());
    let instant = |text| parse_rfc3339(text).expect("an instant");
    let span = (instant("2026-01-28T15:30:45Z"), instant("2026-01-29T15:30:45Z"));
    let is_about_all = label.is_none() && source.is_none() && pipeline.is_none();
    let matcher = Matcher { rule: None, pipeline, source, label };
    if let Ok(mute) = Silence::new(Default::default(), matcher, span, first, second) {
        assert!(!is_about_all && !mute.author.is_empty() && !mute.reason.is_empty());
    }
});
