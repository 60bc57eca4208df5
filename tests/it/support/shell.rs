//! Runs of the program as a user types them, with a spool of their own.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::support::server::{answer, client, program};

/// What a command printed, and its exit status.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let status = output.status.code().unwrap_or(-1);
        Self { status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// The same command with no signal ignored. A shell starts background jobs with some signals ignored, and children inherit
/// that.
pub(crate) fn with_default_signals(command: &Command) -> Command {
    let mut perl = Command::new("perl");
    perl.args(["-e", "$SIG{$_} = 'DEFAULT' for qw(HUP INT QUIT TERM USR1); exec @ARGV or die $!"]);
    perl.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        perl.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => perl.env(name, value),
            None => perl.env_remove(name),
        };
    }
    perl
}

/// A client of a server, with its spool in a folder.
pub(crate) fn command(folder: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(arguments).env("PIPEWATCH_URL", url).env("PIPEWATCH_SPOOL", folder.join("spool"));
    command
}

pub(crate) fn ran(folder: &Path, url: &str, arguments: &[&str]) -> Ran {
    command(folder, url, arguments).stdin(Stdio::null()).output().expect("the program").into()
}

/// The same with a text on standard input.
pub(crate) fn ran_with_input(folder: &Path, url: &str, arguments: &[&str], input: &str) -> Ran {
    let mut command = command(folder, url, arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    // A command that reads no input may have ended.
    drop(child.stdin.take().expect("its input").write_all(input.as_bytes()));
    child.wait_with_output().expect("its output").into()
}

/// The URL of a port on which nothing listens: no test gets a port below 1,024.
pub(crate) fn nowhere() -> String {
    "http://127.0.0.1:1".into()
}

/// The runs of a pipeline, the newest first, with these fields.
pub(crate) async fn stored_runs(url: &str, pipeline: &str, fields: &str) -> Vec<Value> {
    let query = format!("{{ sourceRuns(pipeline: \"{pipeline}\", first: 100) {{ nodes {{ {fields} }} }} }}");
    let request = client().post(format!("{url}/graphql")).json(&serde_json::json!({ "query": query }));
    let (_, body) = answer(request).await;
    body["data"]["sourceRuns"]["nodes"].as_array().unwrap_or_else(|| panic!("{body}")).clone()
}
