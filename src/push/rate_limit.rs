use std::time::{Duration, Instant};

/// How many messages a connection may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRateLimit {
    /// Messages a second.
    pub per_second: u32,
    /// Messages that an idle connection may send at once.
    pub burst: u32,
}

/// Counts a connection's messages, as a token bucket without a timer.
#[derive(Debug)]
pub struct MessageRateLimiter {
    limit: MessageRateLimit,
    /// When the bucket will be full again.
    full_at: Option<Instant>,
}

impl MessageRateLimiter {
    /// The limiter of a new connection.
    pub fn new(limit: MessageRateLimit) -> Self {
        Self { limit, full_at: None }
    }

    /// The limit.
    pub fn limit(&self) -> MessageRateLimit {
        self.limit
    }

    /// Counts a message. Returns whether it is within the limit.
    pub fn allows(&mut self, now: Instant) -> bool {
        let each = Duration::from_secs(1) / self.limit.per_second.max(1);
        let full_at = self.full_at.map_or(now, |at| at.max(now)) + each;
        let is_allowed = full_at.saturating_duration_since(now) <= each * self.limit.burst.max(1);
        if is_allowed {
            self.full_at = Some(full_at);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn burst_is_allowed_and_then_the_rate() {
        let mut rate = MessageRateLimiter::new(MessageRateLimit { per_second: 10, burst: 5 });
        let begin = Instant::now();
        let mut allowed = |millis: u64, messages: usize| {
            let now = begin + Duration::from_millis(millis);
            (0..messages).filter(|_| rate.allows(now)).count()
        };
        for (millis, messages, expect) in
            [(0, 100, 5), (0, 1, 0), (100, 3, 1), (350, 9, 2), (10_000, 100, 5), (10_500, 4, 4), (10_600, 4, 2)]
        {
            assert_eq!(allowed(millis, messages), expect, "{messages} messages after {millis} ms");
        }
    }
}
