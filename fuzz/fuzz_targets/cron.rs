//! Expected intervals: a duration, or a cron pattern with a time zone.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::domain::freshness::{ExpectedSchedule, Grace};
use pipewatch::domain::time::parse_rfc3339;

fuzz_target!(|text: &str| {
    if let Ok(grace) = text.parse::<Grace>() {
        assert_eq!(grace.to_string().parse(), Ok(grace));
    }
    let Ok(expectation) = text.parse::<ExpectedSchedule>() else { return };
    assert_eq!(expectation.to_string().parse::<ExpectedSchedule>().as_ref(), Ok(&expectation));
    // Around daylight-saving changes, and before a century without a leap day.
    for base in ["1970-01-01T00:00:00Z", "2026-03-29T00:59:59Z", "2026-10-25T00:30:00Z", "2096-02-29T12:00:00Z"] {
        let base = parse_rfc3339(base).expect("an instant");
        let due = expectation.next_due(base).expect("an accepted pattern has a next date");
        assert!(due > base);
    }
});
