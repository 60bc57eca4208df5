//! The command line.

mod command {
    pub(crate) mod migrate;
    pub(crate) mod replay;
    pub(crate) mod rollups;
    pub(crate) mod serve;
}

use std::io::IsTerminal as _;
use std::process::ExitCode;

use crate::command::{migrate, replay, rollups, serve};
use clap::{CommandFactory as _, Parser, Subcommand};
use pipewatch::config::{ConfigError, Flags, environment};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The exit status for an invalid setting or argument: `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
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
    /// Replay source runs from a file to a running server, with current timestamps
    #[command(after_help = replay::ABOUT_TOKEN)]
    Replay(replay::Arguments),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // If standard error is closed there is nothing left to do.
            drop(error.print());
            return code;
        }
    };
    if let Err(error) = check_environment(&cli.command) {
        return exit_usage(error);
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
        Command::Replay(_) => ("replay", false),
        Command::Schema | Command::Openapi => return Ok(()),
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

#[allow(clippy::needless_pass_by_value, reason = "the error is consumed here")]
fn exit_usage(error: ConfigError) -> ExitCode {
    print_error(&error.to_string());
    ExitCode::from(USAGE)
}

#[allow(clippy::print_stderr, reason = "errors go to standard error")]
fn print_error(message: &str) {
    eprintln!("pipewatch: {message}");
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
