use reqwest::Response;
use serde_json::{Value, json};

use crate::support::{Database, Server, in_time, run};

const ACCEPT: &str = "multipart/mixed;boundary=\"graphql\";subscriptionSpec=\"1.0\",application/json";
const UPDATES: &str = "subscription ($p: String!) { pipelineStatusUpdates(pipeline: $p) { revision } }";

/// A response of Apollo's multipart protocol, read part by part.
struct Parts {
    response: Response,
    text: String,
}

impl Parts {
    async fn open(server: &Server, accept: &str, query: &str, variables: Value) -> Self {
        let body = json!({"query": query, "variables": variables});
        let request = server.post("/graphql").header("accept", accept).json(&body);
        let response = in_time("an answer", request.send()).await.expect("an answer");
        assert_eq!(response.status(), 200);
        let content_type = response.headers()["content-type"].to_str().expect("text");
        assert_eq!(content_type, "multipart/mixed;boundary=graphql;subscriptionSpec=1.0");
        let mut parts = Self { response, text: String::new() };
        assert_eq!(parts.until_delimiter().await, "", "the response has no preamble");
        parts
    }

    /// The text before the next delimiter.
    async fn until_delimiter(&mut self) -> String {
        loop {
            if let Some((before, behind)) = self.text.split_once("\r\n--graphql") {
                let (before, behind) = (before.to_owned(), behind.to_owned());
                self.text = behind;
                return before;
            }
            let chunk = in_time("a part", self.response.chunk()).await.expect("an unbroken response");
            self.text.push_str(std::str::from_utf8(&chunk.expect("a delimiter before the end")).expect("text"));
        }
    }

    /// The next part. Its delimiter follows it at once, so this waits for no other part.
    async fn next(&mut self) -> Value {
        let part = self.until_delimiter().await;
        let json =
            part.strip_prefix("\r\nContent-Type: application/json\r\n\r\n").unwrap_or_else(|| panic!("{part:?}"));
        serde_json::from_str(json).expect("JSON")
    }

    /// The text behind the last delimiter.
    async fn end(mut self) -> String {
        while let Some(chunk) = in_time("the end", self.response.chunk()).await.expect("an unbroken response") {
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
        self.text
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_part_is_terminated_at_once() {
    let server = Server::start(Database::sqlite()).await;
    server.store_runs("/api/v1/source-runs?pipeline=a", &[run("a")]).await;
    let mut parts = Parts::open(&server, ACCEPT, UPDATES, json!({"p": "a"})).await;
    let first = parts.next().await["payload"]["data"]["pipelineStatusUpdates"]["revision"].clone();
    let answer = server.store_runs("/api/v1/source-runs?pipeline=a", &[run("b")]).await;
    assert_ne!(first, answer["revisions"]["a"]);
    loop {
        let part = parts.next().await;
        if part["payload"]["data"]["pipelineStatusUpdates"]["revision"] == answer["revisions"]["a"] {
            break;
        }
    }
    server.data("mutation { removePipeline(pipeline: \"a\") }", json!({})).await;
    assert!(parts.end().await.ends_with("--\r\n"), "the closing delimiter ends the response");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn error_is_a_result_and_ends_the_response() {
    let server = Server::start(Database::sqlite()).await;
    for accept in ["multipart/mixed", "multipart/mixed;subscriptionSpec=1.0", ACCEPT] {
        let mut parts = Parts::open(&server, accept, UPDATES, json!({"p": "nowhere"})).await;
        let part = parts.next().await;
        assert_eq!(part["payload"]["errors"][0]["extensions"]["code"], "PIPELINE_NOT_FOUND", "{part}");
        assert_eq!(parts.end().await, "--\r\n");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_is_answered_with_json_unless_only_multipart_is_accepted() {
    let server = Server::start(Database::sqlite()).await;
    let query = json!({"query": "{ pipelineCount }"});
    let request = server.post("/graphql").header("accept", ACCEPT).json(&query);
    let response = in_time("an answer", request.send()).await.expect("an answer");
    assert_eq!(response.headers()["content-type"], "application/json; charset=utf-8");
    let mut parts = Parts::open(&server, "multipart/mixed", "{ pipelineCount }", json!({})).await;
    assert!(parts.next().await["payload"]["data"]["pipelineCount"].is_u64());
    assert_eq!(parts.end().await, "--\r\n");
    // Another version of the protocol is not spoken.
    let request = server.post("/graphql").header("accept", "multipart/mixed;subscriptionSpec=2.0").json(&query);
    assert_eq!(in_time("an answer", request.send()).await.expect("an answer").status(), 406);
    server.stop().await;
}
