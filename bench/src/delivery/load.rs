//! Many subscribers in one thread. Messages with the same instant are one publication.

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use clap::Args;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::delivery::process::Process;
use crate::delivery::protocol::Protocol;
use crate::sample::Sample;

/// The text before the timestamp of a status.
const MARK: &[u8] = b"\"timestamp\":\"";
/// An instant with six digits of a second and its Z.
const STAMP: usize = 27;
/// How long the first message may take to reach all subscribers.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_mins(1);

/// What one measurement is of.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Where the server listens
    #[arg(long)]
    pub(crate) address: String,
    /// Protocol of the subscribers
    #[arg(long)]
    pub(crate) protocol: Protocol,
    /// The path of their requests
    #[arg(long, default_value = "/")]
    pub(crate) path: String,
    /// The subscription of graphql-transport-ws
    #[arg(long, default_value = "")]
    pub(crate) query: String,
    /// Number of subscribers
    #[arg(long)]
    pub(crate) subscribers: usize,
    /// Seconds of the measurement, once all have received a message
    #[arg(long)]
    pub(crate) seconds: u64,
    /// The server's process
    #[arg(long)]
    pub(crate) pid: u32,
}

/// What was measured.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Messages published during the measurement.
    pub(crate) messages: u64,
    /// Messages that should have arrived: publications times subscribers.
    pub(crate) expected: u64,
    /// The server's CPU for each message that came, in microseconds.
    pub(crate) cpu: f64,
    /// The server's resident memory for each subscriber, in KiB.
    pub(crate) memory: f64,
    /// From the instant in a message until the last subscriber has it: the median, in milliseconds.
    pub(crate) last: f64,
    /// Bytes of a message on the wire.
    pub(crate) bytes: f64,
}

impl Measured {
    /// The median of each value, and the sums of the counts; `None` without a measurement.
    pub(crate) fn median(repeats: &[Self]) -> Option<Self> {
        let median = |of: fn(&Self) -> f64| Sample::of(repeats.iter().map(of)).map(|sample| sample.median());
        Some(Self {
            messages: repeats.iter().map(|one| one.messages).sum(),
            expected: repeats.iter().map(|one| one.expected).sum(),
            cpu: median(|one| one.cpu)?,
            memory: median(|one| one.memory)?,
            last: median(|one| one.last)?,
            bytes: median(|one| one.bytes)?,
        })
    }
}

struct Subscriber {
    stream: TcpStream,
    /// The end of what was read: a mark may go on in what comes next.
    tail: Vec<u8>,
}

#[derive(Default)]
struct Publication {
    count: u64,
    last: u64,
}

/// Subscribes, watches, and measures the server meanwhile.
pub(crate) fn run(load: &Load) -> Result<Measured> {
    let process = Process::of(load.pid);
    let idle = process.resident()?;
    let mut poll = Poll::new()?;
    let mut subscribers = Vec::with_capacity(load.subscribers);
    for index in 0..load.subscribers {
        let mut stream = std::net::TcpStream::connect(&load.address)?;
        stream.set_nodelay(true)?;
        load.protocol.begin(&mut stream, &load.path, &load.query, index)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
        subscribers.push(Subscriber { stream, tail: Vec::new() });
    }

    let mut watch = Watch { buffer: vec![0; 256 * 1024], publications: HashMap::new(), messages: 0, bytes: 0 };
    let begun = Instant::now();
    while watch.publications.values().map(|publication| publication.count).max() < Some(load.subscribers as u64) {
        if begun.elapsed() > FIRST_MESSAGE_TIMEOUT {
            return Err(
                format!("after {FIRST_MESSAGE_TIMEOUT:?} no message has reached all {}", load.subscribers).into()
            );
        }
        watch.poll(&mut poll, &mut subscribers)?;
    }
    // The other subscribers of the first publication.
    let settle = Instant::now() + Duration::from_millis(400);
    while Instant::now() < settle {
        watch.poll(&mut poll, &mut subscribers)?;
    }

    // A publication that has begun is not measured: only whole ones are.
    let before = std::mem::take(&mut watch.publications);
    let (messages, bytes) = (watch.messages, watch.bytes);
    let cpu = process.cpu()?;
    let end = Instant::now() + Duration::from_secs(load.seconds);
    // The measurement ends with a whole publication.
    while Instant::now() < end || !watch.is_whole(load.subscribers) && Instant::now() < end + FIRST_MESSAGE_TIMEOUT {
        watch.poll(&mut poll, &mut subscribers)?;
    }
    let cpu = process.cpu()?.saturating_sub(cpu);
    let resident = process.resident()?;
    let (messages, bytes) = (watch.messages - messages, watch.bytes - bytes);
    watch.publications.retain(|stamp, _| !before.contains_key(stamp));
    let late =
        |(stamp, publication): (&[u8; STAMP], &Publication)| Some(publication.last.saturating_sub(instant(stamp)?));
    let last = Sample::of(watch.publications.iter().filter_map(late).map(|micros| as_f64(micros) / 1_000.0));
    let per_message = |value: f64| value / as_f64(messages.max(1));
    Ok(Measured {
        messages: watch.publications.values().map(|publication| publication.count).sum(),
        expected: watch.publications.len() as u64 * load.subscribers as u64,
        cpu: per_message(cpu.as_secs_f64() * 1e6),
        memory: (resident - idle) / as_f64(load.subscribers as u64),
        last: last.ok_or("no message came")?.median(),
        bytes: per_message(as_f64(bytes)),
    })
}

struct Watch {
    buffer: Vec<u8>,
    publications: HashMap<[u8; STAMP], Publication>,
    messages: u64,
    bytes: u64,
}

impl Watch {
    /// Whether all subscribers have the newest message.
    fn is_whole(&self, subscribers: usize) -> bool {
        let newest = self.publications.iter().max_by_key(|(stamp, _)| **stamp);
        newest.is_none_or(|(_, publication)| publication.count >= subscribers as u64)
    }

    /// Reads what has arrived, for at most a tenth of a second.
    fn poll(&mut self, poll: &mut Poll, subscribers: &mut [Subscriber]) -> Result<()> {
        let mut events = Events::with_capacity(1_024);
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            if let Some(subscriber) = subscribers.get_mut(event.token().0) {
                self.read(subscriber)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, subscriber: &mut Subscriber) -> Result<()> {
        loop {
            let kept = subscriber.tail.len();
            self.buffer[..kept].copy_from_slice(&subscriber.tail);
            let read = match subscriber.stream.read(&mut self.buffer[kept..]) {
                Ok(0) => return Err("the server closed a connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            self.bytes += read as u64;
            let now = micros(SystemTime::now());
            let all = &self.buffer[..kept + read];
            let mut from = 0;
            while let Some(at) = memchr::memmem::find(&all[from..], MARK) {
                let Some(stamp) = all[from + at + MARK.len()..].first_chunk::<STAMP>() else { break };
                let publication = self.publications.entry(*stamp).or_default();
                publication.count += 1;
                publication.last = now;
                self.messages += 1;
                from += at + MARK.len() + STAMP;
            }
            // Less than a mark and its instant, or they would have been found.
            let tail = from.max(all.len().saturating_sub(MARK.len() + STAMP - 1));
            subscriber.tail.clear();
            subscriber.tail.extend_from_slice(&all[tail..]);
        }
    }
}

fn micros(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(0))
}

fn instant(stamp: &[u8]) -> Option<u64> {
    let instant = DateTime::parse_from_rfc3339(std::str::from_utf8(stamp).ok()?).ok()?;
    u64::try_from(instant.timestamp_micros()).ok()
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2⁵³")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
