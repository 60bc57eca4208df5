use serde_json::json;

use super::*;

#[allow(clippy::needless_pass_by_value, reason = "the signature that `receive` expects")]
fn parse(payload: Value) -> Result<(), String> {
    if payload["query"].is_string() { Ok(()) } else { Err("query is missing; expected a string".to_owned()) }
}

/// The effect of a message, in a word: `close 4400`, `pong {…}`, `start 1`, `stop 1`, nothing.
fn effect(session: &mut Session, message: &str) -> String {
    match session.receive(message, parse) {
        Effect::None => String::new(),
        Effect::Acknowledge { credentials } => {
            format!("acknowledge{}", credentials.map(|credentials| format!(" {credentials:?}")).unwrap_or_default())
        }
        Effect::Pong(payload) => format!("pong {}", payload.unwrap_or_default()).trim().to_owned(),
        Effect::Close(close) => format!("close {} {}", close.code, close.reason),
        Effect::Start { id, .. } => format!("start {id}"),
        Effect::Stop { id } => format!("stop {id}"),
    }
}

fn acknowledged() -> Session {
    let mut session = Session::default();
    assert_eq!(effect(&mut session, r#"{"type":"connection_init"}"#), "acknowledge");
    session
}

fn subscribe(id: &str) -> String {
    json!({"type": "subscribe", "id": id, "payload": {"query": "{ a }"}}).to_string()
}

#[test]
fn session_is_initialised_once() {
    let init = r#"{"type":"connection_init","payload":{"token":"x"}}"#;
    let mut session = Session::default();
    assert_eq!(effect(&mut session, &subscribe("1")), "close 4401 Unauthorized");
    let mut session = Session::default();
    assert_eq!(effect(&mut session, r#"{"type":"complete","id":"1"}"#), "");
    assert_eq!(effect(&mut session, init), "acknowledge Token(\"x\")");
    assert_eq!(effect(&mut session, init), "close 4429 Too many initialisation requests");
}

#[test]
fn credentials_are_read_from_connection_init() {
    let token = |text: &str| Some(Credentials::Token(text.to_owned()));
    let authorization = |text: &str| Some(Credentials::Authorization(text.to_owned()));
    for (payload, expect) in [
        (json!(null), None),
        (json!({}), None),
        (json!({"token": "a"}), token("a")),
        (json!({"token": null}), None),
        (json!({"token": 1}), token("")),
        (json!({"authorization": "Bearer a"}), authorization("Bearer a")),
        (json!({"Authorization": "bearer a"}), authorization("bearer a")),
        (json!({"AUTHORIZATION": "Bearer a", "token": "b"}), authorization("Bearer a")),
        (json!({"authorization": null, "token": "b"}), token("b")),
        (json!({"authorization": "Basic a", "token": "b"}), authorization("Basic a")),
    ] {
        let init = json!({"type": "connection_init", "payload": payload}).to_string();
        let expect = Effect::Acknowledge { credentials: expect };
        assert_eq!(Session::default().receive(&init, parse), expect, "{payload}");
    }
}

#[test]
fn id_of_running_operation_is_refused() {
    let mut session = acknowledged();
    assert_eq!(effect(&mut session, &subscribe("1")), "start 1");
    assert_eq!(effect(&mut session, &subscribe("2")), "start 2");
    assert_eq!(effect(&mut session, r#"{"type":"complete","id":"1"}"#), "stop 1");
    assert_eq!(effect(&mut session, r#"{"type":"complete","id":"1"}"#), "", "an unknown id is ignored");
    assert!(!session.finish("1"), "the client had stopped it");
    assert_eq!(effect(&mut session, &subscribe("1")), "start 1", "the id is free again");
    assert!(session.finish("1"));
    assert_eq!(effect(&mut session, &subscribe("1")), "start 1", "the id is free again");
    assert_eq!(effect(&mut session, &subscribe("2")), "close 4409 Subscriber for 2 already exists");
}

#[test]
fn ping_is_answered_with_its_payload() {
    for (message, expect) in [
        (r#"{"type":"ping"}"#, "pong"),
        (r#"{"type":"ping","payload":null}"#, "pong null"),
        (r#"{"type":"ping","payload":{"a":[1]}}"#, r#"pong {"a":[1]}"#),
        (r#"{"type":"pong"}"#, ""),
        (r#"{"type":"pong","payload":{"a":1}}"#, ""),
    ] {
        assert_eq!(effect(&mut Session::default(), message), expect, "before the acknowledgement: {message}");
        assert_eq!(effect(&mut acknowledged(), message), expect, "{message}");
    }
}

#[test]
fn invalid_message_is_closed_with_4400_and_the_reason() {
    for (message, why) in [
        ("", "JSON"),
        ("hello", "JSON"),
        ("[]", "object"),
        ("null", "object"),
        ("{}", "`type`"),
        (r#"{"type":5}"#, "`type`"),
        (r#"{"type":"start","id":"1"}"#, "\"start\""),
        (r#"{"type":"next","id":"1"}"#, "\"next\""),
        (r#"{"type":"Ping"}"#, "\"Ping\""),
        (r#"{"type":"ping","payload":"text"}"#, "`payload`"),
        (r#"{"type":"ping","payload":[]}"#, "`payload`"),
        (r#"{"type":"pong","payload":1}"#, "`payload`"),
        (r#"{"type":"connection_init","payload":"token"}"#, "`payload`"),
        (r#"{"type":"subscribe","payload":{"query":"{ a }"}}"#, "`id`"),
        (r#"{"type":"subscribe","id":"","payload":{"query":"{ a }"}}"#, "`id`"),
        (r#"{"type":"subscribe","id":1,"payload":{"query":"{ a }"}}"#, "`id`"),
        (r#"{"type":"subscribe","id":"1"}"#, "`payload`"),
        (r#"{"type":"subscribe","id":"1","payload":"{ a }"}"#, "`payload`"),
        (r#"{"type":"subscribe","id":"1","payload":{}}"#, "payload.query"),
        (r#"{"type":"subscribe","id":"1","payload":{"query":1}}"#, "payload.query"),
        (r#"{"type":"complete"}"#, "`id`"),
        (r#"{"type":"complete","id":""}"#, "`id`"),
    ] {
        let effect = effect(&mut acknowledged(), message);
        assert!(effect.starts_with("close 4400 ") && effect.contains(why), "{message}: {effect}");
    }
}
