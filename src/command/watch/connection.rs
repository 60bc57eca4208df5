//! The state of the connection to the server, as the browser's feed keeps it: a stream of Server-Sent Events, and polling
//! whenever no stream is live. Pure: time and randomness are arguments.

use std::time::Duration;

/// A stream that has sent nothing for this long is given up. The server sends at least a heartbeat every 15 s.
const SILENCE: Duration = Duration::from_secs(40);
/// How long the first stream may take before the first poll.
const FIRST_POLL: Duration = Duration::from_millis(1_500);
/// The pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_secs(5);
const MIN_BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(20);

/// What happens to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    /// The stream has delivered data.
    Data,
    /// The stream has sent something else, such as a heartbeat.
    Activity,
    Closed(Failure),
    Polled,
    PollFailed(Failure),
    /// Time has passed.
    Tick,
}

/// Why a stream ended or a poll failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) reason: String,
    /// Whether the token is missing or invalid, which no other attempt changes.
    pub(super) is_unauthorized: bool,
}

/// What the caller must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Open,
    Close,
    Poll,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Closed,
    Opening,
    Live,
}

/// The state that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    Connecting,
    Live,
    /// No stream is live, but polls succeed.
    Polling,
    Offline(String),
    Unauthorized(String),
}

/// Times are durations since the start of the program.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    stream: Stream,
    last_message: Duration,
    /// Consecutive failures of the stream and of polls.
    failed_streams: u32,
    failed_polls: u32,
    retry_at: Option<Duration>,
    poll_at: Option<Duration>,
    is_poll_running: bool,
    last_poll_succeeded: bool,
    failure: Option<String>,
    is_stopped: bool,
}

impl Connection {
    /// Begins with a stream.
    pub(super) fn start(now: Duration) -> (Self, Vec<Effect>) {
        let connection = Self {
            stream: Stream::Opening,
            last_message: now,
            failed_streams: 0,
            failed_polls: 0,
            retry_at: None,
            poll_at: Some(now + FIRST_POLL),
            is_poll_running: false,
            last_poll_succeeded: false,
            failure: None,
            is_stopped: false,
        };
        (connection, vec![Effect::Open])
    }

    pub(super) fn shown(&self) -> Shown {
        match (&self.failure, self.stream) {
            (Some(reason), _) if self.is_stopped => Shown::Unauthorized(reason.clone()),
            (_, Stream::Live) => Shown::Live,
            _ if self.last_poll_succeeded => Shown::Polling,
            (Some(reason), _) => Shown::Offline(reason.clone()),
            (None, _) => Shown::Connecting,
        }
    }

    /// `random` is from 0 to 1.
    pub(super) fn step(&mut self, event: Event, now: Duration, random: f64) -> Vec<Effect> {
        if self.is_stopped {
            return Vec::new();
        }
        match event {
            Event::Data => self.on_data(now),
            Event::Activity => {
                self.last_message = now;
                Vec::new()
            }
            Event::Closed(failure) => self.on_closed(failure, now, random),
            Event::Polled => {
                self.is_poll_running = false;
                self.failed_polls = 0;
                let was_unreachable = !self.last_poll_succeeded;
                if self.stream == Stream::Live {
                    return Vec::new();
                }
                self.last_poll_succeeded = true;
                self.poll_at = Some(now + POLL_INTERVAL);
                // The server is back: the stream need not wait for the end of its pause.
                if was_unreachable && self.stream == Stream::Closed { self.open(now) } else { Vec::new() }
            }
            Event::PollFailed(failure) => self.on_poll_failed(failure, now, random),
            Event::Tick => self.on_tick(now, random),
        }
    }

    fn on_data(&mut self, now: Duration) -> Vec<Effect> {
        if self.stream == Stream::Closed {
            return Vec::new();
        }
        self.stream = Stream::Live;
        self.last_message = now;
        (self.failed_streams, self.failed_polls) = (0, 0);
        (self.retry_at, self.poll_at) = (None, None);
        self.last_poll_succeeded = false;
        self.failure = None;
        Vec::new()
    }

    fn on_closed(&mut self, failure: Failure, now: Duration, random: f64) -> Vec<Effect> {
        if self.stream == Stream::Closed {
            return Vec::new();
        }
        self.stream = Stream::Closed;
        self.failure = Some(failure.reason);
        if failure.is_unauthorized {
            self.is_stopped = true;
            return vec![Effect::Close];
        }
        self.retry_at = Some(now + backoff(self.failed_streams, random));
        self.failed_streams += 1;
        if self.poll_at.is_none() || self.failed_streams == 1 { self.poll() } else { Vec::new() }
    }

    fn on_poll_failed(&mut self, failure: Failure, now: Duration, random: f64) -> Vec<Effect> {
        self.is_poll_running = false;
        if self.stream == Stream::Live {
            return Vec::new();
        }
        self.last_poll_succeeded = false;
        self.failure = Some(failure.reason);
        if failure.is_unauthorized {
            self.is_stopped = true;
            return vec![Effect::Close];
        }
        self.poll_at = Some(now + backoff(self.failed_polls, random));
        self.failed_polls += 1;
        Vec::new()
    }

    fn on_tick(&mut self, now: Duration, random: f64) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.stream != Stream::Closed && now.saturating_sub(self.last_message) >= SILENCE {
            effects.push(Effect::Close);
            let reason = format!("no message for {} s", SILENCE.as_secs());
            effects.extend(self.on_closed(Failure { reason, is_unauthorized: false }, now, random));
        }
        if self.stream == Stream::Closed && self.retry_at.is_some_and(|at| now >= at) {
            effects.extend(self.open(now));
        }
        if self.poll_at.is_some_and(|at| now >= at) {
            effects.extend(self.poll());
        }
        effects
    }

    fn open(&mut self, now: Duration) -> Vec<Effect> {
        self.stream = Stream::Opening;
        self.last_message = now;
        self.retry_at = None;
        vec![Effect::Open]
    }

    fn poll(&mut self) -> Vec<Effect> {
        if self.is_poll_running {
            return Vec::new();
        }
        self.is_poll_running = true;
        self.poll_at = None;
        vec![Effect::Poll]
    }
}

/// From 1 s, doubling, to 20 s, plus up to half of that.
fn backoff(failures: u32, random: f64) -> Duration {
    let base = MIN_BACKOFF.saturating_mul(2_u32.saturating_pow(failures.min(10))).min(MAX_BACKOFF);
    base + base.mul_f64(random.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(reason: &str) -> Failure {
        Failure { reason: reason.into(), is_unauthorized: reason == "token" }
    }

    /// Runs events at seconds, and returns the effects of each and the state in the end.
    fn run(events: &[(u64, Event)]) -> (Vec<Vec<Effect>>, Shown) {
        let (mut connection, first) = Connection::start(Duration::ZERO);
        let mut all = vec![first];
        for (at, event) in events {
            all.push(connection.step(event.clone(), Duration::from_secs(*at), 0.0));
        }
        (all, connection.shown())
    }

    #[test]
    fn stream_that_delivers_is_live() {
        let (effects, shown) = run(&[(1, Event::Data), (2, Event::Tick), (30, Event::Activity), (60, Event::Tick)]);
        assert_eq!((effects, shown), (vec![vec![Effect::Open], vec![], vec![], vec![], vec![]], Shown::Live));
    }

    #[test]
    fn slow_stream_is_bridged_by_polling() {
        let (effects, shown) = run(&[(2, Event::Tick), (3, Event::Polled), (4, Event::Tick), (8, Event::Tick)]);
        let polls: Vec<_> = effects.iter().map(|effects| effects.contains(&Effect::Poll)).collect();
        assert_eq!((polls, shown), (vec![false, true, false, false, true], Shown::Polling));
        let (_, shown) = run(&[(2, Event::Tick), (3, Event::Polled), (4, Event::Data)]);
        assert_eq!(shown, Shown::Live);
    }

    #[test]
    fn closed_stream_polls_and_reconnects_with_backoff() {
        let (mut connection, _) = Connection::start(Duration::ZERO);
        let mut step = |at: u64, event| connection.step(event, Duration::from_secs(at), 0.0);
        step(1, Event::Data);
        assert_eq!(step(10, Event::Closed(failure("gone"))), [Effect::Poll]);
        step(10, Event::PollFailed(failure("refused")));
        assert_eq!(step(11, Event::Tick), [Effect::Open, Effect::Poll]);
        step(11, Event::PollFailed(failure("refused")));
        step(11, Event::Closed(failure("refused")));
        assert_eq!(step(12, Event::Tick), [], "the second pause is two seconds");
        assert_eq!(step(13, Event::Tick), [Effect::Open, Effect::Poll]);
        assert_eq!(connection.shown(), Shown::Offline("refused".into()));
    }

    #[test]
    fn server_that_answers_a_poll_again_is_reconnected_at_once() {
        let (mut connection, _) = Connection::start(Duration::ZERO);
        let mut step = |at: u64, event| connection.step(event, Duration::from_secs(at), 0.0);
        for round in 0..6 {
            step(round * 30, Event::Closed(failure("refused")));
            step(round * 30, Event::PollFailed(failure("refused")));
            step(round * 30 + 29, Event::Tick);
        }
        step(200, Event::Closed(failure("refused")));
        assert_eq!(step(201, Event::Polled), [Effect::Open]);
        assert_eq!(connection.shown(), Shown::Polling);
    }

    #[test]
    fn silent_stream_is_given_up() {
        let (effects, shown) = run(&[(1, Event::Data), (40, Event::Tick), (41, Event::Tick)]);
        assert_eq!(effects[2], []);
        assert_eq!(effects[3], [Effect::Close, Effect::Poll]);
        assert_eq!(shown, Shown::Offline("no message for 40 s".into()));
    }

    #[test]
    fn refused_token_stops_the_feed() {
        let (effects, shown) = run(&[(1, Event::Closed(failure("token"))), (60, Event::Tick), (61, Event::Polled)]);
        assert_eq!(effects[1..], [vec![Effect::Close], vec![], vec![]]);
        assert_eq!(shown, Shown::Unauthorized("token".into()));
    }

    #[test]
    fn pauses_double_up_to_a_limit() {
        for (failures, seconds) in [(0, 1), (1, 2), (4, 16), (5, 20), (100, 20)] {
            assert_eq!(backoff(failures, 0.0), Duration::from_secs(seconds));
        }
        assert_eq!(backoff(0, 1.0), Duration::from_millis(1_500));
    }
}
