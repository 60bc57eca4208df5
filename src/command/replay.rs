use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use pipewatch::clock::Clock;
use pipewatch::config::environment::TOKEN;
use pipewatch::replay::{Batch, Recording};
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{fail, print, shutdown_signal};

/// Attempts per batch if the server is unreachable or unavailable.
const ATTEMPTS: u32 = 5;
/// The time limit of a request.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The part of `--help` about the token, which is not a flag.
pub(crate) const ABOUT_TOKEN: &str = "\
Access token: set PIPEWATCH_TOKEN if the server requires one.";

#[derive(Args)]
pub(crate) struct Arguments {
    /// Source runs, one JSON object per line, ordered by timestamp
    file: PathBuf,
    /// URL of the server
    #[arg(
        long = "server",
        visible_alias = "url",
        env = "PIPEWATCH_URL",
        value_name = "URL",
        default_value = "http://127.0.0.1:8000"
    )]
    url: Url,
    /// Pipeline of runs that name none
    #[arg(long, value_name = "KEY", default_value = "default")]
    pipeline: String,
    /// Duration of one day of the file
    #[arg(long, value_name = "DURATION", default_value = "2s", value_parser = humantime::parse_duration)]
    day: Duration,
}

/// Posts the runs of a file to a server, each when it is due.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let recording = match std::fs::read_to_string(&arguments.file) {
        Ok(text) => Recording::parse(&text),
        Err(error) => return fail(&format!("{}: {error}", arguments.file.display())),
    };
    let recording = match recording {
        Ok(recording) => recording,
        Err(error) => return fail(&format!("{}: {error}", arguments.file.display())),
    };
    let interrupted = match shutdown_signal() {
        Ok(interrupted) => interrupted,
        Err(error) => return fail(&format!("cannot install the signal handler: {error}")),
    };
    let server = match Server::new(&arguments) {
        Ok(server) => server,
        Err(message) => return fail(&message),
    };

    let bar = ProgressBar::new(recording.runs() as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} runs, {elapsed} of {duration}  {msg}") {
        bar.set_style(style);
    }
    let start = Instant::now();
    let mut totals = Totals::default();
    for batch in recording.batches(arguments.day) {
        // Interruptible only between batches, so that the result of every posted batch is known.
        if interrupted.run_until_cancelled(sleep_until(start + batch.due)).await.is_none() {
            break;
        }
        match server.post(batch).await {
            Ok(answer) => totals.add(&answer),
            Err(message) => {
                bar.abandon();
                return fail(&format!("{message}; {totals}"));
            }
        }
        bar.set_position(totals.total());
        if totals.refused > 0 {
            bar.set_message(format!("{} refused", totals.refused));
        }
    }
    let was_interrupted = interrupted.is_cancelled();
    if was_interrupted {
        bar.abandon();
    } else {
        bar.finish();
    }
    print(&format!("{}{totals}", if was_interrupted { "interrupted: " } else { "" }));
    match &totals.first_refusal {
        Some(refusal) => fail(&format!("refused: {refusal}")),
        None => ExitCode::SUCCESS,
    }
}

struct Server {
    client: Client,
    url: Url,
    token: Option<String>,
    clock: Clock,
}

impl Server {
    fn new(arguments: &Arguments) -> Result<Self, String> {
        let mut url = arguments.url.join("/api/v1/source-runs").map_err(|error| {
            format!("--url {}: {error}; expected a URL such as http://127.0.0.1:8000", arguments.url)
        })?;
        url.query_pairs_mut().append_pair("pipeline", &arguments.pipeline);
        // An error means that a provider is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().timeout(TIMEOUT).build().map_err(|error| crate::chain(&error))?;
        let token = std::env::var(TOKEN).ok();
        Ok(Self { client, url, token, clock: Clock::system() })
    }

    /// Posts a batch with retries. Every item has an id, so that nothing is stored twice.
    async fn post(&self, batch: Batch) -> Result<Value, String> {
        let mut items = batch.at(self.clock.now());
        for item in &mut items {
            if item["id"].is_null() {
                item["id"] = uuid::Uuid::now_v7().to_string().into();
            }
        }
        let mut attempt = 1;
        loop {
            let request = self.client.post(self.url.clone()).json(&items);
            let request = match &self.token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            let failure = match request.send().await {
                Ok(response) if response.status() == StatusCode::SERVICE_UNAVAILABLE => {
                    "the server is unavailable".to_owned()
                }
                Ok(response) => {
                    let status = response.status();
                    let body: Value = response.json().await.map_err(|error| crate::chain(&error))?;
                    return match body.get("results") {
                        Some(_) => Ok(body),
                        None => {
                            Err(format!("the server responded {status}: {}", body["detail"].as_str().unwrap_or("?")))
                        }
                    };
                }
                Err(error) => crate::chain(&error),
            };
            if attempt == ATTEMPTS {
                return Err(format!("cannot post to {}: {failure}", self.url));
            }
            sleep(Duration::from_millis(200) * 2u32.pow(attempt)).await;
            attempt += 1;
        }
    }
}

#[derive(Default)]
struct Totals {
    stored: u64,
    duplicates: u64,
    refused: u64,
    first_refusal: Option<Value>,
}

impl Totals {
    fn add(&mut self, answer: &Value) {
        for result in answer["results"].as_array().into_iter().flatten() {
            match result["status"].as_str() {
                Some("stored") => self.stored += 1,
                Some("duplicate") => self.duplicates += 1,
                _ => {
                    self.refused += 1;
                    self.first_refusal.get_or_insert_with(|| result["errors"].clone());
                }
            }
        }
    }

    fn total(&self) -> u64 {
        self.stored + self.duplicates + self.refused
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} stored, {} duplicate, {} refused", self.stored, self.duplicates, self.refused)
    }
}
