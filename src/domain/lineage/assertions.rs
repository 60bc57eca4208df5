//! Checks from the assertions of datasets and the tests of a run, each counted once.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::domain::lineage::bounded::Bounded;
use crate::domain::lineage::facets::{DatasetFacets, read};

/// Checks of a report.
const MAX_CHECKS: usize = 50;
/// Assertions that are read of one list.
const MAX_ASSERTIONS: usize = 2_000;
/// Failed assertions that are named.
const MAX_NAMED: usize = 20;
/// Characters of the name of a check.
const MAX_NAME: usize = 64;
/// The check of assertions whose names have no room.
const REST: &str = "other_assertions";
/// Names of checks and counts that have a meaning of their own.
const RESERVED: [&str; 4] = ["geocoding", "validation", "articles", "events"];

#[derive(Debug, Deserialize)]
struct AssertionsFacet {
    assertions: Bounded<Assertion, MAX_ASSERTIONS>,
}

#[derive(Debug, Deserialize)]
struct Assertion {
    #[serde(rename = "assertion")]
    kind: String,
    success: bool,
    column: Option<String>,
    /// The name of the test, if it has one: dbt's is unique.
    name: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
}

#[derive(Debug, Deserialize)]
struct TestFacet {
    tests: Bounded<Test, MAX_ASSERTIONS>,
}

#[derive(Debug, Deserialize)]
struct Test {
    name: String,
    status: String,
    r#type: Option<String>,
    expected: Option<String>,
    actual: Option<String>,
}

/// The counts of all assertions by name, and the failed ones.
#[derive(Debug, Default)]
pub(super) struct Assertions {
    checks: BTreeMap<String, (u64, u64)>,
    failures: Vec<String>,
    failed: usize,
    seen: BTreeSet<(String, Option<String>, String)>,
}

impl Assertions {
    /// Adds the assertions of a dataset. dbt writes them into both kinds of facets, so only one of them is read.
    pub(super) fn add_dataset(&mut self, input: &DatasetFacets<'_>, dataset: &DatasetFacets<'_>) {
        let assertions = |facets: &DatasetFacets<'_>| {
            read::<AssertionsFacet>(facets.data_quality_assertions).map(|facet| facet.assertions.items)
        };
        for one in assertions(input).or_else(|| assertions(dataset)).unwrap_or_default() {
            // A test of several datasets is an assertion of each.
            if let Some(name) = one.name
                && !self.seen.insert((one.kind.clone(), one.column.clone(), name))
            {
                continue;
            }
            let what = match one.column.as_deref().filter(|column| !column.is_empty()) {
                Some(column) => format!("{}({column})", one.kind),
                None => one.kind.clone(),
            };
            self.count(&one.kind, one.success, &what, one.expected.as_deref(), one.actual.as_deref());
        }
    }

    /// Adds the tests of a run, apart from those that are assertions of a dataset. A test that is the job itself is not
    /// counted: its run has an outcome, and dbt sends it in the event of a dataset as well.
    pub(super) fn add_tests(&mut self, facet: Option<&RawValue>, job: &str) {
        for test in read::<TestFacet>(facet).map(|facet| facet.tests.items).unwrap_or_default() {
            let short = test.name.rsplit('.').next().unwrap_or(&test.name);
            let is_known = self.seen.iter().any(|(_, _, name)| *name == test.name || name == short);
            let is_pass = match test.status.as_str() {
                "pass" => true,
                "fail" => false,
                _ => continue,
            };
            if is_known {
                continue;
            }
            if test.name == job {
                if !is_pass {
                    self.name_failure(&test.name, test.expected.as_deref(), test.actual.as_deref());
                }
                continue;
            }
            // The types of a single test say nothing.
            let kind = test.r#type.as_deref().filter(|kind| *kind != "singular" && !kind.starts_with("custom"));
            self.count(kind.unwrap_or(short), is_pass, &test.name, test.expected.as_deref(), test.actual.as_deref());
        }
    }

    fn count(&mut self, name: &str, is_pass: bool, what: &str, expected: Option<&str>, actual: Option<&str>) {
        let mut name = check_name(name);
        if self.checks.len() >= MAX_CHECKS - 1 && !self.checks.contains_key(&name) {
            REST.clone_into(&mut name);
        }
        let (attempts, passes) = self.checks.entry(name).or_default();
        *attempts += 1;
        *passes += u64::from(is_pass);
        if !is_pass {
            self.name_failure(what, expected, actual);
        }
    }

    fn name_failure(&mut self, what: &str, expected: Option<&str>, actual: Option<&str>) {
        self.failed += 1;
        if self.failures.len() < MAX_NAMED {
            let mut line = format!("{what} failed");
            line.extend(expected.map(|expected| format!("; expected {expected}")));
            line.extend(actual.map(|actual| format!(", found {actual}")));
            self.failures.push(line);
        }
    }

    /// The checks of a report; `None` without assertions.
    pub(super) fn checks(&self) -> Option<Value> {
        let checks = self.checks.iter();
        let checks: Vec<_> = checks
            .map(|(name, (attempts, passes))| json!({"name": name, "attempts": attempts, "passes": passes}))
            .collect();
        (!checks.is_empty()).then(|| checks.into())
    }

    /// The failed assertions, one per line; `None` if all passed.
    pub(super) fn failures(&self) -> Option<String> {
        let mut lines = self.failures.clone();
        let rest = self.failed - lines.len();
        lines.extend((rest > 0).then(|| format!("and {rest} more")));
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The name of an assertion as that of a check.
fn check_name(assertion: &str) -> String {
    let is_first = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    let letters = assertion.chars().map(|letter| letter.to_ascii_lowercase());
    let letters = letters.map(|letter| if is_first(letter) || matches!(letter, '_' | '-') { letter } else { '_' });
    let name: String = letters.skip_while(|letter| !is_first(*letter)).take(MAX_NAME).collect();
    match name.as_str() {
        "" => REST.to_owned(),
        reserved if RESERVED.contains(&reserved) => format!("assertion_{reserved}"),
        _ => name,
    }
}

#[cfg(test)]
#[path = "assertions_tests.rs"]
mod tests;
