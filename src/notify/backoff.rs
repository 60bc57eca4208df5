use std::time::Duration;

const FIRST: Duration = Duration::from_secs(5);
const MAX: Duration = Duration::from_mins(15);

/// The delay after `attempts` failed attempts: 5 seconds doubled up to 15 minutes, of which `random` (0 to 1) selects
/// between half and all, so that deliveries that failed together are not retried together.
///
/// "Equal jitter" of Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog (2015): unlike full
/// jitter it never retries immediately.
pub(super) fn delay(attempts: u32, random: f64) -> Duration {
    let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = FIRST.saturating_mul(doubled).min(MAX);
    let random = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
    longest / 2 + (longest / 2).mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_up_to_15_minutes() {
        for (attempts, random, expect) in [
            (0, 1.0, 5.0),
            (1, 0.0, 2.5),
            (1, 1.0, 5.0),
            (2, 1.0, 10.0),
            (3, 0.5, 15.0),
            (8, 1.0, 640.0),
            (9, 1.0, 900.0),
            (9, 0.0, 450.0),
            (32, 1.0, 900.0),
            (33, 1.0, 900.0),
            (u32::MAX, 7.0, 900.0),
            (1, f64::NAN, 2.5),
            (1, -1.0, 2.5),
        ] {
            let wait = delay(attempts, random).as_secs_f64();
            assert!((wait - expect).abs() < 1e-6, "attempt {attempts}, {random}: {wait} instead of {expect}");
        }
    }
}
