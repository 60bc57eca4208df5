use std::process::ExitCode;

use metrics_exporter_prometheus::PrometheusBuilder;
use pipewatch::app;
use pipewatch::clock::Clock;
use pipewatch::config::{Config, Flags, Secret};
use tokio::net::TcpListener;

use crate::{chain, fail, interruption, print, refuse, start_logging};

/// What `--help` says of the setting that is no flag.
pub(crate) const ABOUT_TOKENS: &str = "\
The variable PIPEWATCH_TOKENS (separated by commas), or `tokens` in the file of settings, are the tokens of which every \
request must have one, but for health checks. There is no flag for them: a command line can be read by everybody on the \
machine. [default: none, and everybody may do everything]";

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn run(mut flags: Flags) -> ExitCode {
    flags.tokens = std::env::var("PIPEWATCH_TOKENS").ok().as_deref().and_then(Secret::list);
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
    let announce = || {
        print(&format!("pipewatch serves at http://{address}"));
    };
    let metrics = match PrometheusBuilder::new().install_recorder() {
        Ok(metrics) => Some(metrics),
        Err(error) => return fail(&format!("the metrics cannot be counted: {error}")),
    };
    match app::run(listener, config, Clock::system(), metrics, shutdown, announce).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&chain(&error)),
    }
}
