use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use clap::Args;
use pipewatch::domain::anomaly::{Bucket, Budget, HISTORY, Hour, Series, Subject, evaluate};
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::time::Timestamp;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution as _, Poisson};

use crate::sample::Sample;
use crate::{Result, progress, thousands};

/// Evaluations before anything is measured.
const WARM_UP: u32 = 5;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Series that are evaluated together, half of them checks and half volumes
    #[arg(long, default_value_t = 1_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    series: u32,
    /// Measured evaluations
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    evaluations: u32,
}

pub(crate) fn measure(options: &Options) -> Result<String> {
    progress("anomalies: generating");
    let now = Timestamp::UNIX_EPOCH + TimeDelta::weeks(2_900) + TimeDelta::minutes(5);
    let last_closed = Hour::last_closed(now);
    let mut series = generated(options.series, last_closed)?;
    let alpha = Budget::default().alpha_of(&series, last_closed);

    progress("anomalies: measuring");
    for series in &mut series {
        series.evaluated_to(last_closed.minus(1));
    }
    let (due, findings) = sample(options, &series, now, alpha)?;
    for series in &mut series {
        series.evaluated_to(last_closed);
    }
    let (idle, none) = sample(options, &series, now, alpha)?;
    if none > 0 {
        return Err("series that were evaluated were evaluated again".into());
    }

    let mut table = format!(
        "The evaluation of anomalies ({} series of {} hours, half of them checks and half volumes; α* {alpha:.1e}; {} \
         evaluations; target: ≤ 50 ms with an hour of each series due):\n\n\
         | due | findings | median | p99 |\n\
         | --- | ---: | ---: | ---: |",
        thousands(f64::from(options.series)),
        HISTORY.num_hours(),
        options.evaluations,
    );
    for (what, findings, times) in [("one hour of each series", findings, due), ("nothing", none, idle)] {
        write!(table, "\n| {what} | {findings} | {:.3} ms | {:.3} ms |", times.median(), times.p99())?;
    }
    Ok(table)
}

/// The times of many evaluations, and how much each of them found.
fn sample(options: &Options, series: &[Series], now: Timestamp, alpha: f64) -> Result<(Sample, usize)> {
    let mut findings = 0;
    let mut times: Vec<Duration> = Vec::new();
    for call in 0..WARM_UP + options.evaluations {
        let begin = Instant::now();
        let found = evaluate(black_box(series), now, alpha);
        if call >= WARM_UP {
            times.push(begin.elapsed());
        }
        findings = black_box(found).len();
    }
    Ok((Sample::of_times(times).ok_or("no evaluation was measured")?, findings))
}

/// Series with a run every hour, busier by day than by night, from a fixed seed.
fn generated(count: u32, last: Hour) -> Result<Vec<Series>> {
    let mut rng = StdRng::seed_from_u64(4);
    let hours = i32::try_from(HISTORY.num_hours())?;
    (0..count)
        .map(|index| {
            let mean = 5.0 + f64::from(index % 50);
            let mut buckets = Vec::new();
            for back in (0..hours).rev() {
                let by_day = 1.0 + 0.6 * (f64::from(back % 24) / 24.0 * std::f64::consts::TAU).sin();
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
                let total = Poisson::new(mean * by_day)?.sample(&mut rng) as u64;
                let passes = Binomial::new(total, 0.85)?.sample(&mut rng);
                buckets.push(Bucket { hour: last.minus(back), runs: 1, total, passes });
            }
            let subject = match index % 4 {
                0 => Subject::Articles,
                1 => Subject::Events,
                2 => Subject::Check("geocoding".into()),
                _ => Subject::Check("validation".into()),
            };
            let source = format!("source-{}", index / 4).parse()?;
            Ok(Series::new(PipelineKey::default(), Some(source), subject, buckets, None))
        })
        .collect()
}
