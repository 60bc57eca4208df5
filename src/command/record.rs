//! `pipewatch record`: reports a run from flags, or runs from standard input.

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use pipewatch::domain::key::{PipelineKey, SourceKey};
use serde_json::Value;

use crate::command::exit;
use crate::command::report::{ResultFields, RunFields, SOURCE_RUNS, new_id, now};
use crate::command::spool::Entry;
use crate::command::submit::{SubmitFlags, submit_and_print};
use crate::fail_with;

/// The part of a log that is sent; the server keeps less.
const MAX_LOG: u64 = 64 * 1024;

#[derive(Args)]
pub(crate) struct Arguments {
    /// Source of the run; without it, reports are read from standard input: a JSON object, an array, or NDJSON
    #[arg(short, long, value_name = "NAME")]
    source: Option<SourceKey>,
    #[command(flatten)]
    fields: RunFields,
    #[command(flatten)]
    results: ResultFields,
    /// Do not use the spool: fail if the server cannot be reached
    #[arg(long)]
    no_spool: bool,
    #[command(flatten)]
    submit: SubmitFlags,
}

pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    let reports = match &arguments.source {
        Some(source) => from_flags(&arguments, source).map(|report| vec![report]),
        None => from_input(&arguments),
    };
    match reports {
        Ok(reports) => {
            let entries: Vec<_> = reports.into_iter().map(|report| Entry::new(SOURCE_RUNS, report)).collect();
            submit_and_print(&arguments.submit, &entries, !arguments.no_spool).await
        }
        Err((status, message)) => fail_with(status, &message),
    }
}

fn from_flags(arguments: &Arguments, source: &SourceKey) -> Result<Value, (u8, String)> {
    let timestamp = arguments.results.timestamp.clone().unwrap_or_else(now);
    let mut report = arguments.fields.report(source, &arguments.fields.id_or_new(), &timestamp);
    let log = arguments.results.log.as_deref().map(read_end).transpose();
    arguments.results.add_to(&mut report, log.map_err(|message| (exit::NO_INPUT, message))?);
    Ok(report.into())
}

/// The end of a file, as text.
fn read_end(path: &Path) -> Result<String, String> {
    use std::io::{Seek as _, SeekFrom};
    let read = || {
        let mut file = std::fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(MAX_LOG)))?;
        let mut bytes = Vec::new();
        file.take(MAX_LOG).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}"))
    };
    read().map_err(|error: std::io::Error| format!("{}: {error}", path.display()))
}

fn from_input(arguments: &Arguments) -> Result<Vec<Value>, (u8, String)> {
    let fields = &arguments.fields;
    let has_fields = fields.id.is_some() || fields.url.is_some() || !fields.tags.is_empty();
    if has_fields || fields.attempt.is_some() || fields.parent.is_some() || !arguments.results.is_empty() {
        return Err((
            exit::USAGE,
            "--source is missing; without it, the whole report is read from standard input".into(),
        ));
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.map_err(|error| (exit::NO_INPUT, format!("cannot read standard input: {error}")))?;
    let reports = parse(&text).and_then(|reports| complete(reports, &fields.pipeline));
    reports.map_err(|message| (exit::REFUSED, format!("standard input: {message}")))
}

/// One JSON object, an array of objects, or NDJSON.
fn parse(text: &str) -> Result<Vec<Value>, String> {
    let mut reports = Vec::new();
    for value in serde_json::Deserializer::from_str(text).into_iter() {
        match value.map_err(|error| format!("not valid JSON: {error}"))? {
            Value::Array(items) => reports.extend(items),
            value => reports.push(value),
        }
    }
    if reports.is_empty() { Err("no report; expected a JSON object, an array, or NDJSON".into()) } else { Ok(reports) }
}

/// Adds what a report needs to be stored once, with the right time, however late it is delivered.
fn complete(reports: Vec<Value>, pipeline: &PipelineKey) -> Result<Vec<Value>, String> {
    let complete = |(index, report): (usize, Value)| match report {
        Value::Object(mut fields) => {
            for name in ["id", "pipeline", "timestamp"] {
                if fields.get(name).is_none_or(Value::is_null) {
                    let default = match name {
                        "id" => new_id(),
                        "pipeline" => pipeline.to_string(),
                        _ => now(),
                    };
                    fields.insert(name.to_owned(), default.into());
                }
            }
            Ok(Value::Object(fields))
        }
        _ => Err(format!("report {} is not a JSON object", index + 1)),
    };
    reports.into_iter().enumerate().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_an_object_an_array_or_lines() {
        for (text, expect) in [
            ("{\"source\":\"a\"}", Some(1)),
            ("[{},{}]", Some(2)),
            ("{}\n{}\n\n{}\n", Some(3)),
            ("{\n  \"source\": \"a\"\n}\n", Some(1)),
            ("", None),
            ("[]", None),
            ("{", None),
        ] {
            assert_eq!(parse(text).ok().map(|reports| reports.len()), expect, "{text:?}");
        }
    }

    #[test]
    fn reports_get_an_id_a_pipeline_and_a_timestamp() {
        let reports = parse("{\"id\":\"x\",\"pipeline\":\"b\",\"timestamp\":\"t\"} {\"id\":null}").expect("reports");
        let reports = complete(reports, &PipelineKey::default()).expect("objects");
        assert_eq!(reports[0], serde_json::json!({"id": "x", "pipeline": "b", "timestamp": "t"}));
        assert!(reports[1]["id"].as_str().is_some_and(|id| id.len() == 36));
        assert_eq!(reports[1]["pipeline"], "default");
        assert!(reports[1]["timestamp"].is_string());
        assert!(complete(vec![1.into()], &PipelineKey::default()).is_err());
    }
}
