//! The reports of a dbt invocation. The Python package has the same rule and makes the same reports, so that reporting a folder
//! again, with either, stores nothing twice.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::command::report::{MAX_COUNT, METRICS, SOURCE_RUNS};
use crate::command::spool::Entry;

/// The commands of dbt that run something.
const RUNNING: [&str; 8] = ["build", "run", "seed", "snapshot", "test", "retry", "clone", "run-operation"];
/// Names of checks and counts with a meaning of their own.
const RESERVED: [&str; 4] = ["geocoding", "validation", "articles", "events"];
/// The most checks of a report. Further ones are summed.
const MAX_CHECKS: usize = 50;
const MAX_TAGS: usize = 16;
const MAX_RUN_ID: usize = 250;
const MAX_TAG: usize = 255;

/// The files of a target folder.
pub(super) struct Artifacts {
    pub(super) manifest: Value,
    pub(super) run_results: Option<Value>,
    pub(super) sources: Option<Value>,
}

/// The reports, in the order of delivery, and notices about skipped files.
pub(super) struct Mapped {
    pub(super) entries: Vec<Entry>,
    pub(super) notices: Vec<String>,
}

/// Maps the artifacts to reports of the pipeline, by default the one with the name of the project.
pub(super) fn reports(artifacts: &Artifacts, pipeline: Option<&str>) -> Result<Mapped, String> {
    let project = text(&artifacts.manifest["metadata"]["project_name"]).unwrap_or_default();
    let own = pipeline_key(project);
    let pipeline = pipeline.unwrap_or(&own);
    if pipeline.is_empty() {
        return Err("manifest.json names no project; set --pipeline".to_owned());
    }
    let mut mapped = Mapped { entries: Vec::new(), notices: Vec::new() };
    if let Some(run_results) = &artifacts.run_results {
        let which = text(&run_results["args"]["which"]).unwrap_or("?");
        if RUNNING.contains(&which) {
            let invocation = Invocation::of("run_results.json", run_results, &artifacts.manifest, project, pipeline)?;
            mapped.entries.extend(invocation.run_results(which));
        } else {
            mapped.notices.push(format!("run_results.json is of `dbt {which}`, which runs nothing: skipped"));
        }
    }
    if let Some(sources) = &artifacts.sources {
        let invocation = Invocation::of("sources.json", sources, &artifacts.manifest, project, pipeline)?;
        mapped.entries.extend(invocation.freshness());
    }
    Ok(mapped)
}

/// One file of results.
struct Invocation<'a> {
    file: &'a Value,
    manifest: &'a Value,
    project: &'a str,
    pipeline: &'a str,
    id: &'a str,
    generated_at: String,
    results: &'a [Value],
}

/// The tests of a node.
#[derive(Default)]
struct Tests {
    /// In the order of first appearance: name, attempts, passes.
    checks: Vec<(String, u64, u64)>,
    failing_rows: u64,
}

impl<'a> Invocation<'a> {
    fn of(
        name: &str,
        file: &'a Value,
        manifest: &'a Value,
        project: &'a str,
        pipeline: &'a str,
    ) -> Result<Self, String> {
        let metadata = &file["metadata"];
        let missing = |what: &str| format!("{name} has no {what}; it is not an artifact of dbt");
        Ok(Self {
            file,
            manifest,
            project,
            pipeline,
            id: text(&metadata["invocation_id"]).ok_or_else(|| missing("metadata.invocation_id"))?,
            generated_at: instant(&metadata["generated_at"]).ok_or_else(|| missing("metadata.generated_at"))?,
            results: file["results"].as_array().ok_or_else(|| missing("results"))?,
        })
    }

    fn run_results(&self, which: &str) -> Vec<Entry> {
        let nodes = self.results.iter().filter(|result| !matches!(kind(result), "test" | "unit_test" | "operation"));
        let nodes: Vec<_> = nodes.map(|result| (unique_id(result), result)).collect();
        let tests = self.tests();
        let find = |id: &str| tests.iter().find(|(node, _)| node == id).map(|(_, tests)| tests);
        let mut reports = vec![self.invocation(&format!("dbt {which}"), find(""))];
        reports.extend(nodes.iter().map(|(id, result)| self.node(id, result, find(id))));
        let is_left = |node: &str| !node.is_empty() && !nodes.iter().any(|(id, _)| *id == node);
        let left = tests.iter().filter(|(node, _)| is_left(node));
        let metrics = left.filter_map(|(node, tests)| self.metric(node, tests));
        let runs = reports.into_iter().map(|report| Entry::new(SOURCE_RUNS, report.into()));
        runs.chain(metrics.map(|report| Entry::new(METRICS, report.into()))).collect()
    }

    fn freshness(&self) -> Vec<Entry> {
        let mut reports = vec![self.invocation("dbt source freshness", None)];
        reports.extend(self.results.iter().map(|result| self.source(result)));
        reports.into_iter().map(|report| Entry::new(SOURCE_RUNS, report.into())).collect()
    }

    /// The beginning of a run's report.
    fn report(&self, source: &str, timestamp: String) -> Map<String, Value> {
        let fields = [("id", self.id), ("pipeline", self.pipeline), ("source", source)];
        let mut report: Map<_, _> = fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        report.insert("timestamp".into(), timestamp.into());
        report
    }

    /// The beginning of the report of a run that belongs to the invocation.
    fn part(&self, source: &str, timestamp: String) -> Map<String, Value> {
        let mut report = self.report(source, timestamp);
        let id: String = format!("{}/{source}", self.id).chars().take(MAX_RUN_ID).collect();
        report.insert("id".into(), id.into());
        report.insert("parent".into(), self.id.into());
        report
    }

    fn invocation(&self, source: &str, tests: Option<&Tests>) -> Map<String, Value> {
        let is_failure =
            |result: &&Value| matches!(status(result), "error" | "fail" | "runtime error" | "partial success");
        let line = |result: &Value| {
            let reason = text(&result["message"]).or(text(&result["error"])).unwrap_or(status(result));
            format!("{}: {reason}", unique_id(result))
        };
        let errors: Vec<_> = self.results.iter().filter(is_failure).map(line).collect();
        let mut report = self.report(source, self.generated_at.clone());
        add(&mut report, "duration", duration(&self.file["elapsed_time"]));
        report.insert("outcome".into(), if errors.is_empty() { "ok" } else { "failed" }.into());
        add(&mut report, "error", (!errors.is_empty()).then(|| clean(&errors.join("\n")).into()));
        report.insert("tags".into(), json!(["dbt"]));
        if let Some(tests) = tests {
            tests.add_to(&mut report);
        }
        report
    }

    fn node(&self, id: &str, result: &Value, tests: Option<&Tests>) -> Map<String, Value> {
        let timing = result["timing"].as_array().map(Vec::as_slice).unwrap_or_default();
        let completed = timing.iter().filter_map(|phase| instant(&phase["completed_at"])).max();
        let has_timing = completed.is_some();
        let mut report = self.part(&self.source_key(id), completed.unwrap_or_else(|| self.generated_at.clone()));
        if has_timing {
            add(&mut report, "duration", duration(&result["execution_time"]));
        }
        let outcome = match status(result) {
            "success" | "no-op" => "ok",
            "skipped" => "aborted",
            _ => "failed",
        };
        report.insert("outcome".into(), outcome.into());
        let message = text(&result["message"]).filter(|_| outcome != "ok");
        add(&mut report, "error", message.map(|message| clean(message).into()));
        let node = &self.manifest["nodes"][id];
        report.insert("tags".into(), tags(kind(result), node));
        let response = &result["adapter_response"];
        let counts = ["rows_affected", "bytes_processed"].map(|name| Some((name.to_owned(), count(&response[name])?)));
        let counts: Map<_, _> = counts.into_iter().flatten().map(|(name, value)| (name, value.into())).collect();
        add(&mut report, "counts", (!counts.is_empty()).then_some(counts.into()));
        if let Some(tests) = tests {
            tests.add_to(&mut report);
        }
        report
    }

    fn source(&self, result: &Value) -> Map<String, Value> {
        let id = unique_id(result);
        let source = self.source_key(id);
        let at = instant(&result["snapshotted_at"]).unwrap_or_else(|| self.generated_at.clone());
        let mut report = self.part(&source, at);
        let status = status(result);
        let is_ok = matches!(status, "pass" | "warn");
        report.insert("outcome".into(), if is_ok { "ok" } else { "failed" }.into());
        let age = result["max_loaded_at_time_ago_in_s"].as_f64().filter(|age| *age >= 0.0);
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an age in whole seconds")]
        let age = age.map(|age| age.floor() as u64);
        let error = match status {
            "runtime error" => text(&result["error"]).map(str::to_owned),
            "error" => {
                let limit = &result["criteria"]["error_after"];
                let (count, period) = (&limit["count"], text(&limit["period"]).unwrap_or("?"));
                let age = age.map_or_else(|| "?".to_owned(), |age| age.to_string());
                Some(format!("{source} was loaded {age} seconds ago, later than error_after ({count} {period})"))
            }
            _ => None,
        };
        add(&mut report, "error", error.map(|error| clean(&error).into()));
        report.insert("tags".into(), tags("source", &self.manifest["sources"][id]));
        add(&mut report, "counts", age.map(|age| json!({"age_seconds": age})));
        if status != "runtime error" {
            let passes = u64::from(status == "pass");
            report.insert("checks".into(), json!([{"name": "freshness", "attempts": 1, "passes": passes}]));
        }
        report
    }

    /// The counts of a node's tests, without a run of the node. `None` if no test was executed.
    fn metric(&self, node: &str, tests: &Tests) -> Option<Map<String, Value>> {
        let source = self.source_key(node);
        let mut report = self.report(&source, self.generated_at.clone());
        report.insert("id".into(), metric_id(self.id, self.pipeline, &source).into());
        report.insert("metric_type".into(), "source-specific".into());
        tests.add_to(&mut report);
        report.contains_key("checks").then_some(report)
    }

    /// The tests by the node that they test, in the order of first appearance; those of no node under the empty id.
    fn tests(&self) -> Vec<(String, Tests)> {
        let mut all: Vec<(String, Tests)> = Vec::new();
        for result in self.results.iter().filter(|result| matches!(kind(result), "test" | "unit_test")) {
            let id = unique_id(result);
            let test = match kind(result) {
                "unit_test" => &self.manifest["unit_tests"][id],
                _ => &self.manifest["nodes"][id],
            };
            let node = text(&test["attached_node"]).or_else(|| text(&test["depends_on"]["nodes"][0]));
            let node = node.unwrap_or_default();
            if matches!(status(result), "skipped" | "no-op") {
                continue;
            }
            let index = all.iter().position(|(other, _)| other == node).unwrap_or_else(|| {
                all.push((node.to_owned(), Tests::default()));
                all.len() - 1
            });
            let name = match kind(result) {
                "unit_test" => "unit_test",
                _ => text(&test["test_metadata"]["name"]).or(text(&test["name"])).unwrap_or_default(),
            };
            let failures = count(&result["failures"]).unwrap_or_default();
            all[index].1.add(check_name(name), status(result) == "pass", failures);
        }
        all
    }

    /// `model.shop.orders` is `orders` in the project `shop`, and `shop.orders` in another.
    fn source_key(&self, id: &str) -> String {
        let (_, rest) = id.split_once('.').unwrap_or(("", id));
        match rest.split_once('.') {
            Some((package, name)) if package == self.project => name.to_owned(),
            _ => rest.to_owned(),
        }
    }
}

impl Tests {
    fn add(&mut self, name: String, is_passed: bool, failures: u64) {
        self.failing_rows = self.failing_rows.saturating_add(failures).min(MAX_COUNT);
        let passes = u64::from(is_passed);
        match self.checks.iter_mut().find(|(other, ..)| *other == name) {
            Some((_, attempts, sum)) => {
                *attempts += 1;
                *sum += passes;
            }
            None => self.checks.push((name, 1, passes)),
        }
    }

    /// Adds the checks, and the number of failing rows to the counts.
    fn add_to(&self, report: &mut Map<String, Value>) {
        if self.checks.is_empty() {
            return;
        }
        let mut checks = self.checks.clone();
        if checks.len() > MAX_CHECKS {
            let others = checks.split_off(MAX_CHECKS - 1);
            let sum = |of: fn(&(String, u64, u64)) -> u64| others.iter().map(of).sum();
            checks.push(("other_tests".to_owned(), sum(|check| check.1), sum(|check| check.2)));
        }
        let item = |(name, attempts, passes)| json!({"name": name, "attempts": attempts, "passes": passes});
        let checks: Vec<Value> =
            checks.into_iter().map(|(name, attempts, passes)| item((name, attempts, passes))).collect();
        report.insert("checks".into(), checks.into());
        let counts = report.entry("counts").or_insert_with(|| json!({}));
        counts["failing_rows"] = self.failing_rows.into();
    }
}

fn add(report: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    report.extend(value.map(|value| (name.to_owned(), value)));
}

/// A text that is not empty.
fn text(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.is_empty())
}

/// Replaces U+0000, which reports cannot contain.
fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn unique_id(result: &Value) -> &str {
    result["unique_id"].as_str().unwrap_or_default()
}

/// The resource type of a result's node: `model`.
fn kind(result: &Value) -> &str {
    unique_id(result).split('.').next().unwrap_or_default()
}

fn status(result: &Value) -> &str {
    result["status"].as_str().unwrap_or_default()
}

/// A time as it is written, in UTC if it names no zone.
fn instant(value: &Value) -> Option<String> {
    let text = text(value)?;
    let time = text.split_once(['T', ' ']).map_or(text, |(_, time)| time);
    let has_zone = time.ends_with(['Z', 'z']) || time.contains(['+', '-']);
    Some(if has_zone { text.to_owned() } else { format!("{text}Z") })
}

fn duration(value: &Value) -> Option<Value> {
    value.as_f64().filter(|seconds| *seconds >= 0.0).map(|_| value.clone())
}

/// A whole number that is a valid count.
fn count(value: &Value) -> Option<u64> {
    value.as_u64().filter(|count| *count <= MAX_COUNT)
}

/// The kind of a node and its own tags, distinct.
fn tags(kind: &str, node: &Value) -> Value {
    let own = node["tags"].as_array().into_iter().flatten().filter_map(text);
    let mut tags: Vec<String> = Vec::new();
    for tag in std::iter::once(kind).chain(own) {
        let tag: String = clean(tag).chars().take(MAX_TAG).collect();
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags.truncate(MAX_TAGS);
    tags.into()
}

/// Replaces characters that `is_valid` refuses, and removes leading ones of `edge`.
fn sanitised(name: &str, replacement: char, is_valid: fn(char) -> bool, edge: &[char], length: usize) -> String {
    let valid = name
        .to_lowercase()
        .chars()
        .map(|letter| if is_valid(letter) { letter } else { replacement })
        .collect::<String>();
    valid.trim_start_matches(edge).chars().take(length).collect()
}

fn pipeline_key(project: &str) -> String {
    let is_valid =
        |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '.' | '_' | '-');
    sanitised(project, '-', is_valid, &['.', '_', '-'], 64)
}

fn check_name(name: &str) -> String {
    let is_valid = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '_' | '-');
    let name = sanitised(name, '_', is_valid, &['_', '-'], 64);
    match name.as_str() {
        "" => "test".to_owned(),
        reserved if RESERVED.contains(&reserved) => format!("dbt_{name}"),
        _ => name,
    }
}

/// A UUID of version 8: the same for the same invocation, pipeline and source. Unlike the id of a run, the id of a metric is not
/// relative to its pipeline.
fn metric_id(invocation: &str, pipeline: &str, source: &str) -> String {
    let digest: [u8; 32] = Sha256::digest(format!("{invocation}/{pipeline}/{source}")).into();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
#[path = "mapping_tests.rs"]
mod tests;
