use std::process::ExitCode;

use clap::{Args, Subcommand};
use pipewatch::clock::Clock;
use pipewatch::config::{self, DatabaseFlags};
use pipewatch::domain::cardinality::Cardinality;
use pipewatch::store::{Conversion, MigrateTo, MigrationStatus, Store};

use crate::command::rollups::Progress;
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
    /// Apply pending migrations
    Up {
        /// Maximum number of migrations to apply [default: all]
        #[arg(long, value_name = "N")]
        steps: Option<u32>,
    },
    /// Roll back the newest migrations; deletes the data of their tables
    Down {
        /// Number of migrations to roll back
        #[arg(long, value_name = "N", default_value_t = 1)]
        steps: u32,
    },
    /// List migrations and whether they are applied
    Status,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let url = match config::database(arguments.database) {
        Ok((url, log)) => match start_logging(&log) {
            Ok(()) => url,
            Err(error) => return exit_usage(error),
        },
        Err(error) => return exit_usage(error),
    };
    match act(&url, &arguments.action).await {
        Ok(steps) => print(&steps),
        Err(error) => fail(&chain(&error)),
    }
}

async fn act(url: &str, action: &Action) -> pipewatch::error::Result<String> {
    let store = match action {
        Action::Up { .. } | Action::Down { .. } => {
            Store::open_exclusively(url, Clock::system(), Cardinality::default()).await?
        }
        Action::Status => Store::open(url, Clock::system()).await?,
    };
    match action {
        Action::Up { steps } => {
            store.enable_incremental_vacuum(Conversion::Full).await?;
            store.migrate(MigrateTo::Up(*steps)).await?;
            if !store.needs_migration().await? {
                for rebuild in store.pending_rebuilds().await? {
                    let progress = Progress::of(&rebuild.pipeline);
                    store.resume_rebuild(&rebuild.pipeline, |next| progress.reached(next)).await?;
                }
            }
        }
        Action::Down { steps } => store.migrate(MigrateTo::Down(*steps)).await?,
        Action::Status => {}
    }
    let steps = store.migrations().await?;
    store.close().await?;
    let line = |step: &MigrationStatus| {
        let state = match (step.known, step.applied) {
            (false, _) => "unknown",
            (true, true) => "applied",
            (true, false) => "pending",
        };
        format!("{state}  {}", step.name)
    };
    Ok(steps.iter().map(line).collect::<Vec<_>>().join("\n"))
}
