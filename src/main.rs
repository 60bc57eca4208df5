//! The command line.

/// A file a command.
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
use pipewatch::config::{BadSetting, Flags, environment};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// The exit status for a bad setting or argument: `EX_USAGE` of sysexits.h.
const USAGE: u8 = 64;
/// The exit status of a program that Ctrl-C ended: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// Live status of data pipelines: reports in, one true status out, to everyone watching.
#[derive(Parser)]
#[command(name = "pipewatch", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve: take reports, and show the status to everyone watching
    #[command(after_help = serve::ABOUT_TOKENS)]
    Serve(Box<Flags>),
    /// Bring the database's schema up or down, or show where it stands
    Migrate(migrate::Arguments),
    /// Make the sums of hours and days anew
    Rollups(rollups::Arguments),
    /// Print the GraphQL schema
    Schema,
    #[command(about = "Print the OpenAPI description of the REST routes")]
    Openapi,
    /// Post a file of source runs to a running server, in order, as if they happened now
    #[command(after_help = replay::ABOUT_TOKEN)]
    Replay(replay::Arguments),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
            // Nothing can be done when nobody listens.
            drop(error.print());
            return code;
        }
    };
    if let Err(error) = check_environment(&cli.command) {
        return refuse(error);
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot be started: {error}")),
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

/// Checks the variables for a command before it does anything, and warns of unknown ones.
fn check_environment(command: &Command) -> Result<(), BadSetting> {
    let (subcommand, reads_settings) = match command {
        Command::Serve(_) => ("serve", true),
        Command::Migrate(_) => ("migrate", true),
        Command::Rollups(_) => ("rollups", true),
        Command::Replay(_) => ("replay", false),
        Command::Schema | Command::Openapi => return Ok(()),
    };
    // A client's settings are flags: a server's variables do not concern it.
    let concerns = |name: &std::ffi::OsStr| reads_settings || name == environment::TOKEN;
    let variables = std::env::vars_os().filter(|(name, _)| concerns(name));
    for unknown in environment::check(&Cli::command(), subcommand, variables)? {
        complain(&format!("warning: {unknown}"));
    }
    Ok(())
}

/// Prints to standard output; a reader that went away is no failure.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => fail(&error.to_string()),
        _ => ExitCode::SUCCESS,
    }
}

fn fail(message: &str) -> ExitCode {
    complain(message);
    ExitCode::FAILURE
}

#[allow(clippy::needless_pass_by_value, reason = "it is the end of the error")]
fn refuse(error: BadSetting) -> ExitCode {
    complain(&error.to_string());
    ExitCode::from(USAGE)
}

#[allow(clippy::print_stderr, reason = "the last words of a program")]
fn complain(message: &str) {
    eprintln!("pipewatch: {message}");
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// Logs to standard error.
fn start_logging(filter: &str) -> Result<(), BadSetting> {
    let filter = EnvFilter::try_new(filter).map_err(|error| BadSetting {
        key: "log".into(),
        message: format!("{filter:?}: {error}; expected a filter such as info or warn,pipewatch=debug"),
    })?;
    let colours = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // What cannot be written, to a file on a full disk, is lost. Saying so on the same standard error would panic.
    log.log_internal_errors(false).init();
    Ok(())
}

/// Cancelled by Ctrl-C or SIGTERM; the second one does not wait.
fn interruption() -> std::io::Result<CancellationToken> {
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
