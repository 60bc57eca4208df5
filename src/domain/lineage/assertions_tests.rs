use serde_json::value::to_raw_value;

use super::*;

/// The checks of datasets, each with its `inputFacets` and `facets`, and of a test facet.
fn checks(datasets: &[(Value, Value)], tests: &Value) -> (BTreeMap<String, (u64, u64)>, Option<String>) {
    let mut assertions = Assertions::default();
    for (input, dataset) in datasets {
        let raw = |assertions: &Value| to_raw_value(&json!({"assertions": assertions})).expect("JSON");
        let (input, dataset) = (raw(input), raw(dataset));
        let facets = |raw| DatasetFacets { data_quality_assertions: Some(raw), output_statistics: None };
        assertions.add_dataset(&facets(&input), &facets(&dataset));
    }
    let tests = to_raw_value(&json!({"tests": tests})).expect("JSON");
    assertions.add_tests(Some(&tests), "test.shop.job");
    let failures = assertions.failures();
    (assertions.checks, failures)
}

fn expect(checks: &[(&str, u64, u64)]) -> BTreeMap<String, (u64, u64)> {
    checks.iter().map(|(name, attempts, passes)| ((*name).to_owned(), (*attempts, *passes))).collect()
}

#[test]
fn assertions_of_a_kind_are_one_check() {
    let assertions = json!([
        {"assertion": "not_null", "success": true, "column": "id"},
        {"assertion": "not_null", "success": false, "column": "name", "expected": "0", "actual": "3"},
        {"assertion": "Expect Column > 0", "success": true, "column": ""},
        {"assertion": "validation", "success": false},
        {"assertion": "…", "success": true},
    ]);
    let (checks, failures) = checks(&[(assertions, json!(null))], &json!([]));
    let expected = expect(&[
        ("not_null", 2, 1),
        ("expect_column___0", 1, 1),
        ("assertion_validation", 1, 0),
        ("other_assertions", 1, 1),
    ]);
    assert_eq!(checks, expected);
    assert_eq!(failures.as_deref(), Some("not_null(name) failed; expected 0, found 3\nvalidation failed"));
}

#[test]
fn doubled_assertions_count_once() {
    let one = json!([{"assertion": "unique", "success": true, "column": "id"}]);
    let named = json!([{"assertion": "no_orphans", "name": "no_orphans", "success": false}]);
    for (datasets, tests, expected) in [
        // dbt writes them into both kinds of facets.
        (&[(one.clone(), one.clone())][..], json!([]), expect(&[("unique", 1, 1)])),
        (&[(json!(null), one.clone())], json!([]), expect(&[("unique", 1, 1)])),
        // The same assertion of two datasets is two.
        (&[(one.clone(), json!(null)), (one.clone(), json!(null))], json!([]), expect(&[("unique", 2, 2)])),
        // One test of two datasets, which is a test of the run as well.
        (
            &[(named.clone(), named.clone()), (json!(null), named.clone())],
            json!([{"name": "test.project.no_orphans", "status": "fail", "type": "singular"}]),
            expect(&[("no_orphans", 1, 0)]),
        ),
    ] {
        assert_eq!(checks(datasets, &tests).0, expected, "{datasets:?}");
    }
}

#[test]
fn tests_of_a_run_are_checks() {
    let tests = json!([
        {"name": "test.shop.not_null_id", "status": "pass", "type": "not_null"},
        {"name": "test.shop.no_orphans", "status": "fail", "severity": "warn", "actual": "3"},
        {"name": "test.shop.late", "status": "skip"},
        {"name": "test.shop.job", "status": "fail"},
    ]);
    let (checks, failures) = checks(&[], &tests);
    assert_eq!(checks, expect(&[("not_null", 1, 1), ("no_orphans", 1, 0)]));
    assert_eq!(failures.as_deref(), Some("test.shop.no_orphans failed, found 3\ntest.shop.job failed"));
}

#[test]
fn checks_and_named_failures_are_bounded() {
    let many: Vec<_> =
        (0..MAX_ASSERTIONS + 5).map(|n| json!({"assertion": format!("a{n}"), "success": false})).collect();
    let (checks, failures) = checks(&[(json!(many), json!(null))], &json!([]));
    assert_eq!(checks.len(), MAX_CHECKS);
    assert_eq!(checks.values().map(|(attempts, _)| attempts).sum::<u64>(), MAX_ASSERTIONS as u64);
    let failures = failures.expect("failures");
    assert!(failures.lines().count() == MAX_NAMED + 1 && failures.ends_with("and 1980 more"), "{failures}");
}
