use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::series::{Bucket, Hour, Series, Subject};
use super::{Anomaly, AnomalyType, Finding, Method, Verdict, budget, dead_feed, rates, sentence, volumes};
use crate::domain::key::SourceKey;
use crate::domain::time::Timestamp;

/// Tests the hours that are closed at `now` and not evaluated yet, each against the hours before it.
///
/// `alpha` comes from [`Budget::alpha_of`](super::Budget::alpha_of). The caller stores the findings and then marks the series
/// as evaluated up to [`Hour::last_closed`]. Finding the same anomaly again gives the same id.
pub fn evaluate(series: &[Series], now: Timestamp, alpha: f64) -> Vec<Finding> {
    let last_closed = Hour::last_closed(now);
    series.iter().flat_map(|series| evaluate_series(series, last_closed, alpha)).collect()
}

fn evaluate_series(series: &Series, last_closed: Hour, alpha: f64) -> Vec<Finding> {
    let due = series.due(last_closed);
    if due.is_empty() {
        return Vec::new();
    }
    let buckets = series.buckets();
    let mut found: Vec<(usize, Verdict)> = if series.subject().is_volume() {
        let dead = due.clone().filter_map(|place| Some((place, dead_feed::detect(buckets, place, alpha)?)));
        let dead: Vec<_> = dead.collect();
        volumes::detect(buckets, due, alpha).into_iter().chain(dead).collect()
    } else {
        due.flat_map(|place| rates::detect(buckets, place, alpha).map(move |verdict| (place, verdict))).collect()
    };
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().filter_map(|(place, verdict)| finding(series, &buckets[place], &verdict, alpha)).collect()
}

fn finding(series: &Series, bucket: &Bucket, verdict: &Verdict, alpha: f64) -> Option<Finding> {
    let severity = budget::severity(verdict.p_value, alpha)?;
    let anomaly = Anomaly {
        id: id(series, verdict.method, bucket.hour),
        kind: if series.subject().is_volume() { AnomalyType::Volume } else { AnomalyType::Quality },
        severity,
        description: sentence::whole(series, verdict),
        timestamp: bucket.hour.start(),
        source: series.source().cloned(),
        check: series.subject().check().map(str::to_owned),
        subject: series.subject().clone(),
        method: verdict.method,
        observed: verdict.observed,
        expected: verdict.expected,
        lower: verdict.lower,
        upper: verdict.upper,
        sample_size: verdict.sample_size,
        p_value: verdict.p_value,
        alpha,
    };
    Some(Finding { pipeline: series.pipeline().clone(), anomaly })
}

/// Depends only on the hour, the series and the method.
fn id(series: &Series, method: Method, hour: Hour) -> String {
    let (kind, name): (&str, String) = match series.subject() {
        Subject::Check(name) => ("check", name.to_string()),
        volume => ("volume", volume.to_string()),
    };
    let mut digest = Sha256::new();
    // Each part is preceded by its length. A series of a whole pipeline has no source, and so one part fewer.
    let parts = [Some(series.pipeline().as_str()), series.source().map(SourceKey::as_str), Some(kind), Some(&name)];
    for part in parts.into_iter().flatten().chain([method.as_str()]) {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(hour.start().timestamp().to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.finalize()[..16]);
    Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
