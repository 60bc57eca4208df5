use std::net::SocketAddr;
use std::process::ExitCode;

use metrics_exporter_prometheus::PrometheusBuilder;
use pipewatch::app;
use pipewatch::clock::Clock;
use pipewatch::config::environment::{TOKEN, TOKENS};
use pipewatch::config::{Config, Flags, Secret};
use tokio::net::TcpListener;

use crate::{chain, complain, fail, interruption, print, refuse, start_logging};

/// What `--help` says of the setting that is no flag.
pub(crate) const ABOUT_TOKENS: &str = "\
The variable PIPEWATCH_TOKENS (separated by commas), or `tokens` in the file of settings, are the tokens of which every \
request must have one, but for health checks. There is no flag for them: a command line can be read by everybody on the \
machine. [default: none, and everybody may do everything]";

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn run(mut flags: Flags) -> ExitCode {
    flags.tokens = std::env::var(TOKENS).ok().as_deref().map(Secret::list);
    let port = std::env::var("PORT").ok();
    let config = match Config::load(flags, port.as_deref()) {
        Ok(config) => config,
        Err(error) => return refuse(error),
    };
    if let Err(error) = start_logging(&config.log) {
        return refuse(error);
    }
    let shutdown = match interruption() {
        Ok(shutdown) => shutdown,
        Err(error) => return fail(&format!("signals cannot be heard: {error}")),
    };
    let listener = match TcpListener::bind(config.listen).await {
        Ok(listener) => listener,
        Err(error) => return fail(&format!("{} cannot be listened on: {error}", config.listen)),
    };
    let address = listener.local_addr().unwrap_or(config.listen);
    if config.tokens.is_open() {
        warn_of_open_access(address);
    }
    let announce = || {
        print(&format!("pipewatch serves at http://{address}"));
    };
    let metrics = match PrometheusBuilder::new().install_recorder() {
        Ok(metrics) => Some(metrics),
        Err(error) => return fail(&format!("the metrics cannot be counted: {error}")),
    };
    match Box::pin(app::run(listener, config, Clock::system(), metrics, shutdown, announce)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&chain(&error)),
    }
}

/// Without tokens, every client that reaches the server may do everything. This is printed whatever the log filter is.
fn warn_of_open_access(address: SocketAddr) {
    if !address.ip().to_canonical().is_loopback() {
        complain(&format!(
            "warning: listening on {address} without access tokens: anyone who can reach this address can read and change \
             all data; set {TOKENS}, or listen on 127.0.0.1"
        ));
    }
    if std::env::var_os(TOKEN).is_some() {
        complain(&format!("warning: {TOKEN} is for clients; the server's tokens are {TOKENS}, which is not set"));
    }
}
