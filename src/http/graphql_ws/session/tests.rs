use serde_json::json;

use super::*;

/// What a session says to a message, in a word: `close 4400`, `send {…}`, `start 1`, `stop 1`, nothing.
fn say(session: &mut Session, message: &str) -> String {
    match session.receive(message) {
        Effect::None => String::new(),
        Effect::Acknowledge { token } => {
            format!("acknowledge{}", token.map(|token| format!(" {token:?}")).unwrap_or_default())
        }
        Effect::Send(text) => format!("send {text}"),
        Effect::Close(close) => format!("close {} {}", close.code, close.reason),
        Effect::Start { id, .. } => format!("start {id}"),
        Effect::Stop { id } => format!("stop {id}"),
    }
}

fn acknowledged() -> Session {
    let mut session = Session::default();
    assert_eq!(say(&mut session, r#"{"type":"connection_init"}"#), "acknowledge");
    session
}

fn subscribe(id: &str) -> String {
    json!({"type": "subscribe", "id": id, "payload": {"query": "{ a }"}}).to_string()
}

#[test]
fn a_session_begins_with_one_initialisation() {
    let init = r#"{"type":"connection_init","payload":{"token":"x"}}"#;
    let mut session = Session::default();
    assert_eq!(say(&mut session, &subscribe("1")), "close 4401 Unauthorized");
    let mut session = Session::default();
    assert_eq!(say(&mut session, r#"{"type":"complete","id":"1"}"#), "");
    assert_eq!(say(&mut session, init), "acknowledge \"x\"");
    assert_eq!(say(&mut session, init), "close 4429 Too many initialisation requests");
}

#[test]
fn credentials_are_found_in_the_initialisation() {
    for (payload, expect) in [
        (json!(null), None),
        (json!({}), None),
        (json!({"token": "a"}), Some("a")),
        (json!({"token": null}), None),
        (json!({"token": 1}), Some("")),
        (json!({"authorization": "Bearer a"}), Some("a")),
        (json!({"Authorization": "bearer a"}), Some("a")),
        (json!({"AUTHORIZATION": "Bearer a", "token": "b"}), Some("a")),
        (json!({"authorization": null, "token": "b"}), Some("b")),
        (json!({"authorization": "a"}), Some("")),
        (json!({"authorization": "Basic a", "token": "b"}), Some("")),
    ] {
        let init = json!({"type": "connection_init", "payload": payload}).to_string();
        let expect = Effect::Acknowledge { token: expect.map(str::to_owned) };
        assert_eq!(Session::default().receive(&init), expect, "{payload}");
    }
}

#[test]
fn an_id_is_used_once_at_a_time() {
    let mut session = acknowledged();
    assert_eq!(say(&mut session, &subscribe("1")), "start 1");
    assert_eq!(say(&mut session, &subscribe("2")), "start 2");
    assert_eq!(say(&mut session, r#"{"type":"complete","id":"1"}"#), "stop 1");
    assert_eq!(say(&mut session, r#"{"type":"complete","id":"1"}"#), "", "an unknown id is ignored");
    assert!(!session.finish("1"), "nothing more is owed");
    assert_eq!(say(&mut session, &subscribe("1")), "start 1", "the id is free again");
    assert!(session.finish("1"));
    assert_eq!(say(&mut session, &subscribe("1")), "start 1", "the id is free again");
    assert_eq!(say(&mut session, &subscribe("2")), "close 4409 Subscriber for 2 already exists");
}

#[test]
fn pings_are_answered_with_their_payload() {
    for (message, expect) in [
        (r#"{"type":"ping"}"#, r#"send {"type":"pong"}"#),
        (r#"{"type":"ping","payload":null}"#, r#"send {"type":"pong","payload":null}"#),
        (r#"{"type":"ping","payload":{"a":[1]}}"#, r#"send {"type":"pong","payload":{"a":[1]}}"#),
        (r#"{"type":"pong"}"#, ""),
        (r#"{"type":"pong","payload":{"a":1}}"#, ""),
    ] {
        assert_eq!(say(&mut Session::default(), message), expect, "before the acknowledgement: {message}");
        assert_eq!(say(&mut acknowledged(), message), expect, "{message}");
    }
}

#[test]
fn what_is_not_understood_closes_with_4400_and_says_why() {
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
        (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":"x"}}"#, "payload.variables"),
        (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","operationName":1}}"#, "payload.operationName"),
        (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","extensions":[]}}"#, "payload.extensions"),
        (r#"{"type":"complete"}"#, "`id`"),
        (r#"{"type":"complete","id":""}"#, "`id`"),
    ] {
        let said = say(&mut acknowledged(), message);
        assert!(said.starts_with("close 4400 ") && said.contains(why), "{message}: {said}");
    }
}

#[test]
fn frames_carry_ids_and_payloads_as_json() {
    for (kind, id, payload, expect) in [
        ("connection_ack", None, None, r#"{"type":"connection_ack"}"#),
        ("complete", Some(r#""a\"b""#), None, r#"{"id":"a\"b","type":"complete"}"#),
        ("next", Some("\"1\""), Some(r#"{"data":null}"#), r#"{"id":"1","type":"next","payload":{"data":null}}"#),
    ] {
        assert_eq!(frame(kind, id, payload), expect);
    }
}
