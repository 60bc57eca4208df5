use std::collections::BTreeMap;

use pipewatch::config::Flags;
use serde_json::{Value, json};

use crate::support::server::answer;
use crate::support::{Database, Server};

const FILE: &str = include_str!("../../examples/nigeria-events-quality.ndjson");
const COUNTS: [&str; 6] = [
    "articles_collected",
    "events_extracted",
    "geocoding_attempts",
    "geocoding_successes",
    "validation_attempts",
    "validation_passes",
];

on_both_databases! { complete_sample_file_adds_up }

/// Every row of the file is stored unchanged and returned by the history: the totals of each source match.
async fn complete_sample_file_adds_up(database: Database) {
    // The file is older than the default retention.
    let server = Server::start_with(database, Flags { retention: Some("3650d".into()), ..Flags::default() }).await;
    let lines: Vec<&str> = FILE.lines().collect();
    assert_eq!(lines.len(), 3_172);
    // In parts, because a busy machine does not store all of them in the time that a request may take.
    for part in lines.chunks(100) {
        let request = server.post("/api/v1/source-runs").header("content-type", "application/x-ndjson");
        let (status, body) = answer(request.body(part.join("\n"))).await;
        assert_eq!((status, body["results"].as_array().map(Vec::len)), (201, Some(part.len())));
    }

    let mut expect: BTreeMap<String, [u64; 7]> = BTreeMap::new();
    for line in FILE.lines() {
        let row: Value = serde_json::from_str(line).expect("a row");
        let totals = expect.entry(row["source"].as_str().expect("a source").to_owned()).or_default();
        for (total, name) in totals.iter_mut().zip(COUNTS) {
            *total += row[name].as_u64().expect(name);
        }
        totals[6] += 1;
    }
    assert_eq!(history(&server, "sourceRuns(", &COUNTS).await, expect);

    let quality = |totals: [u64; 7]| [totals[2], totals[3], totals[4], totals[5], totals[6]];
    let metrics = history(&server, "dataQualityMetrics(metricType: SOURCE_SPECIFIC, ", &COUNTS[2..]).await;
    for (source, totals) in expect {
        assert_eq!(metrics[&source][..5], quality(totals), "{source}");
    }
    let data = server.data("{ sources { lastRun } }", json!({})).await;
    assert!(data["sources"].as_array().expect("sources").iter().all(|source| source["lastRun"].is_null()), "backfill");
    server.stop().await;
}

/// The totals of each source over all pages of the history, and the number of rows.
async fn history(server: &Server, field: &str, counts: &[&str]) -> BTreeMap<String, [u64; 7]> {
    let (name, _) = field.split_once('(').expect("arguments");
    let camel = |name: &str| {
        let (first, second) = name.split_once('_').expect("two words");
        format!("{first}{}{}", second[..1].to_uppercase(), &second[1..])
    };
    let names: Vec<String> = counts.iter().map(|name| camel(name)).collect();
    let query = format!(
        "query($after: String) {{ {field}first: 500, after: $after) {{
            nodes {{ source {} }} pageInfo {{ hasNextPage endCursor }} }} }}",
        names.join(" ")
    );
    let mut totals: BTreeMap<String, [u64; 7]> = BTreeMap::new();
    let mut after = Value::Null;
    loop {
        let page = server.data(&query, json!({"after": after})).await[name].clone();
        for node in page["nodes"].as_array().expect("nodes") {
            let totals = totals.entry(node["source"].as_str().expect("a source").to_owned()).or_default();
            for (total, name) in totals.iter_mut().zip(&names) {
                *total += node[name].as_u64().expect(name);
            }
            totals[names.len()] += 1;
        }
        if page["pageInfo"]["hasNextPage"] == false {
            return totals;
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}
