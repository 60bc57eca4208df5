use super::*;
use crate::domain::anomaly::series::tests::{hourly, series};

#[test]
fn budget_is_shared_by_all_tests() {
    for (alerts, tests, expect, why) in [
        (1.0, 1_000_000.0, 1e-6, "one alert over a million tests"),
        (4.0, 1_000_000.0, 4e-6, "four times as many are bearable"),
        (1.0, 10.0, RECORDED_BELOW, "never above the recorded level"),
        (1.0, 0.0, RECORDED_BELOW, "nothing is tested"),
        (0.0, 1_000.0, 0.0, "nothing may alert"),
    ] {
        let alpha = Budget::new(alerts).expect("a budget").alpha(tests);
        assert!((alpha - expect).abs() < 1e-15, "{why}: {alpha}");
    }
    for bad in [-1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Budget::new(bad), None, "{bad}");
    }
}

#[test]
fn number_of_tests_follows_the_recent_hours() {
    let month = |hours: f64| hours * 30.4375 / 28.0;
    for (buckets, subject, expect, why) in [
        (hourly(0..2_016, 1), Subject::Articles, 3.0 * month(672.0), "every hour, three detectors"),
        (hourly(0..2_016, 1), Subject::Check("x".into()), 2.0 * month(672.0), "every hour, two detectors"),
        (hourly((0..2_016).step_by(24), 1), Subject::Events, 3.0 * month(28.0), "once a day"),
        (hourly(2_000..2_016, 1), Subject::Articles, 3.0 * month(672.0), "too young to know"),
    ] {
        let series = series(subject, buckets);
        let last = hourly(2_015..2_016, 1)[0].hour;
        let tests = tests_per_month(&series, last);
        assert!((tests - expect).abs() < 1e-9, "{why}: {tests} instead of {expect}");
    }
}

#[test]
fn severity_follows_alpha() {
    for (p, alpha, expect) in [
        (1e-7, 1e-6, Some(Severity::High)),
        (1e-6, 1e-6, Some(Severity::Low)),
        (0.009, 1e-6, Some(Severity::Low)),
        (0.01, 1e-6, None),
        (1e-300, 0.0, Some(Severity::Low)),
    ] {
        assert_eq!(severity(p, alpha), expect, "{p}, {alpha}");
    }
}
