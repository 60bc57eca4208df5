use chrono::TimeDelta;

use crate::domain::time::Timestamp;

/// The number of newest runs from which an interval is inferred.
pub const INFERENCE_RUNS: usize = 20;
/// With fewer runs nothing is inferred. Four of seven gaps must be unusual to distort the median, so that a few manual runs on
/// the first day do not define the interval.
const MIN_RUNS: usize = 8;
/// The interval in median gaps.
const FACTOR: i32 = 3;
/// The shortest inferred interval, since retries and bursts have gaps of seconds.
const MIN_INTERVAL: TimeDelta = TimeDelta::minutes(5);

/// The interval of a source's history: three times the median gap between the ends of its last
/// [`INFERENCE_RUNS`] runs, in any order. `None` with too few runs, or if all runs ended at
/// one instant.
pub fn infer_interval(finished_at: &[Timestamp]) -> Option<TimeDelta> {
    let mut ends = finished_at.to_vec();
    ends.sort_unstable();
    let newest = ends.get(ends.len().saturating_sub(INFERENCE_RUNS)..)?;
    if newest.len() < MIN_RUNS {
        return None;
    }
    let mut gaps: Vec<TimeDelta> = newest.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    let middle = gaps.len() / 2;
    let median = if gaps.len() % 2 == 1 { gaps[middle] } else { (gaps[middle - 1] + gaps[middle]) / 2 };
    (median > TimeDelta::zero()).then(|| (median * FACTOR).max(MIN_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_is_three_median_gaps_of_the_last_20_runs() {
        let hour = 60;
        for (minutes, expect, why) in [
            (vec![], None, "no run"),
            ((0..7).map(|run| run * hour).collect(), None, "7 runs"),
            ((0..8).map(|run| run * hour).collect(), Some(180), "8 runs, hourly"),
            ((0..8).rev().map(|run| run * hour).collect(), Some(180), "in any order"),
            (vec![0, 60, 120, 180, 1000, 1060, 1120, 1180], Some(180), "one long gap does not move the median"),
            ((0..9).map(|run| run * run * 10).collect(), Some(240), "even number of gaps: the mean of 70 and 90"),
            (
                (0..40).map(|run| if run < 20 { run } else { 20 + (run - 20) * hour }).collect(),
                Some(180),
                "the last 20",
            ),
            ((0..20).collect(), Some(5), "runs a minute apart are granted five"),
            (vec![7; 20], None, "all at once"),
        ] {
            let ends: Vec<Timestamp> =
                minutes.iter().map(|minutes| Timestamp::UNIX_EPOCH + TimeDelta::minutes(*minutes)).collect();
            assert_eq!(infer_interval(&ends).map(|period| period.num_minutes()), expect, "{why}");
        }
    }
}
