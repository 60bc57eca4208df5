//! `pipewatch check`: one line and an exit status, as Nagios-compatible monitoring systems expect of a plugin.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use pipewatch::domain::key::{PipelineKey, SourceKey};
use serde_json::{Value, json};

use crate::command::server::{Server, ServerError, ServerFlags};
use crate::print;

/// The exit status if the status is not known.
pub(crate) const UNKNOWN: u8 = 3;
/// The checks and counts in one line.
const MAX_LISTED: usize = 50;

/// The part of `--help` about the exit status.
pub(crate) const ABOUT: &str = "\
Prints one line with performance data, such as
  PIPEWATCH WARNING - billing: warning, 4 of 5 sources processed, 1 failed | sources_processed=4;;;0;5 …

Access token: set PIPEWATCH_TOKEN if the server requires one.

Exit status:
  0  OK        healthy
  1  WARNING   warning
  2  CRITICAL  error
  3  UNKNOWN   no data yet, not found, the server cannot be reached, or an invalid argument";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Key of the pipeline [default: the worst of all pipelines]
    pipeline: Option<PipelineKey>,
    /// Check one source of the pipeline
    #[arg(short, long, value_name = "NAME", requires = "pipeline")]
    source: Option<SourceKey>,
    /// Time limit of the request
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    timeout: Duration,
    #[command(flatten)]
    server: ServerFlags,
}

/// The state of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    Ok = 0,
    Warning = 1,
    Critical = 2,
    Unknown = 3,
}

/// The result of a check.
#[derive(Debug, PartialEq)]
struct Verdict {
    state: State,
    text: String,
    performance: Vec<String>,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let verdict = match Server::new(&arguments.server, arguments.timeout) {
        Ok(server) => {
            let judged = tokio::time::timeout(arguments.timeout, judge(&server, &arguments)).await;
            judged.unwrap_or_else(|_| Ok(unknown(format!("{} does not respond in time", server.shown()))))
        }
        Err(message) => Ok(unknown(message)),
    };
    let verdict = verdict.unwrap_or_else(|error| unknown(error.to_string()));
    print(&verdict.line());
    ExitCode::from(verdict.state as u8)
}

async fn judge(server: &Server, arguments: &Arguments) -> Result<Verdict, ServerError> {
    let Some(pipeline) = &arguments.pipeline else { return overview(server).await };
    let mut url = server.route("/api/v1/monitoring/pipeline-status");
    let sources = if arguments.source.is_some() { "all" } else { "none" };
    url.query_pairs_mut().append_pair("pipeline", pipeline.as_str()).append_pair("sources", sources);
    let response = server.send(server.get(url)).await?;
    let is_missing = |body: &Value| body["code"] == "PIPELINE_NOT_FOUND";
    let (status, body) = server.read_json(response, is_missing).await?;
    if is_missing(&body) {
        return Ok(unknown(body["detail"].as_str().unwrap_or("the pipeline is not found").to_owned()));
    }
    if !body["overall_status"].is_string() {
        return Err(ServerError::NotPipewatch { url: server.shown(), status });
    }
    Ok(match &arguments.source {
        Some(source) => of_source(&body, source.as_str()),
        None => of_pipeline(&body),
    })
}

/// The worst of all pipelines.
async fn overview(server: &Server) -> Result<Verdict, ServerError> {
    let query = "{ pipelines(first: 1000) { key overallStatus } }";
    let request = server.post(server.route("/graphql")).json(&json!({ "query": query }));
    let response = server.send(request).await?;
    let (status, body) = server.read_json(response, |_| false).await?;
    match body["data"]["pipelines"].as_array() {
        Some(nodes) => Ok(of_overview(nodes)),
        None => Err(ServerError::NotPipewatch { url: server.shown(), status }),
    }
}

fn of_overview(pipelines: &[Value]) -> Verdict {
    let named = |health: &str| -> Vec<_> {
        let is_it = |pipeline: &&Value| pipeline["overallStatus"].as_str() == Some(health);
        pipelines.iter().filter(is_it).filter_map(|pipeline| pipeline["key"].as_str()).collect()
    };
    let (healthy, warning, error) = (named("HEALTHY"), named("WARNING"), named("ERROR"));
    let state = match (error.len(), warning.len(), healthy.len()) {
        (1.., ..) => State::Critical,
        (0, 1.., _) => State::Warning,
        (0, 0, 1..) => State::Ok,
        (0, 0, 0) => State::Unknown,
    };
    let mut text = format!("{} of {} pipelines healthy", healthy.len(), pipelines.len());
    for (word, keys) in [("error", &error), ("warning", &warning)] {
        if !keys.is_empty() {
            let _ = write!(text, ", {word}: {}", keys[..keys.len().min(MAX_LISTED)].join(" "));
        }
    }
    let total = pipelines.len();
    let figures = [("healthy", healthy.len()), ("warning", warning.len()), ("error", error.len())];
    let performance = figures.map(|(name, value)| format!("{name}={value};;;0;{total}")).to_vec();
    Verdict { state, text, performance }
}

fn of_pipeline(status: &Value) -> Verdict {
    let health = &status["scraping_health"];
    let number = |name: &str| health[name].as_u64().unwrap_or_default();
    let word = status["overall_status"].as_str().unwrap_or_default();
    let (processed, total, failed, stale) =
        (number("sources_processed"), number("total_sources"), number("failed_sources"), number("stale_sources"));
    let mut text = format!("{}: {word}, {processed} of {total} sources processed", text_of(&status["pipeline"]));
    for (value, name) in [(failed, "failed"), (stale, "overdue")] {
        if value > 0 {
            let _ = write!(text, ", {value} {name}");
        }
    }
    if let Some(title) = status["alerts"].as_array().and_then(|alerts| alerts.first()?["title"].as_str()) {
        let _ = write!(text, ", alert: {title}");
    }
    let mut performance = vec![
        format!("sources_processed={processed};;;0;{total}"),
        format!("failed_sources={failed};;;0;{total}"),
        format!("stale_sources={stale};;;0;{total}"),
    ];
    performance.extend(volumes(health));
    performance.extend(rates(&status["data_quality"]["checks"]));
    Verdict { state: state(word), text, performance }
}

/// The counts of the window, by their names.
fn volumes(health: &Value) -> Vec<String> {
    let item = |(name, value): (&str, u64)| format!("{}={value};;;0", label(name));
    if let Some(counts) = health["counts"].as_object() {
        let named = counts.iter().filter_map(|(name, value)| Some((name.as_str(), value.as_u64()?)));
        return named.take(MAX_LISTED).map(item).collect();
    }
    let named = [("articles", "articles_collected"), ("events", "events_extracted")];
    named.iter().filter_map(|(name, key)| Some(item((name, health[*key].as_u64()?)))).collect()
}

/// The rates of the checks that have attempts.
fn rates(checks: &Value) -> Vec<String> {
    let rate =
        |check: &Value| Some(format!("{}={}%;;;0;100", label(&text_of(&check["name"])), check["rate"].as_f64()?));
    checks.as_array().into_iter().flatten().filter_map(rate).take(MAX_LISTED).collect()
}

fn of_source(status: &Value, source: &str) -> Verdict {
    let sources = status["scraping_health"]["sources"].as_array();
    let found = sources.into_iter().flatten().find(|item| item["source"] == source);
    let pipeline = text_of(&status["pipeline"]);
    let Some(found) = found else { return unknown(format!("{pipeline} has no enabled source {source:?}")) };
    let word = found["status"].as_str().unwrap_or_default();
    let is_stale = found["stale"] == true;
    let alerts = status["alerts"].as_array().into_iter().flatten().filter(|alert| alert["source"] == source);
    let alerts: Vec<_> = alerts.collect();
    let mut state = state(word);
    if is_stale {
        state = worse(state, State::Warning);
    }
    for alert in &alerts {
        state = worse(state, if alert["severity"] == "high" { State::Critical } else { State::Warning });
    }
    let last_run = found["last_run"].as_str().unwrap_or("never");
    let mut text =
        format!("{pipeline}/{source}: {word}{}, last run {last_run}", if is_stale { ", overdue" } else { "" });
    if let Some(alert) = alerts.first() {
        let _ = write!(text, ", alert: {}", text_of(&alert["title"]));
    }
    let number = |name: &str| found[name].as_u64().unwrap_or_default();
    let performance = vec![
        format!("success_rate={}%;;;0;100", found["success_rate"].as_f64().unwrap_or_default()),
        format!("runs={};;;0", number("runs")),
        format!("running={};;;0", number("running")),
    ];
    Verdict { state, text, performance }
}

fn unknown(text: String) -> Verdict {
    Verdict { state: State::Unknown, text, performance: Vec::new() }
}

/// `UNKNOWN` is worse than `OK` only.
fn worse(one: State, other: State) -> State {
    match (one, other) {
        (State::Ok, other) => other,
        (State::Unknown, State::Warning | State::Critical) => other,
        (one, State::Ok | State::Unknown) => one,
        (one, other) => one.max(other),
    }
}

fn state(health: &str) -> State {
    match health {
        "healthy" => State::Ok,
        "warning" => State::Warning,
        "error" => State::Critical,
        _ => State::Unknown,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A label of performance data, quoted where it must be.
fn label(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    if is_plain { name.to_owned() } else { format!("'{}'", name.replace('\'', "''").replace('=', "_")) }
}

impl Verdict {
    fn line(&self) -> String {
        let word = match self.state {
            State::Ok => "OK",
            State::Warning => "WARNING",
            State::Critical => "CRITICAL",
            State::Unknown => "UNKNOWN",
        };
        // A bar separates the text from the performance data, and a line break begins a second text.
        let clean = |letter: char| if letter == '|' || letter.is_control() { ' ' } else { letter };
        let text: String = self.text.chars().map(clean).collect();
        let separator = if self.performance.is_empty() { "" } else { " | " };
        format!("PIPEWATCH {word} - {text}{separator}{}", self.performance.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        json!({"pipeline": "billing", "overall_status": "warning",
            "scraping_health": {"sources_processed": 4, "total_sources": 5, "failed_sources": 1, "stale_sources": 0,
                "articles_collected": 7, "events_extracted": 2, "sources": [
                    {"source": "load", "status": "healthy", "stale": false, "success_rate": 95.5, "runs": 20,
                     "running": 1, "last_run": "2026-01-28T15:28:02Z"},
                    {"source": "late", "status": "healthy", "stale": true, "success_rate": 100.0, "runs": 0,
                     "running": 0, "last_run": null},
                    {"source": "new", "status": "pending", "stale": false, "success_rate": 0.0, "runs": 0,
                     "running": 0, "last_run": null}]},
            "data_quality": {"checks": [{"name": "not-null", "rate": 87.5}, {"name": "none", "rate": null}]},
            "alerts": [{"title": "rows | of load\nfell", "severity": "high", "source": "load"}]})
    }

    #[test]
    fn pipeline_is_one_line_with_performance_data() {
        assert_eq!(
            of_pipeline(&status()).line(),
            "PIPEWATCH WARNING - billing: warning, 4 of 5 sources processed, 1 failed, alert: rows   of load fell | \
             sources_processed=4;;;0;5 failed_sources=1;;;0;5 stale_sources=0;;;0;5 articles=7;;;0 events=2;;;0 \
             not-null=87.5%;;;0;100"
        );
    }

    #[test]
    fn named_counts_replace_the_old_volumes() {
        let health = json!({"articles_collected": 1, "counts": {"rows": 3}});
        assert_eq!(volumes(&health), ["rows=3;;;0"]);
    }

    #[test]
    fn source_is_as_bad_as_its_alerts() {
        for (source, state) in
            [("load", State::Critical), ("late", State::Warning), ("new", State::Unknown), ("none", State::Unknown)]
        {
            assert_eq!(of_source(&status(), source).state, state, "{source}");
        }
    }

    #[test]
    fn overview_is_as_bad_as_the_worst_pipeline() {
        let nodes = |healths: &[&str]| -> Vec<_> {
            healths.iter().map(|health| json!({"key": health.to_lowercase(), "overallStatus": health})).collect()
        };
        for (healths, state) in [
            (&["HEALTHY", "PENDING"][..], State::Ok),
            (&["HEALTHY", "WARNING"], State::Warning),
            (&["WARNING", "ERROR"], State::Critical),
            (&["PENDING"], State::Unknown),
            (&[], State::Unknown),
        ] {
            assert_eq!(of_overview(&nodes(healths)).state, state, "{healths:?}");
        }
        assert_eq!(
            of_overview(&nodes(&["HEALTHY", "ERROR"])).line(),
            "PIPEWATCH CRITICAL - 1 of 2 pipelines healthy, error: error | healthy=1;;;0;2 warning=0;;;0;2 error=1;;;0;2"
        );
    }

    #[test]
    fn labels_are_quoted_where_needed() {
        assert_eq!((label("rows"), label("a b='c'")), ("rows".to_owned(), "'a b_''c'''".to_owned()));
    }
}
