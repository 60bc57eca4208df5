//! Counts failed authentications, slows them per address, and logs them at a limited rate. A valid token is never
//! delayed, whatever others behind the same address send.

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::counter;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::domain::viewer::Fingerprint;

/// Failures of an address that are answered without a delay: ten, then ten per minute.
const PROMPT: Rate = Rate { burst: 10, interval: Duration::from_secs(6) };
/// Log lines: ten, then one per second.
const LINES: Rate = Rate { burst: 10, interval: Duration::from_secs(1) };
/// The delay of a slowed response.
const DELAY: Duration = Duration::from_secs(1);
/// Delayed responses of all addresses. They hold their connections; further ones are refused without a delay.
const MAX_DELAYED: usize = 256;
/// Buckets of failures. Addresses share them by a keyed hash, so that memory is bounded without evicting any; an
/// address that shares one with an attacker waits for wrong tokens only.
const BUCKETS: usize = 4_096;

/// How the wrong token was sent: the label of the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub(super) enum Means {
    Header,
    Query,
    ConnectionInit,
}

/// The consequence of a failure for its client.
#[derive(Debug)]
pub(super) enum Penalty {
    /// The response is sent without a delay.
    None,
    /// The response is delayed.
    Delay(OwnedSemaphorePermit),
    /// Too many responses are delayed already: the request is refused.
    Refuse,
}

/// Counts and slows failed authentications.
#[derive(Debug)]
pub struct AuthFailures {
    begun: Instant,
    hasher: RandomState,
    // A synchronous mutex: held for look-ups only.
    state: Mutex<State>,
    delayed: Arc<Semaphore>,
}

#[derive(Debug)]
struct State {
    buckets: Box<[Bucket]>,
    lines: Bucket,
    unlogged: u64,
}

impl Default for AuthFailures {
    fn default() -> Self {
        let state = State { buckets: vec![Bucket::default(); BUCKETS].into(), lines: Bucket::default(), unlogged: 0 };
        Self {
            begun: Instant::now(),
            hasher: RandomState::new(),
            state: Mutex::new(state),
            delayed: Arc::new(Semaphore::new(MAX_DELAYED)),
        }
    }
}

impl AuthFailures {
    /// Records a wrong token from this address.
    pub(super) fn record(&self, address: IpAddr, token: Fingerprint, means: Means) -> Penalty {
        counter!("pipewatch_authentication_failures_total", "means" => <&str>::from(means)).increment(1);
        let now = self.begun.elapsed();
        let bucket = usize::try_from(self.hasher.hash_one(network(address)) % BUCKETS as u64).unwrap_or(0);
        let (is_prompt, logged) = {
            let mut state = self.state.lock();
            let is_prompt = state.buckets[bucket].take(now, PROMPT);
            let logged = if state.lines.take(now, LINES) {
                Some(std::mem::take(&mut state.unlogged))
            } else {
                state.unlogged += 1;
                None
            };
            (is_prompt, logged)
        };
        if let Some(unlogged) = logged {
            let means: &str = means.into();
            tracing::warn!(
                target: "pipewatch::audit", who = %token, from = %address, means, unlogged, "a credential was refused"
            );
        }
        if is_prompt {
            return Penalty::None;
        }
        Arc::clone(&self.delayed).try_acquire_owned().map_or(Penalty::Refuse, Penalty::Delay)
    }
}

impl Penalty {
    /// Waits for the delay. False if the request is refused instead.
    pub(super) async fn wait(self) -> bool {
        match self {
            Self::None => true,
            Self::Delay(permit) => {
                tokio::time::sleep(DELAY).await;
                drop(permit);
                true
            }
            Self::Refuse => false,
        }
    }
}

/// The network of a client: an IPv4 address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> [u8; 8] {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => *address.octets().first_chunk().unwrap_or(&[0; 8]),
    }
}

/// A burst, then one per interval.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    interval: Duration,
}

/// A token bucket, stored as the time at which it is full again.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes a token out of the bucket, if it has one.
    fn take(&mut self, now: Duration, rate: Rate) -> bool {
        let full_at = self.full_at.max(now);
        let has_one = full_at.saturating_sub(now) <= rate.interval * (rate.burst - 1);
        if has_one {
            self.full_at = full_at + rate.interval;
        }
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_holds_a_burst_and_refills() {
        let rate = Rate { burst: 3, interval: Duration::from_secs(2) };
        let mut bucket = Bucket::default();
        for (second, expect) in [
            (100, true),
            (100, true),
            (100, true),
            (100, false),
            (101, false),
            (102, true),
            (102, false),
            (103, false),
            (1_000, true),
            (1_000, true),
            (1_000, true),
            (1_000, false),
        ] {
            assert_eq!(bucket.take(Duration::from_secs(second), rate), expect, "{second}");
        }
    }

    #[test]
    fn addresses_are_slowed_apart_and_few_answers_wait() {
        let failures = AuthFailures::default();
        let token = Fingerprint::of("wrong");
        let fail = |address: &str| failures.record(address.parse().expect("an address"), token, Means::Header);
        for _ in 0..10 {
            assert!(matches!(fail("203.0.113.7"), Penalty::None));
        }
        let mut waiting = Vec::new();
        for _ in 0..MAX_DELAYED {
            let penalty = fail("203.0.113.7");
            assert!(matches!(penalty, Penalty::Delay(_)));
            waiting.push(penalty);
        }
        assert!(matches!(fail("203.0.113.7"), Penalty::Refuse));
        drop(waiting);
        assert!(matches!(fail("::ffff:203.0.113.7"), Penalty::Delay(_)), "the same address");
        // It would have to share one of 4,096 buckets.
        let others = (0..10).filter(|last| matches!(fail(&format!("198.51.100.{last}")), Penalty::None)).count();
        assert!(others >= 8, "{others} of 10");
    }

    #[test]
    fn clients_of_one_network_are_one() {
        let network = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("203.0.113.7"), network("203.0.113.8"));
    }
}
