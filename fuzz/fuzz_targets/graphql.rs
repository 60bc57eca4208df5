//! GraphQL requests: parameters, and a document within the cost limits.
#![no_main]

use std::sync::LazyLock;

use futures_util::FutureExt as _;
use libfuzzer_sys::fuzz_target;
use pipewatch::graphql::operation::RequestParams;
use pipewatch::graphql::{Limits, Validator};
use serde_json::{Value, json};

static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| Validator::new(Limits { depth: 16, complexity: 50_000 }));

fuzz_target!(|text: &str| {
    if let Ok(json) = serde_json::from_str(text) {
        check(json);
    }
    // The fuzzer rarely finds a document within JSON, so the first line is a document and the rest its variables.
    let (document, variables) = text.split_once("\n\n").unwrap_or((text, "null"));
    let variables = serde_json::from_str(variables).unwrap_or(Value::Null);
    check(json!({"query": document, "variables": variables}));
});

fn check(json: Value) {
    let Ok(parameters) = RequestParams::from_json(json) else { return };
    let Ok(operation) = VALIDATOR.parse(parameters) else { return };
    // The result does not matter, only that validation completes without waiting.
    drop(VALIDATOR.validate(&operation).now_or_never().expect("checked at once"));
}
