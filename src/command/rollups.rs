use std::process::ExitCode;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use pipewatch::clock::Clock;
use pipewatch::config::{self, DatabaseFlags};
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::time::Timestamp;
use pipewatch::store::Store;

use crate::{chain, exit_usage, fail, print, start_logging};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseFlags,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Rebuild the rollups from source runs and metrics. Uses short transactions, so that a running server can store reports
    /// meanwhile; after an interruption the server completes it. Rollups of days whose rows have expired are kept unchanged
    Rebuild {
        /// Rebuild only this pipeline
        #[arg(long, value_name = "KEY")]
        pipeline: Option<PipelineKey>,
    },
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let url = match config::database(arguments.database) {
        Ok((url, log)) => match start_logging(&log) {
            Ok(()) => url,
            Err(error) => return exit_usage(error),
        },
        Err(error) => return exit_usage(error),
    };
    let Action::Rebuild { pipeline } = arguments.action;
    match rebuild(&url, pipeline).await {
        Ok(made) => print(&made),
        Err(error) => fail(&chain(&error)),
    }
}

async fn rebuild(url: &str, pipeline: Option<PipelineKey>) -> pipewatch::error::Result<String> {
    let store = Store::open(url, Clock::system()).await?;
    store.check_schema().await?;
    let pipelines = match pipeline {
        Some(pipeline) => vec![pipeline],
        None => store.pipelines().await?.into_iter().map(|(pipeline, _)| pipeline).collect(),
    };
    let mut lines = Vec::with_capacity(pipelines.len());
    for pipeline in pipelines {
        store.request_rebuild(&pipeline).await?;
        let progress = Progress::of(&pipeline);
        let made = store.resume_rebuild(&pipeline, |next| progress.reached(next)).await?;
        lines.push(format!("{pipeline}: {made} rollups"));
    }
    store.close().await?;
    Ok(lines.join("\n"))
}

/// Shows the progress of a rebuild on a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn of(pipeline: &PipelineKey) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_prefix(pipeline.to_string());
        Self(bar.with_style(ProgressStyle::with_template("{spinner} {prefix}: {msg}").unwrap_or_else(|_| {
            // The template above is valid.
            ProgressStyle::default_spinner()
        })))
    }

    /// Everything before this instant is rebuilt.
    pub(crate) fn reached(&self, next: Timestamp) {
        self.0.set_message(format!("rebuilt up to {}", next.format("%Y-%m-%d")));
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
