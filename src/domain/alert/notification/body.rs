use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::domain::alert::machine::Tracked;
use crate::domain::alert::notification::chat::{cut, plain_text};
use crate::domain::alert::notification::{Event, Line, Notification};
use crate::domain::alert::{AlertState, AlertType};
use crate::domain::anomaly::Severity;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::{Timestamp, rfc3339};

/// Of more lines a text shows only so many, and how many there were: Slack takes no more than 20 attachments well.
const SHOWN: usize = 20;
/// Characters of a title: Discord takes no more. With [`TEXT`] and [`SHOWN`] a message stays below the 40,000 characters at
/// which Slack cuts it, and below [`MAX_BYTES`] whatever the characters are.
const TITLE: usize = 256;
/// Characters of any other text.
const TEXT: usize = 1_000;
/// The largest body.
const MAX_BYTES: usize = 256 * 1024;
/// What a webhook has beside its alerts and the URL.
const ENVELOPE: usize = 512;

/// An e-mail, without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
}

/// The body of a webhook: the envelope of the Standard Webhooks (`type`, `timestamp`, `data`), the alerts in it with the
/// fields that they have in the status and what a program may want besides. `url` is where people may look. Of more
/// alerts than fit into 256 KiB it has the first, and the number of the others.
pub fn webhook(notification: &Notification, url: Option<&str>) -> String {
    let mut size = ENVELOPE + url.map_or(0, str::len);
    let alerts: Vec<_> = notification
        .lines
        .iter()
        .map(|line| json!(WebhookAlert::from(line)))
        .take_while(|alert| {
            size += alert.to_string().len() + 1;
            size <= MAX_BYTES
        })
        .collect();
    json!({
        "type": "alerts.notification",
        "timestamp": rfc3339(notification.at),
        "data": {
            "id": notification.id,
            "pipeline": notification.pipeline,
            "url": url,
            "alerts_omitted": notification.lines.len() - alerts.len(),
            "alerts": alerts,
        },
    })
    .to_string()
}

/// The body of an incoming webhook of Slack, as Mattermost, Rocket.Chat, Discord and others take it too: a text, and
/// attachments with a colour. (Blocks would look better, and only Slack has them.) Names and texts in it mention nobody
/// and link nowhere, and each of the receivers is asked for that in its own words, too.
pub fn slack(notification: &Notification, url: Option<&str>) -> String {
    let mut text = plain_text(&headline(notification));
    if let Some(url) = url {
        let _ = write!(text, " <{}|Look>", escape(url));
    }
    let attachments: Vec<_> = notification.lines.iter().take(SHOWN).map(attachment).collect();
    if notification.lines.len() > SHOWN {
        let _ = write!(text, " ({SHOWN} are shown, and there are {} more)", notification.lines.len() - SHOWN);
    }
    json!({
        "text": text,
        "attachments": attachments,
        "link_names": 0,
        "unfurl_links": false,
        "unfurl_media": false,
        "allowed_mentions": { "parse": [] },
    })
    .to_string()
}

/// The subject and text of an e-mail.
pub fn email(notification: &Notification, url: Option<&str>) -> Email {
    let mut text = String::new();
    for line in notification.lines.iter().take(SHOWN) {
        let _ = writeln!(text, "{}\n{}\n{}\n", said(line), details(line), rfc3339(line.at));
    }
    if notification.lines.len() > SHOWN {
        let _ = writeln!(text, "And {} more.\n", notification.lines.len() - SHOWN);
    }
    if let Some(url) = url {
        let _ = writeln!(text, "{url}");
    }
    // A line break in a subject would begin another header.
    let subject = headline(notification).replace(char::is_control, " ");
    Email { subject: format!("[Pipewatch] {subject}"), text }
}

/// One alert in the body of a webhook.
#[derive(Serialize)]
struct WebhookAlert<'a> {
    event: Event,
    id: String,
    fingerprint: &'a str,
    rule: &'static str,
    #[serde(rename = "type")]
    kind: AlertType,
    severity: Severity,
    state: AlertState,
    title: String,
    message: String,
    #[serde(with = "crate::domain::time::serde_rfc3339")]
    timestamp: Timestamp,
    #[serde(with = "crate::domain::time::serde_rfc3339")]
    started_at: Timestamp,
    source: Option<&'a SourceKey>,
    check: Option<&'a str>,
    acknowledged_by: Option<&'a str>,
    note: Option<String>,
}

impl<'a> From<&'a Line> for WebhookAlert<'a> {
    fn from(line: &'a Line) -> Self {
        let Tracked { id, fingerprint, rule, kind, subject, title, message, started_at, acknowledged, .. } =
            &line.alert;
        Self {
            event: line.event,
            id: id.to_string(),
            fingerprint: fingerprint.as_str(),
            rule: rule.as_str(),
            kind: *kind,
            severity: line.severity,
            state: line.state,
            title: cut(title, TEXT),
            message: cut(message, TEXT),
            timestamp: line.at,
            started_at: *started_at,
            source: subject.source.as_ref(),
            check: subject.check.as_deref(),
            acknowledged_by: acknowledged.as_ref().map(|by| by.author.as_str()),
            note: acknowledged.as_ref().and_then(|by| by.note.as_deref()).map(|note| cut(note, TEXT)),
        }
    }
}

fn attachment(line: &Line) -> serde_json::Value {
    let color = match (line.event, line.severity) {
        (Event::Resolved, _) => "#2eb67d",
        (Event::Acknowledged, _) => "#808080",
        (_, Severity::High) => "#e01e5a",
        (_, Severity::Medium) => "#ecb22e",
        (_, Severity::Low) => "#36c5f0",
    };
    json!({
        "color": color,
        "fallback": plain_text(&said(line)),
        "title": plain_text(&said(line)),
        "text": plain_text(&details(line)),
        "ts": line.at.timestamp(),
    })
}

/// What stands over all: the one line there is, or how many of what.
fn headline(notification: &Notification) -> String {
    if let [line] = notification.lines.as_slice() {
        return said(line);
    }
    let place = notification.pipeline.as_ref().map_or("Pipewatch", PipelineKey::as_str);
    let counts: Vec<String> = [Event::Fired, Event::Changed, Event::Repeated, Event::Acknowledged, Event::Resolved]
        .into_iter()
        .map(|event| (event, notification.lines.iter().filter(|line| line.event == event).count()))
        .filter(|(_, count)| *count > 0)
        .map(|(event, count)| format!("{count} {}", word(event)))
        .collect();
    format!("{place}: {}", counts.join(", "))
}

fn said(line: &Line) -> String {
    let severity = match line.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
    };
    let title = &line.alert.title;
    let said = match line.event {
        Event::Resolved => format!("Resolved: {title}"),
        Event::Acknowledged => format!("Acknowledged: {title}"),
        event => format!("{} ({severity}): {title}", capital(word(event))),
    };
    cut(&said, TITLE - 1)
}

fn details(line: &Line) -> String {
    let details = match (line.event, &line.alert.acknowledged) {
        (Event::Resolved, _) => format!("It began at {}.", rfc3339(line.alert.started_at)),
        (Event::Acknowledged, Some(by)) => match &by.note {
            Some(note) => format!("{}: {note}", by.author),
            None => format!("By {}.", by.author),
        },
        _ => line.alert.message.clone(),
    };
    cut(&details, TEXT)
}

fn word(event: Event) -> &'static str {
    match event {
        Event::Fired => "firing",
        Event::Changed => "changed",
        Event::Repeated => "still firing",
        Event::Acknowledged => "acknowledged",
        Event::Resolved => "resolved",
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Slack's three characters.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
