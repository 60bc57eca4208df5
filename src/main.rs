//! The command line.

mod command {
    /// Options before the subcommand.
    pub(crate) mod arguments;
    pub(crate) mod check;
    pub(crate) mod dbt;
    /// Shell completions and man pages.
    pub(crate) mod documents;
    pub(crate) mod exit;
    pub(crate) mod migrate;
    pub(crate) mod record;
    pub(crate) mod replay;
    pub(crate) mod report;
    pub(crate) mod rollups;
    pub(crate) mod run;
    pub(crate) mod serve;
    pub(crate) mod server;
    pub(crate) mod spool;
    pub(crate) mod submit;
    pub(crate) mod watch;
}

use std::io::IsTerminal as _;
use std::process::ExitCode;

use crate::command::exit::USAGE;
use crate::command::{
    arguments, check, dbt, documents, exit, migrate, record, replay, rollups, run, serve, spool, watch,
};
use clap::{CommandFactory as _, Parser, Subcommand};
use pipewatch::config::{ConfigError, Flags, environment};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The exit status after a second signal: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Live monitoring of data pipelines: collects reports of their runs and pushes the status to subscribers.
#[derive(Parser)]
#[command(name = "pipewatch", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = serve::ABOUT_TOKENS)]
    Serve(Box<Flags>),
    /// Apply, roll back or list database migrations
    Migrate(migrate::Arguments),
    /// Rebuild the hourly and daily rollups
    Rollups(rollups::Arguments),
    /// Print the GraphQL schema
    Schema,
    #[command(about = "Print the OpenAPI description of the REST routes")]
    Openapi,
    /// Report a run that has ended, or runs from standard input
    #[command(after_help = exit::ABOUT_REPORTING)]
    Record(Box<record::Arguments>),
    /// Run a command and report its start, its end and its results
    #[command(after_help = run::ABOUT)]
    Run(Box<run::Arguments>),
    /// List or deliver the reports that could not be delivered
    Spool(spool::command::Arguments),
    /// Check the status of a pipeline for Nagios and compatible monitoring systems
    #[command(after_help = check::ABOUT)]
    Check(check::Arguments),
    /// Watch the live status in the terminal
    #[command(after_help = watch::ABOUT)]
    Watch(watch::Arguments),
    /// Report the results of a dbt invocation: its models, tests and source freshness
    #[command(after_help = exit::ABOUT_REPORTING)]
    Dbt(dbt::Arguments),
    /// Print a completion script for a shell
    Completions(documents::CompletionsArguments),
    /// Write the man pages into a folder
    Man(documents::ManArguments),
    /// Replay source runs from a file to a running server, with current timestamps
    #[command(after_help = replay::ABOUT_TOKEN)]
    Replay(replay::Arguments),
}

fn main() -> ExitCode {
    let words = arguments::reorder(&Cli::command(), std::env::args_os().collect());
    let is_check = words.get(1).is_some_and(|word| word == "check");
    let usage = if is_check { check::UNKNOWN } else { USAGE };
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(usage) } else { ExitCode::SUCCESS };
            // If standard error is closed there is nothing left to do.
            drop(error.print());
            return code;
        }
    };
    if let Err(error) = check_environment(&cli.command) {
        return fail_with(usage, &error.to_string());
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start the async runtime: {error}")),
    };
    runtime.block_on(async {
        match cli.command {
            Command::Serve(flags) => serve::run(*flags).await,
            Command::Migrate(arguments) => migrate::run(arguments).await,
            Command::Rollups(arguments) => rollups::run(arguments).await,
            Command::Schema => print(pipewatch::graphql::sdl().trim_end()),
            Command::Openapi => print(pipewatch::http::openapi::json().trim_end()),
            Command::Record(arguments) => record::run(*arguments).await,
            Command::Run(arguments) => run::run(*arguments).await,
            Command::Spool(arguments) => spool::command::run(arguments).await,
            Command::Check(arguments) => check::run(arguments).await,
            Command::Watch(arguments) => Box::pin(watch::run(arguments)).await,
            Command::Dbt(arguments) => dbt::run(arguments).await,
            Command::Completions(arguments) => documents::completions(&arguments, Cli::command()),
            Command::Man(arguments) => documents::man(&arguments, Cli::command()),
            Command::Replay(arguments) => replay::run(arguments).await,
        }
    })
}

/// Checks a command's environment variables before it starts, and warns about unknown ones.
fn check_environment(command: &Command) -> Result<(), ConfigError> {
    let (subcommand, reads_settings) = match command {
        Command::Serve(_) => ("serve", true),
        Command::Migrate(_) => ("migrate", true),
        Command::Rollups(_) => ("rollups", true),
        Command::Record(_) => ("record", false),
        Command::Run(_) => ("run", false),
        Command::Spool(_) => ("spool", false),
        Command::Check(_) => ("check", false),
        Command::Watch(_) => ("watch", false),
        Command::Dbt(_) => ("dbt", false),
        Command::Replay(_) => ("replay", false),
        Command::Schema | Command::Openapi | Command::Completions(_) | Command::Man(_) => return Ok(()),
    };
    // A client's settings are flags; a server's variables do not apply to it.
    let is_relevant = |name: &std::ffi::OsStr| reads_settings || name == environment::TOKEN;
    let variables = std::env::vars_os().filter(|(name, _)| is_relevant(name));
    for unknown in environment::check(&Cli::command(), subcommand, variables)? {
        print_error(&format!("warning: {unknown}"));
    }
    Ok(())
}

/// Prints to standard output. A closed pipe is not an error.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(message: &str) -> ExitCode {
    print_error(message);
    ExitCode::FAILURE
}

fn fail_with(status: u8, message: &str) -> ExitCode {
    print_error(message);
    ExitCode::from(status)
}

#[allow(clippy::needless_pass_by_value, reason = "the error is consumed here")]
fn exit_usage(error: ConfigError) -> ExitCode {
    print_error(&error.to_string());
    ExitCode::from(USAGE)
}

/// Prints to standard error. If it is closed there is nothing left to do.
fn print_error(message: &str) {
    use std::io::Write as _;
    drop(writeln!(std::io::stderr(), "pipewatch: {message}"));
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// Logs to standard error.
fn start_logging(filter: &str) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| ConfigError {
        key: "log".into(),
        message: format!("{filter:?}: {error}; expected a filter such as info or warn,pipewatch=debug"),
    })?;
    let has_colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(has_colours).with_writer(std::io::stderr);
    // A line that cannot be written, such as to a full disk, is lost: reporting it on standard error would panic.
    log.log_internal_errors(false).init();
    Ok(())
}

/// Cancelled by SIGINT or SIGTERM. A second signal exits immediately.
fn shutdown_signal() -> std::io::Result<CancellationToken> {
    let token = CancellationToken::new();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let interrupted = token.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if interrupted.is_cancelled() {
                std::process::exit(INTERRUPTED);
            }
            interrupted.cancel();
        }
    });
    Ok(token)
}
