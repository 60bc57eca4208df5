//! `pipewatch run`: runs a command and reports its start and its end.

/// The command's output.
mod output;
/// Delivery in the background.
mod reporter;
/// Results that the command writes to a file.
mod results;
/// Signals for the command.
mod signals;

use std::ffi::{OsString, c_int};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use parking_lot::Mutex;
use pipewatch::domain::key::SourceKey;
use serde_json::{Map, Value};
use tokio::process::{Child, Command};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::command::exit;
use crate::command::report::{RunFields, SOURCE_RUNS, checks, counts, now};
use crate::command::run::output::{Captured, Copier, Stream};
use crate::command::run::reporter::Reporter;
use crate::command::run::results::{ResultsFile, VARIABLE};
use crate::command::server::Server;
use crate::command::spool::{Entry, Spool};
use crate::command::submit::SubmitFlags;
use crate::{fail_with, print_error};

/// The time limit of a silent server.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the exit may wait for the delivery of the last report, which is in the spool by then.
const FINAL_DELIVERY: Duration = Duration::from_secs(5);

/// The part of `--help` about results and the exit status.
pub(crate) const ABOUT: &str = "\
The command reports results in either way:
  - lines of its output such as `pipewatch: rows=120 not-null=119/120`: counts, and checks with passes/attempts
  - a JSON object in the file $PIPEWATCH_REPORT, such as {\"counts\": {\"rows\": 120}, \"tags\": [\"full\"]}

If it fails, the last lines of its standard error are the error of the run. Its output is passed on unchanged through a pipe; \
with --no-capture it inherits the output instead.

Access token: set PIPEWATCH_TOKEN if the server requires one. Reports that cannot be delivered are kept in the spool and \
delivered by the next command that reports; a server that is away neither delays nor fails the command.

Exit status: that of the command; 128 + N after signal N; 64 for an invalid argument or setting, 125 if pipewatch cannot \
start the command, 126 if it cannot be executed, 127 if it is not found.";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Source of the run
    #[arg(short, long, value_name = "NAME")]
    source: SourceKey,
    #[command(flatten)]
    fields: RunFields,
    /// Send the last 16 KiB of the output as the run's log
    #[arg(long = "send-log", conflicts_with = "no_capture")]
    send_log: bool,
    #[allow(clippy::doc_markdown, reason = "the text of --help")]
    /// Do not read the output; counts then come from $PIPEWATCH_REPORT only
    #[arg(long)]
    no_capture: bool,
    #[command(flatten)]
    submit: SubmitFlags,
    /// Command to run, with its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let signals = match signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail_with(exit::NOT_STARTED, &format!("cannot install the signal handler: {error}")),
    };
    let reporter = if arguments.submit.server.is_off() {
        Reporter::off()
    } else {
        match Server::new(&arguments.submit.server, TIMEOUT) {
            Ok(server) => {
                let spool = arguments.submit.spool.root().and_then(|root| Spool::open(&root, &server.shown()));
                Reporter::new(server, spool)
            }
            Err(message) => return fail_with(exit::NOT_STARTED, &message),
        }
    };
    let job = Job { id: arguments.fields.id_or_new(), started_at: now(), arguments };
    job.run(reporter, signals).await
}

struct Job {
    id: String,
    started_at: String,
    arguments: Arguments,
}

/// How a command ended.
enum Ending {
    Exited(ExitStatus),
    NotStarted(io::Error),
}

impl Job {
    async fn run(&self, mut reporter: Reporter, mut signals: UnboundedReceiver<c_int>) -> ExitCode {
        let results = ResultsFile::create();
        if let Err(error) = &results {
            print_error(&format!("warning: cannot create the file ${VARIABLE}: {error}"));
        }
        let results = results.ok();
        let captured = Arc::new(Mutex::new(Captured::default()));
        let ending = match self.spawn(results.as_ref(), &captured) {
            Ok((child, copiers)) => {
                reporter.start(Entry::new(SOURCE_RUNS, self.start_report().into()));
                let ended = wait(child, &mut signals).await;
                for copier in copiers {
                    copier.finish().await;
                }
                ended.map_or_else(Ending::NotStarted, Ending::Exited)
            }
            Err(error) => Ending::NotStarted(error),
        };
        let (fields, mut warnings) = results.as_ref().map(ResultsFile::read).unwrap_or_default();
        let report = {
            let captured = captured.lock();
            warnings.extend(captured.warnings.iter().cloned());
            self.end_report(&ending, &captured, fields)
        };
        for warning in warnings {
            print_error(&format!("warning: {warning}"));
        }
        let is_spooled = reporter.has_spool();
        let mut delivery = std::pin::pin!(timeout(FINAL_DELIVERY, self.report_end(&mut reporter, report)));
        tokio::select! {
            delivered = &mut delivery => if delivered.is_err() {
                let fate = if is_spooled { "is kept in the spool and delivered later" } else { "may be lost" };
                print_error(&format!("the server does not respond; the report {fate}"));
            },
            // The report is in the spool.
            _ = signals.recv() => {}
        }
        self.exit_code(&ending)
    }

    fn spawn(
        &self,
        results: Option<&ResultsFile>,
        captured: &Arc<Mutex<Captured>>,
    ) -> io::Result<(Child, Vec<Copier>)> {
        let (program, arguments) = self.arguments.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let mut command = Command::new(program);
        command.args(arguments);
        if let Some(results) = results {
            command.env(VARIABLE, results.path());
        }
        if self.arguments.no_capture {
            return Ok((command.spawn()?, Vec::new()));
        }
        let (output, output_end) = io::pipe()?;
        let (errors, errors_end) = io::pipe()?;
        let child = command.stdout(output_end).stderr(errors_end).spawn()?;
        // The writing ends in this process keep the pipes open.
        drop(command);
        let copy = |stream, from, to: &dyn AsFd| {
            let to = File::from(to.as_fd().try_clone_to_owned()?);
            Copier::start(stream, from, to, Arc::clone(captured))
        };
        let output = copy(Stream::Output, output, &io::stdout())?;
        Ok((child, vec![output, copy(Stream::Error, errors, &io::stderr())?]))
    }

    fn start_report(&self) -> Map<String, Value> {
        let mut report = self.arguments.fields.report(&self.arguments.source, &self.id, &self.started_at);
        report.insert("outcome".into(), "running".into());
        report
    }

    /// The report of the end without the command's own results, which the server may refuse.
    fn bare_end_report(&self, ending: &Ending, error: Option<String>) -> Map<String, Value> {
        let mut report = self.arguments.fields.report(&self.arguments.source, &self.id, &now());
        report.insert("started_at".into(), self.started_at.clone().into());
        report.insert("outcome".into(), if ending.is_success() { "ok" } else { "failed" }.into());
        report.extend(error.map(|error| ("error".to_owned(), error.into())));
        report
    }

    fn end_report(&self, ending: &Ending, captured: &Captured, fields: Map<String, Value>) -> Map<String, Value> {
        let error = (!ending.is_success()).then(|| {
            let (printed, reason) = (captured.error(), ending.to_string());
            if printed.is_empty() { reason } else { format!("{printed}\n({reason})") }
        });
        let mut report = self.bare_end_report(ending, error);
        report.extend(counts(&captured.counts).map(|counts| ("counts".to_owned(), counts)));
        report.extend(checks(&captured.checks).map(|checks| ("checks".to_owned(), checks)));
        if self.arguments.send_log {
            report.insert("log".into(), captured.log().into());
        }
        merge(&mut report, fields, ending.is_success());
        report
    }

    /// Reports the end; if its results are refused, without them.
    async fn report_end(&self, reporter: &mut Reporter, report: Map<String, Value>) {
        let bare: Map<String, Value> = {
            let kept = ["id", "pipeline", "source", "timestamp", "started_at", "outcome", "error"];
            report
                .iter()
                .filter(|(name, _)| kept.contains(&name.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect()
        };
        let is_bare = bare.len() == report.len();
        let Some(errors) = reporter.end(Entry::new(SOURCE_RUNS, report.into())).await else { return };
        for error in &errors {
            print_error(&format!("report {} refused: {error}", self.id));
        }
        if !is_bare {
            print_error("reporting the end of the run without its results");
            drop(reporter.end(Entry::new(SOURCE_RUNS, bare.into())).await);
        }
    }

    fn exit_code(&self, ending: &Ending) -> ExitCode {
        match ending {
            Ending::Exited(status) => ExitCode::from(exit_status(*status)),
            Ending::NotStarted(error) => {
                let status = match error.kind() {
                    io::ErrorKind::NotFound => exit::NOT_FOUND,
                    _ => exit::NOT_EXECUTABLE,
                };
                let command = self.arguments.command.first().map(|name| name.display().to_string()).unwrap_or_default();
                fail_with(status, &format!("cannot run {command}: {error}"))
            }
        }
    }
}

impl Ending {
    fn is_success(&self) -> bool {
        matches!(self, Self::Exited(status) if status.success())
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit status {code}"),
                (None, Some(signal)) => write!(f, "killed by {}", signals::name(signal)),
                (None, None) => write!(f, "{status}"),
            },
            Self::NotStarted(error) => write!(f, "the command could not be started: {error}"),
        }
    }
}

/// The status of a shell: 128 + N after signal N.
fn exit_status(status: ExitStatus) -> u8 {
    let status = status.code().or_else(|| Some(128 + status.signal()?));
    status.and_then(|status| u8::try_from(status).ok()).unwrap_or(exit::NOT_STARTED)
}

/// Waits for the command and forwards signals to it.
async fn wait(mut child: Child, signals: &mut UnboundedReceiver<c_int>) -> io::Result<ExitStatus> {
    loop {
        // Until it has been waited for, its process id belongs to it.
        let process = child.id();
        tokio::select! {
            biased;
            Some(signal) = signals.recv() => {
                if let Some(process) = process {
                    signals::forward(signal, process);
                }
            }
            ended = child.wait() => return ended,
        }
    }
}

/// Adds the fields that the command wrote. They replace what it printed; of a failed command, the outcome stays.
fn merge(report: &mut Map<String, Value>, fields: Map<String, Value>, is_success: bool) {
    for (name, value) in fields {
        let printed = report.get_mut(&name);
        match (name.as_str(), printed, value) {
            ("outcome", _, _) if !is_success => {}
            ("counts", Some(Value::Object(printed)), Value::Object(written)) => printed.extend(written),
            ("checks", Some(Value::Array(printed)), Value::Array(written)) => {
                printed.retain(|one| !written.iter().any(|other| other["name"] == one["name"]));
                printed.extend(written);
            }
            (_, _, value) => {
                report.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(fields) => fields,
            _ => panic!("an object"),
        }
    }

    #[test]
    fn written_results_replace_printed_ones() {
        let mut report = object(json!({"outcome": "ok", "counts": {"a": 1, "b": 1},
            "checks": [{"name": "x", "attempts": 1, "passes": 1}, {"name": "y", "attempts": 1, "passes": 1}]}));
        let fields = json!({"outcome": "failed", "counts": {"b": 2}, "tags": ["t"],
            "checks": [{"name": "x", "attempts": 2, "passes": 0}]});
        merge(&mut report, object(fields), true);
        assert_eq!(
            Value::Object(report),
            json!({"outcome": "failed", "counts": {"a": 1, "b": 2}, "tags": ["t"],
            "checks": [{"name": "y", "attempts": 1, "passes": 1}, {"name": "x", "attempts": 2, "passes": 0}]})
        );
    }

    #[test]
    fn failed_command_stays_failed() {
        let mut report = object(json!({"outcome": "failed"}));
        merge(&mut report, object(json!({"outcome": "ok"})), false);
        assert_eq!(Value::Object(report), json!({"outcome": "failed"}));
    }

    #[test]
    fn exit_status_is_that_of_a_shell() {
        for (raw, expect) in [(0, 0), (3 << 8, 3), (255 << 8, 255), (9, 137), (15, 143)] {
            assert_eq!(exit_status(ExitStatus::from_raw(raw)), expect);
        }
    }
}
