//! `pipewatch dbt`: reports what a dbt invocation wrote into its target folder.

/// dbt's results as reports.
mod mapping;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use pipewatch::domain::key::PipelineKey;
use serde_json::Value;

use crate::command::dbt::mapping::{Artifacts, reports};
use crate::command::exit;
use crate::command::submit::{SubmitFlags, submit_and_print};
use crate::{fail_with, print_error};

#[derive(Args)]
pub(crate) struct Arguments {
    #[allow(clippy::doc_markdown, reason = "the text of --help")]
    /// Target folder of the dbt project, with manifest.json and run_results.json or sources.json
    #[arg(value_name = "TARGET_DIR")]
    target: PathBuf,
    /// Key of the pipeline [default: the name of the dbt project]
    #[arg(short, long, value_name = "KEY")]
    pipeline: Option<PipelineKey>,
    /// Do not use the spool: fail if the server cannot be reached
    #[arg(long)]
    no_spool: bool,
    #[command(flatten)]
    submit: SubmitFlags,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let artifacts = match read(&arguments.target) {
        Ok(artifacts) => artifacts,
        Err(message) => return fail_with(exit::NO_INPUT, &message),
    };
    match reports(&artifacts, arguments.pipeline.as_ref().map(PipelineKey::as_str)) {
        Ok(mapped) => {
            for notice in mapped.notices {
                print_error(&notice);
            }
            submit_and_print(&arguments.submit, &mapped.entries, !arguments.no_spool).await
        }
        Err(message) => fail_with(exit::NO_INPUT, &format!("{}: {message}", arguments.target.display())),
    }
}

fn read(target: &Path) -> Result<Artifacts, String> {
    let shown = target.display();
    let manifest = read_json(target, "manifest.json")?;
    let manifest =
        manifest.ok_or_else(|| format!("no manifest.json in {shown}; give the target folder of a dbt project"))?;
    let (run_results, sources) = (read_json(target, "run_results.json")?, read_json(target, "sources.json")?);
    if run_results.is_none() && sources.is_none() {
        return Err(format!("neither run_results.json nor sources.json in {shown}; run dbt first"));
    }
    Ok(Artifacts { manifest, run_results, sources })
}

/// `None` if the file does not exist.
fn read_json(target: &Path, name: &str) -> Result<Option<Value>, String> {
    let path = target.join(name);
    match fs::read(&path) {
        Ok(text) => {
            let value = serde_json::from_slice(&text);
            value.map(Some).map_err(|error| format!("{} is not valid JSON: {error}", path.display()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}
