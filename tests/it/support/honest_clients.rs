use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::support::server::{Process, client};
use crate::support::{ALLOWANCE, DEADLINE, revision, run, with};

/// The maximum delay of an honest client in `make test`; `make soak` checks the promised figures.
const MAX_DELAY: Duration = ALLOWANCE;
/// The pause between two reports, and between two probes.
const PAUSE: Duration = Duration::from_millis(50);
/// The limits of `make soak`: the 99th percentile of delivery, and the growth of resident memory in KiB.
const SOAK_P99: Duration = Duration::from_millis(500);
const SOAK_GROWTH: u64 = 200 * 1024;

/// A reporter, a subscriber and a health probe during an attack. They have a thread of their own, so that the attack in
/// the test's runtime cannot delay them: they measure only the server.
pub(crate) struct HonestClients {
    stop: CancellationToken,
    running: JoinHandle<Measurements>,
    resident: u64,
}

/// What the honest clients measured.
#[derive(Debug, Default)]
struct Measurements {
    /// From sending a report to receiving its status.
    deliveries: Vec<Duration>,
    /// Response times of `GET /api/health/live`.
    probes: Vec<Duration>,
}

/// Duration of an attack: short, unless `make soak` sets it.
pub(crate) fn attack_length() -> Duration {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.map_or(2, |seconds: u64| (seconds / 10).max(2)))
}

/// Whether `make soak` runs, which checks the promised figures.
pub(crate) fn is_soak() -> bool {
    std::env::var_os("SOAK_SECONDS").is_some()
}

impl HonestClients {
    /// Starts the clients on a separate pipeline and waits until the first report is delivered.
    pub(crate) async fn start(server: &Process, token: Option<&str>) -> Self {
        let (url, token) = (server.url.clone(), token.map(str::to_owned));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let (ready, is_ready) = oneshot::channel();
        let running = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(work(&url, token.as_deref(), ready, stopped))
        });
        is_ready.await.expect("the honest clients work before the attack");
        Self { stop, running, resident: server.resident() }
    }

    /// Stops the clients. Checks that every report was stored and delivered in time, that every probe was answered in
    /// time, and that the server's memory stayed within its limit.
    pub(crate) async fn finish(self, server: &Process) {
        self.stop.cancel();
        let running = self.running;
        let measurements = tokio::task::spawn_blocking(move || running.join()).await.expect("no panic");
        let mut measurements = measurements.expect("the honest clients were served throughout");
        measurements.deliveries.sort_unstable();
        measurements.probes.sort_unstable();
        let growth = server.resident().saturating_sub(self.resident);
        println!("{measurements}, {growth} KiB more");
        assert!(!measurements.deliveries.is_empty() && !measurements.probes.is_empty());
        if is_soak() {
            assert!(percentile(&measurements.deliveries, 99) < SOAK_P99, "{measurements}");
            assert!(growth < SOAK_GROWTH, "{growth} KiB more");
        }
    }
}

impl std::fmt::Display for Measurements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |times: &[Duration]| format!("p50 {:?}, p99 {:?}", percentile(times, 50), percentile(times, 99));
        write!(f, "{} deliveries: {}; ", self.deliveries.len(), line(&self.deliveries))?;
        write!(f, "{} probes: {}", self.probes.len(), line(&self.probes))
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

async fn work(url: &str, token: Option<&str>, ready: oneshot::Sender<()>, stopped: CancellationToken) -> Measurements {
    let client = client();
    let with_token = |request: RequestBuilder| match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    };
    let reporting = || with_token(client.post(format!("{url}/api/v1/source-runs?pipeline=honest")));
    let mut measurements = Measurements::default();
    let mut ready = Some(ready);
    report(&reporting(), 0).await;
    let stream = format!("{url}/api/v1/monitoring/pipeline-status/stream?pipeline=honest&sources=none");
    let mut stream = Subscriber::open(with_token(client.get(stream))).await;
    for number in 1.. {
        let begun = Instant::now();
        let stored = report(&reporting(), number).await;
        stream.until(stored).await;
        measurements.deliveries.push(begun.elapsed());
        measurements.probes.push(probe(&client, url).await);
        if let Some(ready) = ready.take() {
            ready.send(()).expect("the receiver of the test");
            measurements = Measurements::default();
        }
        if !measurements.deliveries.is_empty() && tokio::time::timeout(PAUSE, stopped.cancelled()).await.is_ok() {
            break;
        }
    }
    measurements
}

/// Sends a report and returns the revision of its commit.
async fn report(request: &RequestBuilder, number: u64) -> u64 {
    let item = with(run("a"), json!({"articles_collected": number}));
    let request = request.try_clone().expect("no stream").json(&item).timeout(MAX_DELAY);
    let response = request.send().await.expect("a report is answered in time");
    let status = response.status();
    let answer: serde_json::Value = response.json().await.expect("a JSON response");
    assert_eq!(status, 201, "an honest report is stored: {answer}");
    revision(&answer["revisions"]["honest"])
}

async fn probe(client: &Client, url: &str) -> Duration {
    let begun = Instant::now();
    let response = client.get(format!("{url}/api/health/live")).timeout(MAX_DELAY).send().await;
    assert_eq!(response.expect("a probe is answered in time").status(), 200);
    begun.elapsed()
}

/// Server-Sent Events; only revisions are read.
struct Subscriber {
    response: reqwest::Response,
    text: String,
}

impl Subscriber {
    async fn open(request: RequestBuilder) -> Self {
        let response = tokio::time::timeout(DEADLINE, request.send()).await.expect("in time").expect("a stream");
        assert_eq!(response.status(), 200, "an honest subscriber is admitted");
        Self { response, text: String::new() }
    }

    /// Waits for a status of this revision or a later one.
    async fn until(&mut self, wanted: u64) {
        let seen = async {
            loop {
                while let Some((line, rest)) = self.text.split_once('\n') {
                    let seen: Option<u64> = line.strip_prefix("id: ").and_then(|id| id.trim().parse().ok());
                    let rest = rest.to_owned();
                    self.text = rest;
                    if seen.is_some_and(|seen| seen >= wanted) {
                        return;
                    }
                }
                let chunk = self.response.chunk().await.expect("an unbroken stream").expect("a stream that stays open");
                self.text.push_str(&String::from_utf8_lossy(&chunk));
            }
        };
        tokio::time::timeout(MAX_DELAY, seen).await.expect("a report is delivered in time");
    }
}
