//! Timestamps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::domain::rollup::{Bucket, Range};
use pipewatch::domain::time::{is_storable, parse_rfc3339, rfc3339};

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once(' ').unwrap_or((text, "2026-01-28T15:30:45Z"));
    let Some(instant) = parse_rfc3339(first) else { return };
    assert!(is_storable(instant));
    assert_eq!(parse_rfc3339(&rfc3339(instant)), Some(instant));
    let Some(other) = parse_rfc3339(second) else { return };
    for bucket in [Bucket::Hour, Bucket::Day] {
        assert!(bucket.start_of(instant) <= instant);
        Range::new(bucket, instant, other).ok();
    }
});
