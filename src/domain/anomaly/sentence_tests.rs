use super::*;
use crate::domain::anomaly::{Method, Subject};
use crate::domain::key::PipelineKey;

fn verdict(observed: f64, expected: f64, lower: f64, upper: f64, p_value: f64) -> Verdict {
    Verdict {
        method: Method::Rate,
        observed,
        expected,
        lower,
        upper,
        sample_size: 1_204,
        p_value,
        sentence: String::new(),
    }
}

#[test]
fn finding_is_described_in_one_sentence() {
    let series = |source: Option<&str>, subject| {
        Series::new(PipelineKey::default(), source.and_then(|source| source.parse().ok()), subject, vec![], None)
    };
    let geocoding = || Subject::Check("geocoding".into());
    for (series, verdict, expect) in [
        (
            series(Some("punch"), geocoding()),
            verdict(30.0, 82.1, 71.0, 91.5, 0.000_02).with_sentence(|verdict| rate(verdict, 40, 12, 28)),
            "geocoding of punch: 12 of 40 (30.0 %), expected 82.1 % (71.0 to 91.5 %), from 1,204 attempts in 28 \
             hours; p = 0.00002",
        ),
        (
            series(None, geocoding()),
            verdict(78.04, 82.1, 79.0, 85.0, 0.004).with_sentence(|verdict| rate_drift(verdict, 30)),
            "geocoding of all sources: drifted to 78.0 %, expected 82.1 % (at least 79.0 %), from 1,204 attempts in \
             30 hours; p = 0.004",
        ),
        (
            series(Some("punch"), Subject::Articles),
            verdict(3.0, 25.4, 11.0, 44.0, 1e-9).with_sentence(volume),
            "articles of punch: 3, expected 25 (11 to 44), from 1,204 hours; p < 0.000001",
        ),
        (
            series(Some("punch"), Subject::Events),
            verdict(3.25, 6.0, 4.0, 8.5, 0.001).with_sentence(|verdict| volume_drift(verdict, 30)),
            "events of punch: drifted to 3.2 per hour, expected 6 (4 to 8.5), over 30 hours; p = 0.001",
        ),
        (
            series(Some("punch"), Subject::Articles),
            verdict(0.0, 61.2, 0.0, 9.0, 0.000_004)
                .with_sentence(|verdict| dead_feed(verdict, 36, chrono::DateTime::UNIX_EPOCH)),
            "articles of punch: no data in 36 runs since 1970-01-01T00:00:00Z, expected 61; \
             p = 0.000004",
        ),
    ] {
        assert_eq!(whole(&series, &verdict), expect);
    }
}
