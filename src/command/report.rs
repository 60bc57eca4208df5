//! Reports from flags.

use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use pipewatch::domain::check::CheckName;
use pipewatch::domain::key::{PipelineKey, SourceKey};
use pipewatch::domain::name::Name;
use pipewatch::domain::time::{parse_rfc3339, rfc3339, to_micros};
use serde_json::{Map, Number, Value, json};

/// The route of source runs.
pub(crate) const SOURCE_RUNS: &str = "/api/v1/source-runs";
/// The route of counts without a run.
pub(crate) const METRICS: &str = "/api/v1/data-quality-metrics";
/// The largest count: every program reads it from JSON without loss.
pub(crate) const MAX_COUNT: u64 = (1 << 53) - 1;

/// A count with its name: `rows=120`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) name: Name,
    pub(crate) value: u64,
}

/// A check with its counts: `not-null=119/120`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Check {
    pub(crate) name: CheckName,
    pub(crate) passes: u64,
    pub(crate) attempts: u64,
}

fn count(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|count| is_number && *count <= MAX_COUNT)
}

impl FromStr for Count {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=N, such as rows=120")?;
        let name = name.parse().map_err(|error| format!("the name {name:?}: {error}"))?;
        let value = count(value).ok_or_else(|| format!("{value:?} is not a whole number from 0 to {MAX_COUNT}"))?;
        Ok(Self { name, value })
    }
}

impl FromStr for Check {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected NAME=PASSES/ATTEMPTS, such as not-null=119/120";
        let (name, counts) = text.split_once('=').ok_or(expected)?;
        let name = name.parse().map_err(|error| format!("the name {name:?}: {error}"))?;
        let counts = counts.split_once('/').and_then(|(passes, attempts)| Some((count(passes)?, count(attempts)?)));
        let (passes, attempts) = counts.ok_or(expected)?;
        if passes > attempts {
            return Err(format!("{passes} passes of {attempts} attempts; {expected}"));
        }
        Ok(Self { name, passes, attempts })
    }
}

/// A time span: seconds, or a text such as `1m 30s`.
fn seconds(text: &str) -> Result<Number, String> {
    let number =
        text.parse::<f64>().ok().or_else(|| humantime::parse_duration(text).ok().as_ref().map(Duration::as_secs_f64));
    let number = number.filter(|number| *number >= 0.0).and_then(Number::from_f64);
    number.ok_or_else(|| "expected seconds, or a duration such as 1m30s".to_owned())
}

fn instant(text: &str) -> Result<String, String> {
    let instant = parse_rfc3339(text);
    instant.map(rfc3339).ok_or_else(|| "expected RFC 3339 with a time zone, such as 2026-01-28T15:30:45Z".to_owned())
}

/// The fields of a report that both `record` and `run` take.
#[derive(Args, Clone)]
pub(crate) struct RunFields {
    /// Key of the pipeline
    #[arg(short, long, value_name = "KEY", default_value = PipelineKey::DEFAULT)]
    pub(crate) pipeline: PipelineKey,
    /// Id of the run, up to 250 characters; the same id is never stored twice [default: a new UUID]
    #[arg(long, value_name = "TEXT")]
    pub(crate) id: Option<String>,
    /// Link to the run's logs or its orchestrator
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// Tag of the run; repeatable
    #[arg(long = "tag", value_name = "TEXT")]
    pub(crate) tags: Vec<String>,
    /// Number of the attempt, from 1
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) attempt: Option<u32>,
    /// Id of the run that started this one
    #[arg(long, value_name = "TEXT")]
    pub(crate) parent: Option<String>,
}

impl RunFields {
    /// The run's id: the given one, otherwise a new one.
    pub(crate) fn id_or_new(&self) -> String {
        self.id.clone().unwrap_or_else(new_id)
    }

    /// A report with these fields.
    pub(crate) fn report(&self, source: &SourceKey, id: &str, timestamp: &str) -> Map<String, Value> {
        let mut report = Map::new();
        report.insert("id".into(), id.into());
        report.insert("pipeline".into(), self.pipeline.as_str().into());
        report.insert("source".into(), source.as_str().into());
        report.insert("timestamp".into(), timestamp.into());
        let optional = [
            ("url", self.url.clone().map(Value::from)),
            ("tags", (!self.tags.is_empty()).then(|| self.tags.clone().into())),
            ("attempt", self.attempt.map(Value::from)),
            ("parent", self.parent.clone().map(Value::from)),
        ];
        report.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        report
    }
}

/// The results of a finished run.
#[derive(Args, Clone)]
pub(crate) struct ResultFields {
    /// Count of the run, such as rows=120; repeatable
    #[arg(long = "count", value_name = "NAME=N")]
    pub(crate) counts: Vec<Count>,
    /// Data quality check of the run, such as not-null=119/120; repeatable
    #[arg(long = "check", value_name = "NAME=PASSES/ATTEMPTS")]
    pub(crate) checks: Vec<Check>,
    /// Outcome of the run [default: failed with --error, otherwise ok]
    #[arg(long, value_parser = ["ok", "failed", "aborted", "running"])]
    pub(crate) outcome: Option<String>,
    /// Error message of the run
    #[arg(long, value_name = "TEXT")]
    pub(crate) error: Option<String>,
    /// File with the output of the run, of which the last 16 KiB are kept
    #[arg(long = "log", value_name = "FILE")]
    pub(crate) log: Option<std::path::PathBuf>,
    /// Duration of the run: seconds, or such as 1m30s
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(crate) duration: Option<Number>,
    /// End of the run; of a run that is still running, its start (RFC 3339) [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) timestamp: Option<String>,
    /// Start of the run (RFC 3339)
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub(crate) started_at: Option<String>,
}

impl ResultFields {
    /// Whether any is given.
    pub(crate) fn is_empty(&self) -> bool {
        self.counts.is_empty()
            && self.checks.is_empty()
            && self.log.is_none()
            && self.duration.is_none()
            && [&self.outcome, &self.error, &self.timestamp, &self.started_at].iter().all(|field| field.is_none())
    }

    pub(crate) fn add_to(&self, report: &mut Map<String, Value>, log: Option<String>) {
        let outcome = self.outcome.clone().or_else(|| self.error.as_ref().map(|_| "failed".to_owned()));
        let optional = [
            ("outcome", outcome.map(Value::from)),
            ("error", self.error.clone().map(Value::from)),
            ("duration", self.duration.clone().map(Value::from)),
            ("started_at", self.started_at.clone().map(Value::from)),
            ("log", log.map(Value::from)),
            ("counts", counts(&self.counts)),
            ("checks", checks(&self.checks)),
        ];
        report.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    }
}

/// The JSON of counts; of two with the same name the last. `None` without any.
pub(crate) fn counts(counts: &[Count]) -> Option<Value> {
    let object: Map<_, _> = counts.iter().map(|count| (count.name.to_string(), count.value.into())).collect();
    (!object.is_empty()).then(|| object.into())
}

/// The JSON of checks. `None` without any.
pub(crate) fn checks(checks: &[Check]) -> Option<Value> {
    let item = |check: &Check| json!({"name": check.name.as_str(), "attempts": check.attempts, "passes": check.passes});
    (!checks.is_empty()).then(|| checks.iter().map(item).collect())
}

/// A new run id, later than all before.
pub(crate) fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// The current time in the format of reports.
pub(crate) fn now() -> String {
    rfc3339(to_micros(chrono::Utc::now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_a_name_and_a_whole_number() {
        for (text, expect) in [
            ("rows=120", Some(120)),
            ("rows=0", Some(0)),
            ("rows=9007199254740991", Some(MAX_COUNT)),
            ("rows=9007199254740992", None),
            ("rows=+1", None),
            ("rows=1.5", None),
            ("rows=", None),
            ("rows", None),
            ("Rows=1", None),
            ("=1", None),
        ] {
            assert_eq!(text.parse::<Count>().ok().map(|count| count.value), expect, "{text}");
        }
    }

    #[test]
    fn checks_have_passes_of_attempts() {
        for (text, expect) in [
            ("not-null=119/120", Some((119, 120))),
            ("a=0/0", Some((0, 0))),
            ("a=2/1", None),
            ("a=1", None),
            ("a=1/", None),
            ("a/b=1/2", None),
        ] {
            assert_eq!(text.parse::<Check>().ok().map(|check| (check.passes, check.attempts)), expect, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds() {
        for (text, expect) in
            [("90", Some(90.0)), ("0.25", Some(0.25)), ("1m 30s", Some(90.0)), ("-1", None), ("x", None)]
        {
            assert_eq!(seconds(text).ok().and_then(|number| number.as_f64()), expect, "{text}");
        }
    }
}
