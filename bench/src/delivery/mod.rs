//! The cost of delivering a status to many subscribers, compared with the limit of the machine and with other servers.
//!
//! The server runs on one core and the load on the other. All subscribers get one status a second.

/// The bare sender.
pub(crate) mod bare;
/// Simple HTTP requests.
pub(crate) mod http;
/// Many subscribers in one thread.
pub(crate) mod load;
/// Polls, and what they cost.
pub(crate) mod polling;
/// Another process.
mod process;
/// The protocols of subscribers.
mod protocol;
/// A measured transport.
mod target;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;

use crate::Result;
use crate::delivery::load::Measured;
use crate::delivery::polling::Polled;
use crate::delivery::protocol::Protocol;
use crate::delivery::target::{Kind, Running, Target};

/// A subscription whose result is about as long as the plain status.
const QUERY: &str = "subscription { pipelineStatusUpdates { pipeline revision timestamp overallStatus scrapingHealth { status \
    sourcesProcessed totalSources failedSources staleSources articlesCollected eventsExtracted sourcesOmitted \
    sources { source status stale successRate runs lastRun } } dataQuality { status geocodingSuccessRate \
    validationPassRate geocodingAttempts geocodingSuccesses validationAttempts validationPasses basis lastUpdated } \
    anomalies { id } alerts { id } } }";

/// What to measure.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Number of subscribers
    #[arg(long, default_value_t = 5_000)]
    subscribers: usize,
    /// Number of subscribers of the second measurement of Pipewatch; 0 skips it
    #[arg(long, default_value_t = 15_000)]
    large: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Measurements of Pipewatch and of the bare sender, which alternate; the medians are printed
    #[arg(long, default_value_t = 3)]
    repeats: usize,
    /// Measure only Pipewatch and the bare sender
    #[arg(long)]
    no_peers: bool,
    /// Folder of the other servers
    #[arg(long, default_value = "bench/peers")]
    peers: PathBuf,
}

const fn pipewatch(name: &'static str, protocol: Protocol, path: &'static str) -> Target {
    Target { name, protocol, path, query: QUERY, kind: Kind::Pipewatch }
}

const BARE: Target = Target { name: "bare `send()`", protocol: Protocol::Bare, path: "/", query: "", kind: Kind::Bare };
const PIPEWATCH: [Target; 3] = [
    pipewatch("**Pipewatch**, graphql-transport-ws", Protocol::GraphqlWs, "/graphql"),
    pipewatch("**Pipewatch**, Server-Sent Events", Protocol::Events, "/api/v1/monitoring/pipeline-status/stream"),
    pipewatch("**Pipewatch**, plain WebSocket", Protocol::WebSocket, "/api/v1/ws/monitoring/pipeline-status"),
];

/// Measures, and returns the tables.
pub(crate) fn measure(options: &Options, server: &Path, folder: &Path) -> Result<String> {
    let bench = Bench { options, server, folder: &folder.canonicalize()?, status: folder.join("status.json") };
    bench.prepare()?;
    let mut table = format!(
        "| {} subscribers, a status a second | CPU a message | of bare | KiB a subscriber | last served, p50 | of bare |\n\
         | --- | --: | --: | --: | --: | --: |\n",
        crate::thousands(as_f64(options.subscribers)),
    );
    let bare = bench.ours(&mut table, options.subscribers)?;
    if !options.no_peers {
        for target in peers() {
            match bench.load(&target, options.subscribers) {
                Ok(measured) => row(&mut table, target.name, &measured, Some(&bare)),
                Err(error) => crate::progress(&format!("{} is left out: {error}", target.name)),
            }
        }
    }
    if options.large > 0 {
        let _ = writeln!(table, "| *{} subscribers* | | | | | |", crate::thousands(as_f64(options.large)));
        bench.ours(&mut table, options.large).map_err(|error| format!("{error}\n\n{table}"))?;
    }
    table.push('\n');
    table.push_str(&bench.polling()?);
    Ok(table)
}

fn peers() -> Vec<Target> {
    let peer = |name, kind, protocol, path, query| Target { name, protocol, path, query, kind: Kind::Peer(kind) };
    vec![
        peer("uWebSockets in Bun, pub/sub", "bun", Protocol::WebSocket, "/ws", ""),
        peer("nginx with nchan, WebSocket", "nchan-ws", Protocol::WebSocket, "/sub", ""),
        peer("nginx with nchan, EventSource", "nchan-sse", Protocol::Events, "/sse", ""),
        peer("Node `ws`", "ws", Protocol::WebSocket, "/ws", ""),
        peer("Node `graphql-ws`", "graphql-ws", Protocol::GraphqlWs, "/graphql", PEER_QUERY),
        peer("async-graphql-axum, stock", "async-graphql", Protocol::GraphqlWs, "/graphql", PEER_QUERY),
        peer("FastAPI, uvicorn, websockets 12", "fastapi", Protocol::WebSocket, "/ws", ""),
    ]
}

/// The same of the peers' schema.
const PEER_QUERY: &str = "subscription { status { pipeline revision timestamp overallStatus scrapingHealth { status \
    sourcesProcessed totalSources failedSources staleSources articlesCollected eventsExtracted sourcesOmitted \
    sources { source status stale successRate runs lastRun } } dataQuality { status geocodingSuccessRate \
    validationPassRate geocodingAttempts geocodingSuccesses validationAttempts validationPasses basis lastUpdated } \
    anomalies { id } alerts { id } } }";

struct Bench<'a> {
    options: &'a Options,
    server: &'a Path,
    folder: &'a Path,
    /// A status of Pipewatch, which the bare sender sends as well.
    status: PathBuf,
}

impl Bench<'_> {
    /// Gives the database twenty sources, and keeps the status that they come to.
    fn prepare(&self) -> Result<()> {
        let running = self.start(&PIPEWATCH[0])?;
        let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        let runs: Vec<_> = (0..20)
            .map(|number| {
                serde_json::json!({"source": format!("newspaper-{number:02}"), "timestamp": now, "articles_collected": 12,
                    "events_extracted": 9, "geocoding_attempts": 9, "geocoding_successes": 8,
                    "validation_attempts": 9, "validation_passes": 9})
            })
            .collect();
        crate::delivery::http::post(&running.address, "/api/v1/source-runs", &serde_json::json!(runs).to_string())?;
        let status = crate::delivery::http::get(&running.address, "/api/v1/monitoring/pipeline-status")?;
        Ok(std::fs::write(&self.status, status)?)
    }

    fn start(&self, target: &Target) -> Result<Running> {
        target.start(self.server, self.folder, &self.status, &self.options.peers)
    }

    /// Polls answered per second, compared with a handler that returns a constant. They alternate, and medians are
    /// printed.
    fn polling(&self) -> Result<String> {
        const STATUS: &str = "/api/v1/monitoring/pipeline-status";
        let constant = Target { name: "an axum handler that returns a constant", kind: Kind::Constant, ..BARE };
        let polls = [
            (&constant, constant.name, "/", false),
            (&PIPEWATCH[0], "**Pipewatch**, 200 with the status", STATUS, false),
            (&PIPEWATCH[0], "**Pipewatch**, 304", STATUS, true),
        ];
        let mut polled = polls.map(|_| Vec::new());
        for _ in 0..self.options.repeats {
            for ((target, what, path, is_known), polled) in polls.iter().zip(&mut polled) {
                crate::progress(what);
                polled.push(self.poll(target, path, *is_known)?);
            }
        }
        let medians: Option<Vec<_>> = polled.iter().map(|repeats| Polled::median(repeats)).collect();
        let medians = medians.ok_or("expected at least one repeat")?;
        let mut table = String::from(
            "| polling, 8 connections | requests a second | of constant | p99 |\n| --- | --: | --: | --: |\n",
        );
        for ((_, what, ..), polled) in polls.iter().zip(&medians) {
            let of_constant = polled.rate / medians[0].rate;
            let rate = crate::thousands(polled.rate);
            let _ = writeln!(table, "| {what} | {rate} | {of_constant:.2} | {:.2} ms |", polled.p99);
        }
        Ok(table)
    }

    fn poll(&self, target: &Target, path: &str, is_known: bool) -> Result<Polled> {
        let running = self.start(target)?;
        let mut command = Command::new("taskset");
        command.args(["-c", "1"]).arg(std::env::current_exe()?);
        command.args(["poll", "--address", &running.address, "--path", path]);
        command.args(["--seconds", &self.options.seconds.to_string()]).args(is_known.then_some("--known"));
        let output = command.stderr(Stdio::inherit()).output()?;
        Ok(serde_json::from_slice(&output.stdout).map_err(|_| "the polling failed")?)
    }

    /// Measures the bare sender and Pipewatch. They alternate, so that other load on the machine affects both alike.
    fn ours(&self, table: &mut String, subscribers: usize) -> Result<Measured> {
        let targets: Vec<_> = std::iter::once(&BARE).chain(&PIPEWATCH).collect();
        let mut measured = vec![Vec::new(); targets.len()];
        for _ in 0..self.options.repeats {
            for (target, measured) in targets.iter().zip(&mut measured) {
                measured.push(self.load(target, subscribers)?);
            }
        }
        let medians: Option<Vec<_>> = measured.iter().map(|repeats| Measured::median(repeats)).collect();
        let medians = medians.ok_or("expected at least one repeat")?;
        for (index, (target, measured)) in targets.iter().zip(&medians).enumerate() {
            row(table, target.name, measured, (index > 0).then_some(&medians[0]));
        }
        Ok(medians[0])
    }

    fn load(&self, target: &Target, subscribers: usize) -> Result<Measured> {
        crate::progress(&format!("{} with {subscribers} subscribers", target.name));
        let running = self.start(target)?;
        let output = Command::new("taskset")
            .args(["-c", "1"])
            .arg(std::env::current_exe()?)
            .args(["load", "--address", &running.address, "--path", target.path, "--query", target.query])
            .args(["--protocol", clap::ValueEnum::to_possible_value(&target.protocol).ok_or("no name")?.get_name()])
            .args(["--subscribers", &subscribers.to_string(), "--seconds", &self.options.seconds.to_string()])
            .args(["--pid", &running.pid.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        let measured: Measured = serde_json::from_slice(&output.stdout).map_err(|_| "the load failed")?;
        crate::progress(&format!("{measured:?}"));
        Ok(measured)
    }
}

fn row(table: &mut String, name: &str, measured: &Measured, bare: Option<&Measured>) {
    let ratio = |of: fn(&Measured) -> f64| bare.map_or("1".into(), |bare| format!("{:.2}", of(measured) / of(bare)));
    let lost = measured.expected.saturating_sub(measured.messages);
    let lost = if lost > 0 { format!(" ({lost} of {} not delivered)", measured.expected) } else { String::new() };
    let _ = writeln!(
        table,
        "| {name}{lost} | {:.1} µs | {} | {:.1} | {:.0} ms | {} |",
        measured.cpu,
        ratio(|measured| measured.cpu),
        measured.memory,
        measured.last,
        ratio(|measured| measured.last),
    );
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2⁵³")]
fn as_f64(number: usize) -> f64 {
    number as f64
}
