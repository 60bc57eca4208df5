use std::time::Duration;

/// After the first failure.
const FIRST: Duration = Duration::from_secs(5);
/// However often it failed.
const LONGEST: Duration = Duration::from_mins(15);

/// How long to wait after `attempts` failed ones: doubled from 5 seconds to 15 minutes, and of that between a half and
/// all, by `random` of 0 to 1, so that what failed together is not tried together.
///
/// "Equal jitter" of Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog (2015): unlike full jitter it
/// never tries a receiver again at once.
pub fn next_attempt(attempts: u32, random: f64) -> Duration {
    let doubled = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    let longest = FIRST.saturating_mul(doubled).min(LONGEST);
    let random = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
    longest / 2 + (longest / 2).mul_f64(random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_doubled_up_to_a_quarter_of_an_hour() {
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
            let wait = next_attempt(attempts, random).as_secs_f64();
            assert!((wait - expect).abs() < 1e-6, "attempt {attempts}, {random}: {wait} instead of {expect}");
        }
    }
}
