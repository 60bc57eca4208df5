use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::database::{Database, Databases, Kind};
use crate::ingest::source_runs;
use crate::reporter::Reporter;
use crate::sample::Sample;
use crate::server::Program;
use crate::{Result, progress};

/// How long the server rests before its memory is looked at.
const REST: Duration = Duration::from_secs(3);
/// How often the memory is looked at, each time of a new server.
const RESTS: usize = 3;
/// Source runs that the database already has.
const STORED: u16 = 1_000;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How often the server is started
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    starts: u32,
}

pub(crate) async fn measure(options: &Options, program: &Program, databases: &mut Databases) -> Result<String> {
    let mut table = format!(
        "The server at rest, on an existing database (start: from exec to the line that says that it serves, median of \
         {}; memory: VmRSS after {} s of rest, median of {RESTS}):\n\n\
         | database | start (target ≤ 150 ms) | slowest start | memory (target ≤ 25 MiB) |\n\
         | --- | ---: | ---: | ---: |",
        options.starts,
        REST.as_secs(),
    );
    for kind in Kind::ALL {
        progress(&format!("idle, {kind}"));
        let database = existing(kind, program, databases).await?;
        let mut starts = Vec::new();
        for _ in 0..options.starts {
            let server = program.serve(&database, databases.folder()).await?;
            starts.push(server.start);
            server.stop().await?;
        }
        let mut resident = Vec::new();
        for _ in 0..RESTS {
            let server = program.serve(&database, databases.folder()).await?;
            sleep(REST).await;
            resident.push(server.resident()?);
            server.stop().await?;
        }
        let (starts, resident) = (Sample::of_times(starts), Sample::of(resident));
        let (starts, resident) = (starts.ok_or("no start")?, resident.ok_or("no rest")?);
        write!(
            table,
            "\n| {kind} | {:.0} ms | {:.0} ms | {:.1} MiB |",
            starts.median(),
            starts.most(),
            resident.median()
        )?;
    }
    Ok(table)
}

/// A database that a server has made and written to, and has closed again.
async fn existing(kind: Kind, program: &Program, databases: &mut Databases) -> Result<Database> {
    let database = databases.fresh(kind).await?;
    let server = program.serve(&database, databases.folder()).await?;
    let runs: Vec<Value> = source_runs(STORED).collect();
    Reporter::connect(&server.address).await?.report(Bytes::from(json!(runs).to_string())).await?;
    server.stop().await?;
    Ok(database)
}
