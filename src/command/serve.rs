use std::net::SocketAddr;
use std::process::ExitCode;

use metrics_exporter_prometheus::PrometheusBuilder;
use pipewatch::app;
use pipewatch::clock::Clock;
use pipewatch::config::environment::{TOKEN, TOKENS};
use pipewatch::config::{Config, Flags, Secret};
use tokio::net::TcpListener;

use crate::{chain, exit_usage, fail, print, print_error, shutdown_signal, start_logging};

/// The part of `--help` about tokens, which are not flags.
pub(crate) const ABOUT_TOKENS: &str = "\
Access tokens: set PIPEWATCH_TOKENS (comma-separated) or `tokens` in the configuration file. Every request except health \
checks must then have one of them. Deliberately not a flag, since command lines are visible to other users. \
[default: none, the server is open to everyone]";

/// Serves until SIGINT or SIGTERM.
pub(crate) async fn run(mut flags: Flags) -> ExitCode {
    flags.tokens = std::env::var(TOKENS).ok().as_deref().map(Secret::list);
    let port = std::env::var("PORT").ok();
    let config = match Config::load(flags, port.as_deref()) {
        Ok(config) => config,
        Err(error) => return exit_usage(error),
    };
    if let Err(error) = start_logging(&config.log) {
        return exit_usage(error);
    }
    let shutdown = match shutdown_signal() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(&format!("cannot install the signal handler: {error}")),
    };
    let listener = match TcpListener::bind(config.listen).await {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("cannot listen on {}: {error}", config.listen)),
    };
    let address = listener.local_addr().unwrap_or(config.listen);
    if config.tokens.is_open() {
        warn_of_open_access(address);
    }
    let announce = || {
        print(&format!("pipewatch listening on http://{address}"));
    };
    let metrics = match PrometheusBuilder::new().install_recorder() {
        Ok(metrics) => Some(metrics),
        Err(error) => return fail(&format!("cannot install the metrics recorder: {error}")),
    };
    match Box::pin(app::run(listener, config, Clock::system(), metrics, shutdown, announce)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&chain(&error)),
    }
}

/// Warns if the server is open to other machines. Printed independently of the log filter.
fn warn_of_open_access(address: SocketAddr) {
    if !address.ip().to_canonical().is_loopback() {
        print_error(&format!(
            "warning: listening on {address} without access tokens: anyone who can reach this address can read and change \
             all data; set {TOKENS}, or listen on 127.0.0.1"
        ));
    }
    if std::env::var_os(TOKEN).is_some() {
        print_error(&format!(
            "warning: {TOKEN} is the variable of clients; the server reads {TOKENS}, which is not set"
        ));
    }
}
