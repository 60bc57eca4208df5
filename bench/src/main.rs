//! Measures Pipewatch on the machine it runs on, and prints tables for a README.
//!
//! ```sh
//! cargo build --release && cargo run --release -p pipewatch-bench -- all
//! ```
//!
//! The server under test is the release program itself, in a process of its own; only the status query and the evaluation
//! of anomalies are called in this process, through the server's library, so that HTTP does not cover their cost. All traffic stays on 127.0.0.1 and
//! unix sockets.

/// How long it takes to judge a thousand series.
mod anomalies;
/// What a fresh database is, on SQLite and on PostgreSQL.
mod database;
/// Delivery to many subscribers.
mod delivery;
/// Millions of rows of history, written by SQL.
mod history;
/// The idle server's memory, and how soon it serves.
mod idle;
/// Reports accepted per second.
mod ingest;
/// The machine that the figures belong to.
mod machine;
/// One keep-alive connection that posts reports.
mod reporter;
/// What it costs to read histories from roll-ups.
mod rollups;
/// A statistic of many measured times.
mod sample;
/// The server under test.
mod server;
/// The cost of the status query with much and with little history.
mod status;

use std::error::Error;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::database::Databases;
use crate::server::Program;

/// Whatever ends a benchmark early; its text is all that anybody needs of it.
type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// Measures Pipewatch's server, and prints Markdown tables
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// The server's release program [default: pipewatch in the folder of this program]
    #[arg(long, global = true, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Where the SQLite databases are put, on a real disk [default: the folder above this program's]
    #[arg(long, global = true, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    #[command(subcommand)]
    benchmark: Benchmark,
}

#[derive(Subcommand)]
enum Benchmark {
    /// Reports a second: in batches from one connection, and one by one from 64
    Ingest(ingest::Options),
    /// The cost of the status query with 10,000 and with 5,000,000 rows of history
    Status(status::Options),
    /// Histories from two years of roll-ups
    Rollups(rollups::Options),
    /// Memory at rest, and the time until the server serves
    Idle(idle::Options),
    /// Delivery to many subscribers, compared with the limit of the machine and with other servers
    Delivery(delivery::Options),
    /// The evaluation of anomalies over many series, with and without an hour due
    Anomalies(anomalies::Options),
    /// All of them
    All(All),
    /// The load of `delivery`, in a process and on a core of its own
    #[command(hide = true)]
    Load(delivery::load::Load),
    /// The polls of `delivery`, on a core of their own
    #[command(hide = true)]
    Poll(delivery::polling::Poll),
    /// The handler of `delivery` that returns a constant
    #[command(hide = true)]
    Constant {
        /// Where it listens
        #[arg(long)]
        address: String,
        /// What it returns
        #[arg(long)]
        status: PathBuf,
    },
    /// The bare sender of `delivery`
    #[command(hide = true)]
    Bare {
        /// Where it listens
        #[arg(long)]
        address: String,
        /// The status that it sends
        #[arg(long)]
        status: PathBuf,
    },
}

#[derive(Args)]
struct All {
    #[command(flatten)]
    ingest: ingest::Options,
    #[command(flatten)]
    status: status::Options,
    #[command(flatten)]
    rollups: rollups::Options,
    #[command(flatten)]
    idle: idle::Options,
    #[command(flatten)]
    delivery: delivery::Options,
    #[command(flatten)]
    anomalies: anomalies::Options,
}

// One thread: the load must leave the cores to the server.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            progress(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match &cli.benchmark {
        Benchmark::Load(load) => return print(&serde_json::to_string(&delivery::load::run(load)?)?),
        Benchmark::Poll(poll) => return print(&serde_json::to_string(&delivery::polling::run(poll)?)?),
        Benchmark::Constant { address, status } => {
            return delivery::polling::serve_constant(std::fs::read_to_string(status)?, address).await;
        }
        // Needs neither a server nor a database.
        Benchmark::Anomalies(options) => return print(&anomalies::measure(options)?),
        Benchmark::Bare { address, status } => return delivery::bare::run(&std::fs::read_to_string(status)?, address),
        _ => {}
    }
    let here = std::env::current_exe()?;
    let binaries = here.parent().ok_or("this program is in no folder")?;
    let program = Program::at(&cli.server.unwrap_or_else(|| binaries.join("pipewatch")))?;
    let folder = cli.folder.or_else(|| binaries.parent().map(PathBuf::from)).ok_or("name a --folder")?;
    let mut databases = Databases::start(&folder).await?;

    print(&machine::describe(databases.folder())?)?;
    // Ctrl-C leaves nothing behind either.
    let measured = tokio::select! {
        measured = measure(&cli.benchmark, &program, &mut databases) => measured,
        interrupted = tokio::signal::ctrl_c() => Err(interrupted.map_or_else(Into::into, |()| "interrupted".into())),
    };
    databases.stop().await?;
    measured
}

async fn measure(benchmark: &Benchmark, program: &Program, databases: &mut Databases) -> Result<()> {
    match benchmark {
        Benchmark::Ingest(options) => print(&ingest::measure(options, program, databases).await?),
        Benchmark::Status(options) => print(&status::measure(options, databases).await?),
        Benchmark::Rollups(options) => print(&rollups::measure(options, databases).await?),
        Benchmark::Load(_)
        | Benchmark::Poll(_)
        | Benchmark::Bare { .. }
        | Benchmark::Constant { .. }
        | Benchmark::Anomalies(_) => Ok(()),
        Benchmark::Delivery(options) => print(&delivery::measure(options, program.path(), databases.folder())?),
        Benchmark::Idle(options) => print(&idle::measure(options, program, databases).await?),
        Benchmark::All(all) => {
            // The memory and the start come before the part that fills the page cache.
            print(&idle::measure(&all.idle, program, databases).await?)?;
            print(&ingest::measure(&all.ingest, program, databases).await?)?;
            print(&status::measure(&all.status, databases).await?)?;
            print(&anomalies::measure(&all.anomalies)?)?;
            print(&rollups::measure(&all.rollups, databases).await?)?;
            print(&delivery::measure(&all.delivery, program.path(), databases.folder())?)
        }
    }
}

/// Prints one finished table, and an empty line after it.
fn print(table: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{table}\n")?)
}

/// Reports progress on standard error.
fn progress(what: &str) {
    drop(writeln!(std::io::stderr(), "pipewatch-bench: {what}"));
}

/// 12345.6 as `12,346`.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
