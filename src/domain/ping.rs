//! Pings: what a URL that a job requests reports, in the terms of a source run.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde_json::{Map, Value, json};

/// The start of the ids of runs that a ping starts without `rid`. The next ping without `rid` ends such a run.
pub const UNNAMED_RUN: &str = "ping-";
/// The prefix of query parameters with counts.
const COUNT_PREFIX: &str = "counts.";
/// Bytes kept of a body. One more than is stored, so that the cut is marked.
pub const MAX_LOG: usize = 16 * 1024 + 4;

/// What a ping says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Success,
    Start,
    Failure,
    /// The exit code of the job; 0 is a success.
    Exit(u8),
    /// A line of the log, which changes no state.
    Log,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected start, fail, log, or an exit code from 0 to 255 after the source")]
pub struct UnknownSignal;

/// The query and the header of a ping.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PingParams {
    /// The id of the run, which pairs its start with its end.
    pub run_id: Option<String>,
    pub counts: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPing {
    #[error("unknown parameter {0:?}; expected rid, counts.NAME or access_token")]
    UnknownParameter(String),
    #[error("{name} is {value:?}; expected a whole number from 0 to 9007199254740991")]
    NotACount { name: String, value: String },
    #[error("{0} is given twice with different values; give each count once")]
    Contradiction(String),
    #[error("{0:?} is not a count; expected NAME=NUMBER, separated by commas, such as rows=5, bytes=10")]
    NotAPair(String),
    #[error("rid is given twice; give it once")]
    TwoRunIds,
}

impl FromStr for Signal {
    type Err = UnknownSignal;

    fn from_str(text: &str) -> Result<Self, UnknownSignal> {
        match text {
            "start" => Ok(Self::Start),
            "fail" => Ok(Self::Failure),
            "log" => Ok(Self::Log),
            digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map(Self::Exit).map_err(|_| UnknownSignal)
            }
            _ => Err(UnknownSignal),
        }
    }
}

impl PingParams {
    /// Reads the decoded parameters of a query, in order.
    ///
    /// # Errors
    /// The first parameter that is unknown or invalid.
    pub fn of_query(query: impl IntoIterator<Item = (String, String)>) -> Result<Self, InvalidPing> {
        let mut params = Self::default();
        for (name, value) in query {
            match name.as_str() {
                "rid" if params.run_id.is_some() => return Err(InvalidPing::TwoRunIds),
                "rid" => params.run_id = Some(value),
                // `create` is a parameter of Healthchecks; here a source is always created.
                "access_token" | "create" => {}
                _ => match name.strip_prefix(COUNT_PREFIX) {
                    Some(count) => params.count(count, &value)?,
                    None => return Err(InvalidPing::UnknownParameter(shown(&name))),
                },
            }
        }
        Ok(params)
    }

    /// Adds the counts of a header such as `rows=5, bytes=10`.
    ///
    /// # Errors
    /// The first pair that is invalid, or contradicts the query.
    pub fn add_header(&mut self, header: &str) -> Result<(), InvalidPing> {
        for pair in header.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(|| InvalidPing::NotAPair(shown(pair)))?;
            self.count(name.trim(), value.trim())?;
        }
        Ok(())
    }

    fn count(&mut self, name: &str, value: &str) -> Result<(), InvalidPing> {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let number: u64 = value
            .parse()
            .ok()
            .filter(|_| is_number)
            .ok_or_else(|| InvalidPing::NotACount { name: shown(name), value: shown(value) })?;
        match self.counts.insert(name.to_owned(), number) {
            Some(before) if before != number => Err(InvalidPing::Contradiction(shown(name))),
            _ => Ok(()),
        }
    }
}

/// The report of a ping as an item of `POST /api/v1/source-runs`; its pipeline is that of the request. `None` for a log
/// line, which reports nothing.
pub fn report(signal: Signal, source: &str, run_id: Option<&str>, params: &PingParams, log: &str) -> Option<Value> {
    let (outcome, error) = match signal {
        Signal::Log => return None,
        Signal::Start => ("running", None),
        Signal::Success | Signal::Exit(0) => ("ok", None),
        Signal::Failure => ("failed", None),
        Signal::Exit(code) => ("failed", Some(format!("exit code {code}"))),
    };
    let mut item = Map::new();
    item.insert("source".into(), source.into());
    item.insert("outcome".into(), outcome.into());
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            item.insert(name.into(), value);
        }
    };
    add("id", run_id.map(Value::from));
    add("error", error.map(Value::from));
    add("counts", (!params.counts.is_empty()).then(|| json!(params.counts)));
    // The start of a run has no log.
    add("log", (signal != Signal::Start && !log.is_empty()).then(|| log.into()));
    Some(item.into())
}

/// The text of a body: bytes that are not UTF-8, and U+0000, are replaced.
pub fn log_text(body: &[u8]) -> String {
    // The start may be in the middle of a character.
    let is_rest = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    let cut = if body.len() < MAX_LOG { 0 } else { body.iter().take(3).take_while(is_rest).count() };
    String::from_utf8_lossy(&body[cut..]).replace('\0', "\u{fffd}")
}

fn shown(text: &str) -> String {
    const MAX: usize = 60;
    if text.chars().count() <= MAX { text.to_owned() } else { text.chars().take(MAX).chain(['…']).collect() }
}

#[cfg(test)]
#[path = "ping_tests.rs"]
mod tests;
