use std::process::ExitCode;

use metrics_exporter_prometheus::PrometheusBuilder;
use pipewatch::app;
use pipewatch::clock::Clock;
use pipewatch::config::{Config, Flags};
use tokio::net::TcpListener;

use crate::{chain, fail, interruption, print, refuse, start_logging};

/// Serves until Ctrl-C or SIGTERM.
pub(crate) async fn run(flags: Flags) -> ExitCode {
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
