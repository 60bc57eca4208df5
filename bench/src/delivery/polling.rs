use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::sample::Sample;

/// Connections that poll at a time.
const CONNECTIONS: usize = 8;

/// The polled server.
#[derive(Debug, Clone, Args)]
pub(crate) struct Poll {
    /// Where the server listens
    #[arg(long)]
    address: String,
    /// The requested content
    #[arg(long)]
    path: String,
    /// For how long
    #[arg(long)]
    seconds: u64,
    /// Whether the tag of the answer before is sent along
    #[arg(long)]
    known: bool,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Polled {
    /// Requests a second.
    pub(crate) rate: f64,
    /// The time that 99 of 100 take at most, in milliseconds.
    pub(crate) p99: f64,
}

impl Polled {
    /// The median of each value; `None` without a measurement.
    pub(crate) fn median(repeats: &[Self]) -> Option<Self> {
        let median = |of: fn(&Self) -> f64| Sample::of(repeats.iter().map(of)).map(|sample| sample.median());
        Some(Self { rate: median(|one| one.rate)?, p99: median(|one| one.p99)? })
    }
}

/// Polls on every connection as fast as the answers come.
pub(crate) fn run(poll: &Poll) -> Result<Polled> {
    let end = Instant::now() + Duration::from_secs(poll.seconds);
    let begun = Instant::now();
    let pollers: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let poll = poll.clone();
            std::thread::spawn(move || one(&poll, end))
        })
        .collect();
    let mut times = Vec::new();
    for poller in pollers {
        times.extend(poller.join().map_err(|_| "a poller panicked")??);
    }
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2⁵³")]
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Polled { rate, p99: Sample::of_times(times).ok_or("nothing was answered")?.p99() })
}

fn one(poll: &Poll, end: Instant) -> Result<Vec<Duration>> {
    let stream = TcpStream::connect(&poll.address)?;
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let (mut times, mut tag, mut line, mut body) = (Vec::new(), String::new(), String::new(), Vec::new());
    while Instant::now() < end {
        let known = if poll.known && !tag.is_empty() { format!("If-None-Match: {tag}\r\n") } else { String::new() };
        let request = format!("GET {} HTTP/1.1\r\nHost: 127.0.0.1\r\n{known}\r\n", poll.path);
        let begun = Instant::now();
        writer.write_all(request.as_bytes())?;
        let mut length = 0;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            match line.split_once(": ") {
                Some(("etag", value)) => value.trim().clone_into(&mut tag),
                Some(("content-length", value)) => length = value.trim().parse()?,
                _ if line.trim().is_empty() => break,
                _ => {}
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// A handler that returns a constant.
pub(crate) async fn serve_constant(status: String, address: &str) -> Result<()> {
    let status = axum::body::Bytes::from(status);
    let handler = move || std::future::ready(([("content-type", "application/json")], status.clone()));
    let router = axum::Router::new().route("/", axum::routing::get(handler));
    let listener = tokio::net::TcpListener::bind(address).await?;
    crate::print("ready")?;
    Ok(axum::serve(listener, router).await?)
}
