use std::process::ExitCode;

use clap::{Args, Subcommand};
use pipewatch::clock::Clock;
use pipewatch::config::{self, DatabaseFlags};
use pipewatch::domain::pipeline::PipelineKey;
use pipewatch::store::Store;

use crate::{chain, fail, print, refuse, start_logging};

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    database: DatabaseFlags,
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Make the roll-ups anew from source runs and metrics, a pipeline after the other, whose reporters wait meanwhile;
    /// of days whose rows were removed for their age the roll-ups stay as they are
    Rebuild {
        /// Only this pipeline's
        #[arg(long, value_name = "KEY")]
        pipeline: Option<PipelineKey>,
    },
}

/// Makes roll-ups anew.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let url = match config::database(arguments.database) {
        Ok((url, log)) => match start_logging(&log) {
            Ok(()) => url,
            Err(error) => return refuse(error),
        },
        Err(error) => return refuse(error),
    };
    let Action::Rebuild { pipeline } = arguments.action;
    match rebuild(&url, pipeline).await {
        Ok(made) => print(&made),
        Err(error) => fail(&chain(&error)),
    }
}

async fn rebuild(url: &str, pipeline: Option<PipelineKey>) -> pipewatch::error::Result<String> {
    let store = Store::open(url, Clock::system()).await?;
    let pipelines = match pipeline {
        Some(pipeline) => vec![pipeline],
        None => store.pipelines().await?.into_iter().map(|(pipeline, _)| pipeline).collect(),
    };
    let mut lines = Vec::with_capacity(pipelines.len());
    for pipeline in pipelines {
        let made = store.rebuild_rollups(&pipeline).await?;
        lines.push(format!("{pipeline}: {made} roll-ups"));
    }
    store.close().await?;
    Ok(lines.join("\n"))
}
