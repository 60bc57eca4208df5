//! Bad input is reported as the client's error, and never as an unavailable database.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Database, Server, ago, in_time, now, run, with};

const INTROSPECTION: &str = "
    query { __schema {
        queryType { fields { ...Field } } mutationType { fields { ...Field } }
        types { name kind enumValues { name } inputFields { name type { ...Type } } }
    } }
    fragment Field on __Field { name args { name type { ...Type } } type { ...Type } }
    fragment Type on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

on_both_databases!(
    every_argument_is_validated_before_the_database,
    subscriptions_check_their_arguments,
    every_report_field_is_validated_before_the_database,
    rest_routes_validate_their_parameters,
    texts_that_cannot_be_stored_are_refused,
    batch_may_have_ten_thousand_names
);

fn texts() -> Vec<Value> {
    let long = "x".repeat(30_000);
    let texts = [
        "",
        " ",
        "\0",
        "a\0b",
        "a\u{1}b",
        "ä\u{feff}",
        "\u{10ffff}",
        "'; DROP TABLE pipelines; --",
        "%00",
        "\\",
        "a=\0",
        "\0=a",
    ];
    texts.into_iter().chain([long.as_str()]).map(Value::from).collect()
}

fn instants() -> Vec<Value> {
    [
        "0000-01-01T00:00:00Z",
        "0000-01-01T00:00:00+23:59",
        "0001-01-01T00:00:00Z",
        "1969-12-31T23:59:59.999999999Z",
        "2016-12-31T23:59:60Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "+262142-12-31T23:59:59Z",
        "-262143-01-01T00:00:00Z",
        "294277-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "infinity",
        "-infinity",
        "epoch",
        "\0",
    ]
    .into_iter()
    .map(Value::from)
    .collect()
}

fn cursors() -> Vec<Value> {
    let ends = [
        i64::MIN,
        -62_167_219_200_000_001,
        -62_167_219_200_000_000,
        0,
        253_402_300_799_999_999,
        253_402_300_800_000_000,
        i64::MAX,
    ];
    let cursor = |at: i64| URL_SAFE_NO_PAD.encode([&at.to_be_bytes()[..], &[0xff; 16]].concat());
    ends.into_iter().map(cursor).map(Value::from).chain(texts()).collect()
}

fn numbers() -> Vec<Value> {
    vec![json!(i32::MIN), json!(-1), json!(0), json!(1), json!(501), json!(i32::MAX)]
}

/// The types of the schema, from which every argument gets a valid value and invalid ones.
struct Schema {
    types: Vec<Value>,
}

impl Schema {
    fn of(&self, name: &Value) -> &Value {
        self.types.iter().find(|it| it["name"] == *name).expect("a type of the schema")
    }

    fn good(&self, name: &str, of: &Value) -> Value {
        match (of["kind"].as_str(), of["name"].as_str(), name) {
            (Some("NON_NULL"), ..) => self.good(name, &of["ofType"]),
            (Some("LIST"), ..) => json!([self.good(name, &of["ofType"])]),
            (Some("ENUM"), ..) => {
                let values = &self.of(&of["name"])["enumValues"];
                values.as_array().expect("values").last().expect("a value")["name"].clone()
            }
            (Some("INPUT_OBJECT"), ..) => {
                let fields = self.of(&of["name"])["inputFields"].as_array().expect("fields");
                let field = |field: &Value| {
                    let name = field["name"].as_str().expect("a name").to_owned();
                    let value = self.good(&name, &field["type"]);
                    (name, value)
                };
                Value::Object(fields.iter().map(field).collect())
            }
            (_, Some("DateTime"), "from" | "startedAt") => json!("2026-01-01T00:00:00Z"),
            (_, Some("DateTime"), "until") => json!("2999-01-01T00:00:00Z"),
            (_, Some("DateTime"), _) => json!("2026-01-02T00:00:00Z"),
            (_, Some("Int" | "Count"), _) => json!(1),
            (_, Some("Float"), "duration") => json!(86_400),
            (_, Some("String"), "url") => json!("https://example.com/log"),
            (_, Some("Float"), _) => json!(100.0),
            (_, Some("Boolean"), _) => json!(true),
            (_, Some("ID"), "since") => json!("0"),
            (_, Some("ID"), _) => json!("00000000-0000-4000-8000-000000000000"),
            (_, Some("String"), "pipeline") => json!("default"),
            (_, Some("String"), "check") => json!("geocoding"),
            (_, Some("String"), "label") => json!("team=maps"),
            (_, Some("String"), "expectedEvery" | "grace") => json!("1h"),
            (_, Some("String"), "after") => Value::Null,
            (_, Some("String"), _) => json!("a"),
            _ => panic!("{name} has a type without a valid value: {of}"),
        }
    }

    /// Returns the valid value with one part of it invalid, for each way in which it can be.
    fn bad(&self, name: &str, of: &Value) -> Vec<Value> {
        match (of["kind"].as_str(), of["name"].as_str()) {
            (Some("NON_NULL"), _) => self.bad(name, &of["ofType"]),
            (Some("LIST"), _) => {
                let many =
                    vec![self.good(name, &of["ofType"]); 200_000 / self.good(name, &of["ofType"]).to_string().len()];
                let bad = self.bad(name, &of["ofType"]).into_iter().map(|bad| json!([bad]));
                bad.chain([json!([]), Value::Array(many)]).collect()
            }
            (Some("INPUT_OBJECT"), _) => {
                let good = self.good(name, of);
                let fields = self.of(&of["name"])["inputFields"].as_array().expect("fields");
                let bad = |field: &Value| {
                    let name = field["name"].as_str().expect("a name").to_owned();
                    self.bad(&name, &field["type"])
                        .into_iter()
                        .map(move |value| (name.clone(), value))
                        .collect::<Vec<_>>()
                };
                fields.iter().flat_map(bad).map(|(name, value)| with(good.clone(), json!({name: value}))).collect()
            }
            (_, Some("DateTime")) => instants(),
            (_, Some("Int" | "Count")) => numbers(),
            (_, Some("ID")) => {
                let ids = ["-1", "9223372036854775807", "9223372036854775808", "ffffffff-ffff-ffff-ffff-ffffffffffff"];
                ids.into_iter().map(Value::from).chain(texts()).collect()
            }
            (_, Some("String")) if name == "after" => cursors(),
            (_, Some("String")) => texts(),
            _ => vec![],
        }
    }
}

/// A type in GraphQL syntax.
fn written(of: &Value) -> String {
    match of["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", written(&of["ofType"])),
        Some("LIST") => format!("[{}]", written(&of["ofType"])),
        _ => of["name"].as_str().expect("a name").to_owned(),
    }
}

fn is_composite(of: &Value) -> bool {
    match of["kind"].as_str() {
        Some("NON_NULL" | "LIST") => is_composite(&of["ofType"]),
        kind => kind == Some("OBJECT"),
    }
}

/// Sends a request, whose response may be anything but a server failure, and returns the response.
async fn assert_client_error(what: &str, request: RequestBuilder) -> (u16, String) {
    let response = in_time("an answer", request.send()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let status = response.status().as_u16();
    let text = in_time("a body", response.text()).await.unwrap_or_else(|error| panic!("{what}: {error}"));
    let what: String = what.chars().take(300).collect();
    let shown: String = text.chars().take(300).collect();
    assert!(status < 500 && !text.contains("DATABASE_UNAVAILABLE"), "{what}: {status} {shown}");
    (status, text)
}

async fn every_argument_is_validated_before_the_database(database: Database) {
    let server = Server::start(database).await;
    server.store_runs("/api/v1/source-runs", &[run("a")]).await;
    let schema = server.data(INTROSPECTION, json!({})).await["__schema"].take();
    let types = Schema { types: schema["types"].as_array().expect("types").clone() };
    let mut count = 0;
    for (operation, root) in [("query", "queryType"), ("mutation", "mutationType")] {
        for field in schema[root]["fields"].as_array().expect("fields") {
            let (name, arguments) =
                (field["name"].as_str().expect("a name"), field["args"].as_array().expect("arguments"));
            if arguments.is_empty() {
                continue;
            }
            let name_of = |argument: &Value| argument["name"].as_str().expect("a name").to_owned();
            let declared: Vec<_> =
                arguments.iter().map(|it| format!("${}: {}", name_of(it), written(&it["type"]))).collect();
            let given: Vec<_> = arguments.iter().map(|it| format!("{0}: ${0}", name_of(it))).collect();
            let selection = if is_composite(&field["type"]) { "{ __typename }" } else { "" };
            let document =
                format!("{operation} ({}) {{ {name}({}) {selection} }}", declared.join(", "), given.join(", "));
            let good: Value = arguments
                .iter()
                .map(|it| (name_of(it), types.good(&name_of(it), &it["type"])))
                .collect::<serde_json::Map<_, _>>()
                .into();
            for argument in arguments {
                for bad in types.bad(&name_of(argument), &argument["type"]) {
                    let variables = with(good.clone(), json!({name_of(argument): bad}));
                    let body = json!({"query": document, "variables": variables});
                    assert_client_error(&format!("{document} {variables}"), server.post("/graphql").json(&body)).await;
                    count += 1;
                }
            }
        }
    }
    assert!(count > 500, "{count} requests");
    server.stop().await;
}

async fn subscriptions_check_their_arguments(database: Database) {
    let server = Server::start(database).await;
    for (field, name, bad) in [
        ("alertEvents(since: $bad) { id }", "ID", vec!["-1", "9223372036854775808", "\0", "x", ""]),
        ("alertEvents(pipeline: $bad) { id }", "String", vec!["\0", "", "Ä", "nowhere"]),
        ("pipelineStatusUpdates(pipeline: $bad) { revision }", "String!", vec!["\0", "", "Ä", "nowhere"]),
    ] {
        for bad in bad {
            let query = format!("subscription ($bad: {name}) {{ {field} }}");
            let body = json!({"query": query, "variables": {"bad": bad}});
            let request = server.post("/graphql").header("accept", "text/event-stream").json(&body);
            let (_, text) = assert_client_error(&format!("{query} {bad:?}"), request).await;
            assert!(text.contains("\"errors\""), "{query} {bad:?}: {text}");
        }
    }
    server.stop().await;
}

async fn every_report_field_is_validated_before_the_database(database: Database) {
    let server = Server::start(database).await;
    let id = "00000000-0000-4000-8000-000000000000";
    let step =
        json!({"name": "a", "state": "ok", "items_in": 1, "items_out": 1, "started_at": now(), "ended_at": now()});
    let check = json!({"name": "a", "attempts": 2, "passes": 1});
    let run = with(
        run("a"),
        json!({"id": id, "pipeline": "default", "outcome": "ok", "error": "none", "checks": [check],
        "steps": [step], "url": "https://example.com/log", "tags": ["a"], "attempt": 1, "parent": "p", "log": "l",
        "duration": 60, "started_at": ago(chrono::TimeDelta::seconds(60)), "counts": {"rows": 1, "bytes": 2}}),
    );
    let metric = json!({"id": id, "pipeline": "default", "timestamp": now(), "metric_type": "source-specific", "source": "a",
        "geocoding_attempts": 2, "geocoding_successes": 1, "geocoding_success_rate": 50, "checks": [check], "counts": {"rows": 1}});
    let mut bad: Vec<String> = texts().iter().chain(&instants()).chain(&numbers()).map(Value::to_string).collect();
    let raw = [
        "\"\\ud800\"",
        "1e999",
        "-0",
        "1e-400",
        "18446744073709551615",
        "-9223372036854775808",
        "NaN",
        "null",
        "[]",
        "{}",
        "true",
        "[[[]]]",
    ];
    bad.extend(raw.map(str::to_owned));
    for (path, item) in [("source-runs", &run), ("data-quality-metrics", &metric)] {
        let fields = item.as_object().expect("an object").keys().map(|name| format!("/{name}"));
        let parts =
            ["/checks/0/name", "/checks/0/attempts", "/checks/0/passes", "/counts/rows", "/tags/0"].map(str::to_owned);
        let steps =
            ["name", "state", "items_in", "items_out", "started_at", "ended_at"].map(|name| format!("/steps/0/{name}"));
        for field in fields.chain(parts).chain(steps) {
            let mut marked = item.clone();
            let Some(value) = marked.pointer_mut(&field) else { continue };
            *value = json!("BAD");
            for bad in &bad {
                let body = marked.to_string().replace("\"BAD\"", bad);
                let request =
                    server.post(&format!("/api/v1/{path}")).header("content-type", "application/json").body(body);
                assert_client_error(&format!("{path} {field} {bad}"), request).await;
            }
        }
    }
    server.stop().await;
}

async fn rest_routes_validate_their_parameters(database: Database) {
    let server = Server::start(database).await;
    let long = "x".repeat(8_000);
    let values = [
        "",
        "%00",
        "a%00b",
        "%ff",
        "%",
        "%zz",
        "+",
        "a&pipeline=b",
        "%F4%8F%BF%BF",
        "../../etc/passwd",
        "a=b=c",
        &long,
    ];
    for value in values {
        for path in [
            format!("/api/v1/monitoring/pipeline-status?pipeline={value}"),
            format!("/api/v1/monitoring/pipeline-status?sources={value}"),
            format!("/api/v1/monitoring/pipeline-status?{value}"),
            format!("/badge/{value}.svg"),
            format!("/badge/{value}"),
            format!("/graphql?query={value}"),
            format!("/graphql?query={{__typename}}&variables={value}&operationName={value}&extensions={value}"),
            format!("/api/v1/monitoring/pipeline-status?access_token={value}"),
        ] {
            assert_client_error(&path, server.get(&path)).await;
        }
        let path = format!("/api/v1/source-runs?pipeline={value}");
        assert_client_error(&path, server.post(&path).json(&run("a"))).await;
    }
    for value in
        ["", "*", "W/", "\"", ",,,,", "W/\"\u{ff}\"", "-1", "9223372036854775808", "18446744073709551616", &long]
    {
        for header in [
            "if-none-match",
            "last-event-id",
            "accept",
            "authorization",
            "x-graphql-event-stream-token",
            "content-type",
        ] {
            for path in ["/api/v1/monitoring/pipeline-status", "/badge/default.svg", "/graphql?query={__typename}"] {
                let bytes = reqwest::header::HeaderValue::from_bytes(value.as_bytes()).expect("a header");
                assert_client_error(&format!("{path} {header}: {value}"), server.get(path).header(header, bytes)).await;
            }
        }
    }
    server.stop().await;
}

async fn texts_that_cannot_be_stored_are_refused(database: Database) {
    let server = Server::start(database).await;
    let long = "x".repeat(256);
    for (field, what) in [
        ("silenceAlerts(rule: OVERDUE, until: \"2999-01-01T00:00:00Z\", author: $bad, reason: \"b\") { id }", "author"),
        ("silenceAlerts(rule: OVERDUE, until: \"2999-01-01T00:00:00Z\", author: \"a\", reason: $bad) { id }", "reason"),
        ("silenceAlerts(label: $bad, until: \"2999-01-01T00:00:00Z\", author: \"a\", reason: \"b\") { id }", "label"),
        ("acknowledgeAlert(id: \"00000000-0000-4000-8000-000000000000\", author: $bad) { id }", "author"),
        ("acknowledgeAlert(id: \"00000000-0000-4000-8000-000000000000\", author: \"a\", note: $bad) { id }", "note"),
        ("upsertSource(source: \"a\", labels: [{name: $bad, value: \"b\"}]) { key }", "labels"),
        ("upsertSource(source: \"a\", labels: [{name: \"a\", value: $bad}]) { key }", "labels"),
        ("upsertSource(source: $bad) { key }", "source"),
    ] {
        let query = format!("mutation ($bad: String!) {{ {field} }}");
        let answer = server.graphql(&query, json!({"bad": "a=\0"})).await;
        let error = &answer["errors"][0];
        assert_eq!(error["extensions"]["code"], "BAD_USER_INPUT", "{answer}");
        assert!(error["message"].as_str().is_some_and(|message| message.starts_with(what)), "{what}: {answer}");
    }
    let silence = "mutation ($author: String!) { silenceAlerts(rule: OVERDUE, until: \"2999-01-01T00:00:00Z\", author: $author, \
                   reason: \"b\") { id } }";
    assert_eq!(server.error_code(silence, json!({"author": long})).await, "BAD_USER_INPUT");
    let (status, answer) = server.report("/api/v1/source-runs", &with(run("a"), json!({"error": "\0"}))).await;
    assert_eq!((status, &answer["results"][0]["errors"][0]["field"]), (422, &json!("error")), "{answer}");
    server.stop().await;
}

/// Statements have a limit of parameters: 65,535 on PostgreSQL, and 32,766 on SQLite.
async fn batch_may_have_ten_thousand_names(database: Database) {
    let server = Server::start(database).await;
    let item = |number: u32| {
        let (source, pipeline) = (format!("s{number}"), format!("p{number}"));
        json!({"id": Uuid::from_u128(number.into()), "pipeline": pipeline, "source": source, "timestamp": now()})
    };
    // Starts have no roll-ups. The thousand pipelines that a server may have make ends with enough of them.
    let starts = (0..10_000).map(|number| with(item(number), json!({"outcome": "running"})));
    let ends = (0..1_000).map(|number| with(run("a"), item(number)));
    for reports in [starts.collect::<Vec<_>>(), ends.collect()] {
        let body = reports.iter().map(|report| format!("{report}\n")).collect::<Vec<_>>().concat();
        let request = server.post("/api/v1/source-runs").header("content-type", "application/x-ndjson").body(body);
        let (status, answer) = assert_client_error("many pipelines", request).await;
        assert!(matches!(status, 201 | 207), "{status}: {}", answer.chars().take(300).collect::<String>());
    }
    server.stop().await;
}
