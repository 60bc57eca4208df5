use serde_json::{Value, json};

use super::*;
use crate::domain::alert::notification::tests::one_firing_alert;

#[test]
fn webhook_body_has_the_alert_with_its_event() {
    let notification = one_firing_alert();
    let body: Value = serde_json::from_str(&webhook(&notification, Some("https://watch.example"))).expect("JSON");
    let alert = &notification.lines[0].alert;
    assert_eq!(
        body,
        json!({
            "type": "alerts.notification",
            "timestamp": "2026-03-01T00:01:30Z",
            "data": {
                "id": notification.id.to_string(),
                "pipeline": "default",
                "url": "https://watch.example",
                "alerts_omitted": 0,
                "alerts": [{
                    "event": "fired",
                    "id": alert.id.to_string(),
                    "fingerprint": alert.fingerprint.as_str(),
                    "rule": "overdue",
                    "type": "quality",
                    "severity": "high",
                    "state": "firing",
                    "title": "<!channel> & co is unwell",
                    "message": alert.message,
                    "timestamp": "2026-03-01T00:01:00Z",
                    "started_at": "2026-03-01T00:00:30Z",
                    "source": "<!channel> & co",
                    "check": null,
                    "acknowledged_by": null,
                    "note": null,
                }],
            },
        })
    );
}

#[test]
fn slack_body_mentions_no_one() {
    let body: Value =
        serde_json::from_str(&slack(&one_firing_alert(), Some("https://watch.example/?a=1&b=2"))).expect("JSON");
    let title = "Firing (high): &lt;\u{200B}!channel&gt; &amp; co is unwell";
    assert_eq!(body["text"], format!("{title} <https://watch.example/?a=1&amp;b=2|View>"));
    assert_eq!(body["attachments"][0]["title"], title);
    assert_eq!(body["attachments"][0]["color"], "#e01e5a");
    assert_eq!(body["attachments"][0]["ts"], 1_772_323_260);
    assert_eq!(
        (&body["link_names"], &body["unfurl_links"], &body["unfurl_media"]),
        (&json!(0), &json!(false), &json!(false))
    );
    assert_eq!(body["allowed_mentions"], json!({"parse": []}));
}

#[test]
fn texts_are_summarised_and_truncated() {
    let mut notification = one_firing_alert();
    let mail = email(&notification, None);
    assert_eq!(mail.subject, "[Pipewatch] Firing (high): <!channel> & co is unwell");
    notification.lines[0].alert.title = "two\r\nBcc: all".into();
    assert_eq!(email(&notification, None).subject, "[Pipewatch] Firing (high): two  Bcc: all");
    let line = notification.lines[0].clone();
    notification.lines[0].event = Event::Resolved;
    notification.lines.extend(vec![line; 29]);
    let mail = email(&notification, Some("https://watch.example"));
    assert_eq!(mail.subject, "[Pipewatch] default: 29 firing, 1 resolved");
    assert!(mail.text.starts_with("Resolved: two\r\nBcc: all\nStarted at 2026-03-01T00:00:30Z.\n"), "{}", mail.text);
    assert!(mail.text.ends_with("And 10 more.\n\nhttps://watch.example\n"), "{}", mail.text);
    let body: Value = serde_json::from_str(&slack(&notification, None)).expect("JSON");
    assert_eq!(body["attachments"].as_array().map(Vec::len), Some(20));
    assert_eq!(body["text"], "default: 29 firing, 1 resolved (20 shown, 10 more)");
}

#[test]
fn bodies_are_at_most_256_kib() {
    let mut notification = one_firing_alert();
    let line = notification.lines[0].clone();
    for (text, lines) in [("<", 30), ("💧", 30), ("\"\\", 30), ("@here ", 400), ("\u{1}", 400)] {
        let mut line = line.clone();
        (line.alert.title, line.alert.message) = (text.repeat(300), text.repeat(2_000));
        line.alert.subject.source = Some("💧".repeat(255).parse().expect("a source"));
        notification.lines = vec![line; lines];
        let (webhook, slack, mail) =
            (webhook(&notification, None), slack(&notification, None), email(&notification, None));
        for size in [webhook.len(), slack.len(), json!([mail.subject, mail.text]).to_string().len()] {
            assert!(size <= 256 * 1024, "{lines} times {text:?}: {size} bytes");
        }
        let said: Value = serde_json::from_str(&webhook).expect("JSON");
        let alerts = said["data"]["alerts"].as_array().map_or(0, Vec::len);
        assert!(alerts > 10, "{alerts} of {lines} alerts");
        assert_eq!(said["data"]["alerts_omitted"], json!(lines - alerts));
        let said: Value = serde_json::from_str(&slack).expect("JSON");
        assert!(said["text"].as_str().is_some_and(|text| text.ends_with(&format!("{} more)", lines - 20))));
        assert!(mail.text.ends_with(&format!("And {} more.\n\n", lines - 20)), "{}", mail.text.len());
    }
}

#[test]
fn acknowledgement_names_the_author_and_the_note() {
    let mut line = one_firing_alert().lines.remove(0);
    line.event = Event::Acknowledged;
    for (note, expect) in [(None, "By Ada."), (Some("on it"), "Ada: on it")] {
        let by =
            crate::domain::alert::Acknowledgement { author: "Ada".into(), note: note.map(Into::into), at: line.at };
        line.alert.acknowledged = Some(by);
        let notification = Notification::new(None, line.at, vec![line.clone()]);
        let text = email(&notification, None).text;
        assert!(text.starts_with(&format!("Acknowledged: <!channel> & co is unwell\n{expect}\n")), "{text}");
        let body: Value = serde_json::from_str(&webhook(&notification, None)).expect("JSON");
        assert_eq!(body["data"]["alerts"][0]["note"], json!(note));
        assert_eq!(body["data"]["pipeline"], Value::Null);
    }
}
