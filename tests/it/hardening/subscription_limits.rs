//! How many subscriptions an address, a connection and the server may have.

use axum::http::Request;
use reqwest::Response;
use serde_json::json;

use crate::hardening::connections::{STREAM, http2, serve};
use crate::support::server::{Process, client};
use crate::support::{eventually, in_time};

/// Opens a GraphQL subscription as an event stream from a client address.
async fn subscribe(server: &Process, client_address: &str, number: usize) -> Response {
    let query = format!("subscription {{ of{number}: pipelineStatusUpdates {{ revision }} }}");
    let request = client().post(format!("{}/graphql", server.url)).header("accept", "text/event-stream");
    let request = request.header("x-forwarded-for", client_address).json(&json!({ "query": query }));
    in_time("an answer", request.send()).await.expect("an answer")
}

async fn first_chunk(response: &mut Response) -> String {
    let chunk = in_time("an event", response.chunk()).await.expect("unbroken").expect("not empty");
    String::from_utf8_lossy(&chunk).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn address_is_limited_to_a_tenth_of_the_subscriptions() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--max-distinct-subscriptions", "20", "--trusted-proxies", "127.0.0.1"]);
    let mut held = Vec::new();
    for (client_address, number, expect) in [
        ("192.0.2.1", 1, Ok(())),
        ("192.0.2.1", 2, Ok(())),
        ("192.0.2.1", 3, Err("this address has 2")),
        ("192.0.2.1", 2, Ok(())),
        ("192.0.2.2", 3, Ok(())),
        ("192.0.2.1", 3, Err("this address has 2")),
        ("127.0.0.1", 4, Ok(())),
    ] {
        let mut response = subscribe(&server, client_address, number).await;
        let first = first_chunk(&mut response).await;
        match expect {
            Ok(()) => assert!(first.contains("\"revision\""), "{first}"),
            Err(why) => assert!(first.contains(why), "{first}"),
        }
        held.push(response);
    }
    drop(held);
    eventually("a slot is free again", || async {
        first_chunk(&mut subscribe(&server, "192.0.2.1", 5).await).await.contains("\"revision\"").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_status_needs_no_slot() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--max-distinct-subscriptions", "1"]);
    let mut held = subscribe(&server, "127.0.0.1", 1).await;
    assert!(first_chunk(&mut held).await.contains("\"revision\""));
    let refused = first_chunk(&mut subscribe(&server, "127.0.0.1", 2).await).await;
    assert!(refused.contains("max_distinct_subscriptions") && refused.contains("event: complete"), "{refused}");
    let mut plain =
        in_time("an answer", client().get(format!("{}{STREAM}", server.url)).send()).await.expect("an answer");
    let mut text = String::new();
    while !text.contains("event: status") {
        text.push_str(&first_chunk(&mut plain).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http2_connection_has_the_subscription_limit_of_a_websocket() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(&folder, &["--max-subscriptions", "2"]);
    let mut client = http2(&server, 65_535).await;
    let mut held = Vec::new();
    for number in 0..3 {
        client = client.ready().await.expect("capacity for a stream");
        let request = Request::post(format!("{}/graphql", server.url))
            .header("accept", "text/event-stream")
            .header("content-type", "application/json")
            .body(())
            .expect("a request");
        let (response, mut body) = client.send_request(request, false).expect("sent");
        let query = format!("subscription {{ of{number}: pipelineStatusUpdates {{ revision }} }}");
        body.send_data(json!({ "query": query }).to_string().into(), true).expect("sent");
        let mut events = in_time("a response", response).await.expect("a response").into_body();
        let first = in_time("an event", events.data()).await.expect("not empty").expect("unbroken");
        let first = String::from_utf8_lossy(&first).into_owned();
        assert_eq!(first.contains("this connection has 2"), number == 2, "{first}");
        held.push(events);
    }
}
