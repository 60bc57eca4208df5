//! Replays source runs from a file with current timestamps.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Map, Value};

use crate::domain::time::{Timestamp, parse_rfc3339, rfc3339};

/// The runs of a file, in order, grouped by timestamp.
#[derive(Debug, Clone)]
pub struct Recording {
    groups: Vec<(Timestamp, Vec<Map<String, Value>>)>,
}

/// Runs with the same timestamp.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The time from the beginning of the replay.
    pub due: Duration,
    timestamp: Timestamp,
    runs: Vec<Map<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct InvalidLine {
    line: usize,
    message: String,
}

impl Recording {
    /// Parses NDJSON.
    ///
    /// # Errors
    /// If a line is not an object with a timestamp, or is older than the previous one.
    pub fn parse(ndjson: &str) -> Result<Self, InvalidLine> {
        let mut groups: Vec<(Timestamp, Vec<Map<String, Value>>)> = Vec::new();
        for (index, text) in ndjson.lines().enumerate() {
            if text.trim().is_empty() {
                continue;
            }
            let bad = |message: String| InvalidLine { line: index + 1, message };
            let run: Map<String, Value> =
                serde_json::from_str(text).map_err(|error| bad(format!("expected a JSON object: {error}")))?;
            let timestamp = run
                .get("timestamp")
                .and_then(Value::as_str)
                .and_then(parse_rfc3339)
                .ok_or_else(|| bad("expected a timestamp such as 2026-01-28T15:30:45Z".into()))?;
            match groups.last_mut() {
                Some((last, runs)) if *last == timestamp => runs.push(run),
                Some((last, _)) if *last > timestamp => {
                    return Err(bad(format!(
                        "{} follows {}; expected ascending timestamps",
                        rfc3339(timestamp),
                        rfc3339(*last)
                    )));
                }
                _ => groups.push((timestamp, vec![run])),
            }
        }
        Ok(Self { groups })
    }

    pub fn runs(&self) -> usize {
        self.groups.iter().map(|(_, runs)| runs.len()).sum()
    }

    /// The runs with their due times if a day of the file takes `day`.
    #[allow(clippy::cast_precision_loss, reason = "seconds of a few years")]
    pub fn batches(&self, day: Duration) -> impl Iterator<Item = Batch> + '_ {
        let first = self.groups.first().map(|(timestamp, _)| *timestamp);
        self.groups.iter().map(move |(timestamp, runs)| {
            let days = (*timestamp - first.unwrap_or(*timestamp)).num_seconds() as f64
                / TimeDelta::days(1).num_seconds() as f64;
            Batch { due: day.mul_f64(days), timestamp: *timestamp, runs: runs.clone() }
        })
    }

    /// The duration from the first run to one day after the last.
    pub fn length(&self, day: Duration) -> Duration {
        self.batches(day).last().map_or(day, |batch| batch.due + day)
    }
}

impl Batch {
    /// The items of a report for runs that end at `now`. Their other times keep their distance from the end.
    pub fn at(self, now: Timestamp) -> Vec<Value> {
        let shift = now - self.timestamp;
        let retimed = |mut run: Map<String, Value>| {
            move_times(&mut run, shift);
            if let Some(Value::Array(steps)) = run.get_mut("steps") {
                for step in steps.iter_mut().filter_map(Value::as_object_mut) {
                    move_times(step, shift);
                }
            }
            run.insert("timestamp".into(), rfc3339(now).into());
            Value::Object(run)
        };
        self.runs.into_iter().map(retimed).collect()
    }
}

/// Moves the start and the end of a run or a step. Other values stay unchanged for the server to reject.
fn move_times(fields: &mut Map<String, Value>, shift: TimeDelta) {
    for name in ["started_at", "ended_at"] {
        let time = fields.get(name).and_then(Value::as_str).and_then(parse_rfc3339);
        if let Some(moved) = time.and_then(|time| time.checked_add_signed(shift)) {
            fields.insert(name.into(), rfc3339(moved).into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replay_takes_the_given_time_per_day() {
        let recording = Recording::parse(concat!(
            "{\"timestamp\": \"2020-06-01T18:00:00Z\", \"source\": \"a\"}\n",
            "{\"timestamp\": \"2020-06-01T18:00:00Z\", \"source\": \"b\"}\n\n",
            "{\"timestamp\": \"2020-06-03T06:00:00Z\", \"source\": \"a\"}\n",
        ))
        .expect("good lines");
        let batches: Vec<Batch> = recording.batches(Duration::from_secs(2)).collect();
        let due: Vec<(u128, usize)> = batches.iter().map(|batch| (batch.due.as_millis(), batch.runs.len())).collect();
        assert_eq!(due, [(0, 2), (3_000, 1)]);
        assert_eq!((recording.runs(), recording.length(Duration::from_secs(2))), (3, Duration::from_secs(5)));
        let now = parse_rfc3339("2026-01-28T15:30:45Z").expect("a time");
        assert_eq!(batches[1].clone().at(now)[0]["timestamp"], "2026-01-28T15:30:45Z");
    }

    #[test]
    fn times_of_a_run_keep_their_distance_from_its_end() {
        let recording = Recording::parse(
            "{\"timestamp\": \"2020-06-01T18:00:00Z\", \"started_at\": \"2020-06-01T17:59:00Z\", \"steps\": [{\"name\": \"load\", \
             \"started_at\": \"2020-06-01T17:59:30Z\", \"ended_at\": \"soon\"}]}",
        )
        .expect("a good line");
        let batch = recording.batches(Duration::from_secs(2)).next().expect("a batch");
        let run = &batch.at(parse_rfc3339("2026-01-28T15:30:45Z").expect("a time"))[0];
        assert_eq!(run["started_at"], "2026-01-28T15:29:45Z");
        assert_eq!(
            (&run["steps"][0]["started_at"], &run["steps"][0]["ended_at"]),
            (&"2026-01-28T15:30:15Z".into(), &"soon".into())
        );
    }

    #[test]
    fn invalid_line_is_named() {
        for (ndjson, line) in [
            ("nope", 1),
            ("\n[]", 2),
            ("{}", 1),
            ("{\"timestamp\": \"2020-06-01\"}", 1),
            ("{\"timestamp\": \"2020-06-02T00:00:00Z\"}\n{\"timestamp\": \"2020-06-01T00:00:00Z\"}", 2),
        ] {
            assert_eq!(Recording::parse(ndjson).map(drop).expect_err(ndjson).line, line, "{ndjson}");
        }
    }
}
