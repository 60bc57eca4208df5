use std::time::Instant;

use pipewatch::graphql::operation::{Operation, RequestParams};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use crate::support::clients::Socket;
use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::server::{Process, client, client_builder};
use crate::support::{ALLOWANCE, Database, Server, in_time};

/// The default maximum cost of an operation.
const MAX_COST: u64 = 50_000;

/// A document that must be refused before validation.
struct Attack {
    document: String,
    variables: Value,
    code: &'static str,
}

/// Fragments that each spread the next one `times` times; the last contains the leaf.
fn doubling(fragments: usize, times: usize, leaf: &str) -> String {
    let spreading =
        |number: usize| format!("fragment F{number}on Query{{{}}}", format!("...F{} ", number + 1).repeat(times));
    let spreading: String =
        (0..fragments - 1).map(|number| spreading(number).replace("on Query", " on Query")).collect();
    format!("{{...F0}}{spreading}fragment F{} on Query{{{leaf}}}", fragments - 1)
}

fn attacks() -> Vec<Attack> {
    let attack = |document: String, code| Attack { document, variables: json!({}), code };
    let runs = "nodes { id source state startedAt finishedAt receivedAt error }";
    let costly = |first: &str| {
        (0..16).map(|n| format!("a{n}: sourceRuns(first: {first}) {{ {runs} }} ")).collect::<Vec<_>>().concat()
    };
    let introspection = (0..6).fold("name".to_owned(), |inner, _| format!("fields {{ type {{ {inner} }} }}"));
    let uses: String =
        (0..490).map(|n| format!("a{n}: alerts(states: $v) {{ __typename }} ")).collect::<Vec<_>>().concat();
    vec![
        attack(doubling(28, 4, "x"), "TOO_MANY_SELECTIONS"),
        attack(doubling(28, 4, "__typename"), "TOO_MANY_SELECTIONS"),
        attack(doubling(28, 4, "pipelines { key }"), "TOO_MANY_SELECTIONS"),
        attack(format!("{{ {} }}", "__typename ".repeat(1_001)), "TOO_MANY_SELECTIONS"),
        attack(
            format!("mutation {} ", &doubling(28, 4, "x").replacen("{...F0}", "M{...F0}", 1)),
            "TOO_MANY_SELECTIONS",
        ),
        attack(format!("query A {{ x }} query B {} ", doubling(28, 4, "x")), "TOO_MANY_SELECTIONS"),
        attack(doubling(1_000, 1, "x"), "DOCUMENT_TOO_DEEP"),
        attack("{a".repeat(10_000), "DOCUMENT_TOO_DEEP"),
        attack(format!("{{ a(b: {}", "[".repeat(20_000)), "DOCUMENT_TOO_DEEP"),
        attack(format!("{{ a(b: {}", "{c:".repeat(10_000)), "DOCUMENT_TOO_DEEP"),
        attack(format!("{{ x }} # {}", "x".repeat(32 * 1024)), "DOCUMENT_TOO_LARGE"),
        attack(format!("{{ {} }}", costly("500")), "OPERATION_TOO_COSTLY"),
        attack(format!("{{ {} }}", costly("2147483647")), "OPERATION_TOO_COSTLY"),
        attack(format!("{{ __schema {{ types {{ {introspection} }} }} }}"), "OPERATION_TOO_COSTLY"),
        attack(format!("{{ a({}) {} }}", "b: 1 ".repeat(3_000), "a ".repeat(900)), "TOO_MANY_ARGUMENTS"),
        attack(format!("query ({}) {{ x }}", "$v: Int ".repeat(3_000)), "TOO_MANY_VARIABLES"),
        attack(
            format!("{{ {} }} fragment F on Query {{ x {} }}", "...F ".repeat(400), "@a ".repeat(5_000)),
            "TOO_MANY_ARGUMENTS",
        ),
        Attack {
            document: format!("query ($v: [AlertState!]) {{ {uses} }}"),
            variables: json!({"v": vec!["FIRING"; 1_000]}),
            code: "TOO_MANY_ARGUMENTS",
        },
    ]
}

/// The transports of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Post,
    PostGraphqlResponse,
    Get,
    WebSocket,
    SseDistinct,
    SseSingle,
}

const TRANSPORTS: [Transport; 6] = [
    Transport::Post,
    Transport::PostGraphqlResponse,
    Transport::Get,
    Transport::WebSocket,
    Transport::SseDistinct,
    Transport::SseSingle,
];

/// A client that uses each connection once: one that carried a stream cannot be reused.
pub(super) fn unpooled() -> Client {
    client_builder().pool_max_idle_per_host(0).build().expect("a client")
}

/// Sends an operation, and returns its errors. Over HTTP the status must be 400, on a stream the protocol's own
/// error.
async fn refused(client: &Client, url: &str, transport: Transport, document: &str, variables: &Value) -> Value {
    let mut body = json!({"query": document, "variables": variables});
    let graphql = format!("{url}/graphql");
    let post = client.post(&graphql);
    match transport {
        Transport::Post => answer(post.json(&body), 400).await["errors"].clone(),
        Transport::PostGraphqlResponse => {
            let request = post.header("accept", "application/graphql-response+json").json(&body);
            answer(request, 400).await["errors"].clone()
        }
        Transport::Get => {
            let query = [("query", document.to_owned()), ("variables", variables.to_string())];
            answer(client.get(&graphql).query(&query), 400).await["errors"].clone()
        }
        Transport::WebSocket => {
            let mut socket = Socket::graphql_at(url).await;
            socket.send(json!({"type": "subscribe", "id": "1", "payload": body})).await;
            let message = socket.next().await;
            assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!("1")), "{message}");
            message["payload"].clone()
        }
        Transport::SseDistinct => {
            let request = post.header("accept", "text/event-stream").json(&body);
            let response = in_time("an answer", request.send()).await.expect("an answer");
            assert_eq!(response.status(), 200);
            let text = in_time("a stream", response.text()).await.expect("a stream that ends");
            let (next, rest) = text.split_once("\n\n").expect("two events");
            assert!(rest.starts_with("event: complete\n"), "{rest}");
            let data = next.strip_prefix("event: next\ndata: ").expect("the errors first");
            serde_json::from_str::<Value>(data).expect("JSON")["errors"].clone()
        }
        Transport::SseSingle => {
            let reserved = in_time("a token", client.put(&graphql).send()).await.expect("an answer");
            let token = reserved.text().await.expect("a token");
            body["extensions"] = json!({"operationId": "1"});
            answer(post.header("x-graphql-event-stream-token", token).json(&body), 400).await["errors"].clone()
        }
    }
}

pub(super) async fn answer(request: RequestBuilder, expect: u16) -> Value {
    let response = in_time("an answer", request.send()).await.expect("an answer");
    let status = response.status().as_u16();
    let answer: Value = in_time("a body", response.json()).await.expect("JSON");
    assert_eq!(status, expect, "{answer}");
    answer
}

/// Whether the document fits into a URL.
fn fits(transport: Transport, attack: &Attack) -> bool {
    transport != Transport::Get || attack.document.len() < 10_000
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expensive_documents_are_refused_on_every_transport() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let honest = HonestClients::start(&server, None).await;
    let client = unpooled();
    let begun = Instant::now();
    loop {
        for attack in attacks() {
            for transport in TRANSPORTS.into_iter().filter(|transport| fits(*transport, &attack)) {
                let sent = Instant::now();
                let errors = refused(&client, &server.url, transport, &attack.document, &attack.variables).await;
                let what = format!("{:.80} by {transport:?}: {errors:.300}", attack.document);
                assert_eq!(errors[0]["extensions"]["code"], attack.code, "{what}");
                assert!(sent.elapsed() < ALLOWANCE, "{:?}: {what}", sent.elapsed());
            }
        }
        if begun.elapsed() > attack_length() {
            break;
        }
    }
    honest.finish(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_the_server_during_the_attack() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &["--shutdown-timeout", "2s"]);
    let (url, client) = (server.url.clone(), client());
    let attackers: Vec<_> = [Transport::Post, Transport::Get, Transport::WebSocket, Transport::SseDistinct]
        .into_iter()
        .map(|transport| {
            let (url, client) = (url.clone(), client.clone());
            tokio::spawn(async move {
                loop {
                    refused(&client, &url, transport, &doubling(28, 4, "__typename"), &json!({})).await;
                }
            })
        })
        .collect();
    // The attack is in progress.
    refused(&client, &url, Transport::Post, &doubling(28, 4, "x"), &json!({})).await;
    let ended = tokio::task::spawn_blocking(move || server.signal("TERM"));
    let status = in_time("the end of the server", ended).await.expect("no panic");
    assert!(status.success(), "{status}");
    for attacker in attackers {
        attacker.abort();
    }
}

/// Valid documents that make validation as expensive as possible.
fn laborious() -> Vec<String> {
    let unknown: String = (0..1_000).map(|n| format!("f{n} ")).collect::<Vec<_>>().concat();
    let long: String = (0..120).map(|n| format!("{} ", format!("x{n}").repeat(50))).collect::<Vec<_>>().concat();
    let arguments: String = (0..32).map(|n| format!("b{n}: 1 ")).collect::<Vec<_>>().concat();
    let chain = |width: usize| {
        let spread = |number: usize| {
            format!("fragment F{number} on Query {{ {} ...F{} }} ", "__typename ".repeat(width), number + 1)
        };
        let chain: String = (0..29).map(spread).collect();
        format!("{{ ...F0 }} {chain} fragment F29 on Query {{ __typename }}")
    };
    vec![
        format!("{{ {unknown} }}"),
        format!("{{ {long} }}"),
        format!("{{ {} }}", "pipelines ".repeat(1_000)),
        format!("{{ a({arguments}) {} }}", "a ".repeat(999)),
        format!("{{ a {} }}", "@a ".repeat(10_000)),
        format!("{{ a {} }}", "@skip(if: true) ".repeat(2_000)),
        format!(
            "query ({}) {{ a(b: [{}]) }}",
            (0..100).map(|n| format!("$v{n}: X ")).collect::<Vec<_>>().concat(),
            "$v99 ".repeat(6_000)
        ),
        format!("{{ sourceRuns(source: [{}]) {{ nodes {{ id }} }} }}", "1 ".repeat(15_000)),
        format!("{{ sourceRuns(source: \"{}\") {{ nodes {{ id }} }} }}", "x".repeat(32_000)),
        format!("{{ {} }}", "... on Query { __typename } ".repeat(500)),
        format!("{{ {} }}", "...X ".repeat(1_000)),
        (0..500).map(|n| format!("query Q{n} {{ __typename }} ")).collect::<Vec<_>>().concat(),
        chain(30),
        format!("{{{}", "\"".repeat(30_000)),
        "#".repeat(32 * 1024),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validation_time_is_bounded() {
    let server = Server::start(Database::sqlite()).await;
    for document in laborious() {
        assert!(document.len() <= 32 * 1024, "{}", document.len());
        let sent = Instant::now();
        let name = document.starts_with("query Q").then_some("Q1");
        let request = server.post("/graphql").json(&json!({"query": document, "operationName": name}));
        let response = in_time("an answer", request.send()).await.expect("an answer");
        let body = in_time("a body", response.text()).await.expect("a body");
        println!("{:?}, {} bytes: {document:.60}", sent.elapsed(), body.len());
        assert!(sent.elapsed() < ALLOWANCE, "{:?}: {document:.80}", sent.elapsed());
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        assert!(answer["errors"].as_array().is_none_or(|errors| errors.len() <= 20), "{body:.500}");
        assert!(body.len() < 128 * 1024, "{} bytes", body.len());
    }
    server.stop().await;
}

/// GraphiQL's introspection query: `getIntrospectionQuery()` of graphql-js with all its options.
const INTROSPECTION: &str = include_str!("introspection.graphql");

/// The operations of a file, each with its fragments, as Apollo Client sends them: with `__typename` in each selection.
fn operations(text: &str) -> Vec<String> {
    let mut definitions: Vec<String> = Vec::new();
    for line in text.lines() {
        let begins = ["query ", "mutation ", "subscription ", "fragment "].iter().any(|start| line.starts_with(start));
        if begins {
            definitions.push(String::new());
        }
        if let Some(last) = definitions.last_mut() {
            last.push_str(line);
            let is_operation = begins && !line.starts_with("fragment ");
            last.push_str(if line.ends_with('{') && !is_operation { "\n__typename\n" } else { "\n" });
        }
    }
    let (fragments, operations): (Vec<_>, Vec<_>) = definitions.into_iter().partition(|it| it.starts_with("fragment "));
    let name = |fragment: &str| fragment.split_whitespace().nth(1).unwrap_or_default().to_owned();
    let uses = |operation: &str, fragment: &str| operation.contains(&format!("...{}\n", name(fragment)));
    operations
        .into_iter()
        .map(|operation| {
            let spread = fragments.iter().filter(|fragment| uses(&operation, fragment)).cloned();
            spread.fold(operation.clone(), |text, fragment| text + &fragment)
        })
        .collect()
}

#[test]
fn operations_of_the_dashboard_and_of_graphiql_pass() {
    let files = [
        include_str!("../../../client/dashboard/operations.graphql"),
        include_str!("../../../client/src/feed/operations.graphql"),
    ];
    let mut documents: Vec<String> = files.into_iter().flat_map(operations).collect();
    assert!(documents.len() > 10, "{}", documents.len());
    documents.push(INTROSPECTION.to_owned());
    for document in documents {
        // MAX_RUNS in trend.tsx and PAGE_SIZE in source.tsx. Other required variables get some value.
        let first = if document.starts_with("query RecentRuns") { 300 } else { 50 };
        let variables = json!({"pipeline": "a", "source": "a", "first": first, "all": true, "id": "1", "author": "a",
            "until": "2026-01-01T00:00:00Z", "reason": "a", "check": "a", "from": "2026-01-01T00:00:00Z",
            "to": "2026-01-02T00:00:00Z", "bucket": "HOUR", "since": "1"});
        let parameters =
            RequestParams::from_json(json!({"query": document, "variables": variables})).expect("parameters");
        let operation = Operation::parse(parameters).expect("an operation that passes");
        println!("{:>6}: {}", operation.cost, document.trim().lines().next().unwrap_or_default());
        assert!(operation.cost <= MAX_COST, "{} of {document}", operation.cost);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphiql_loads_the_whole_schema() {
    let server = Server::start(Database::sqlite()).await;
    let data = server.data(INTROSPECTION, json!({})).await;
    let types = data["__schema"]["types"].as_array().expect("types");
    assert!(types.iter().any(|it| it["name"] == "PipelineStatus" && it["fields"][0]["name"].is_string()));
    server.stop().await;
}
