//! Renders notifications: JSON for webhooks and Slack, text for e-mail.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use crate::domain::alert::notification::{Event, Line, Notification};
use crate::domain::alert::{AlertState, TrackedAlert};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::severity::Severity;
use crate::domain::time::rfc3339;
use crate::notify::plain_text::{plain_text, truncate};

/// Lines of a text; further ones are counted. Slack renders at most 20 attachments well.
const MAX_LINES: usize = 20;
/// Characters of a title, which is Discord's limit. Together with [`MAX_TEXT`] and [`MAX_LINES`] it keeps a message below the
/// 40,000 characters at which Slack truncates, and below [`MAX_BYTES`] for every encoding.
const MAX_TITLE: usize = 256;
/// Characters of any other text.
const MAX_TEXT: usize = 1_000;
/// Bytes of a body.
const MAX_BYTES: usize = 256 * 1024;
/// Bytes of a webhook's body without its alerts and its URL.
const ENVELOPE_BYTES: usize = 512;

/// An e-mail without its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Email {
    /// One line.
    pub(super) subject: String,
    /// Plain text.
    pub(super) text: String,
}

/// The body of a webhook: the envelope of Standard Webhooks (`type`, `timestamp`, `data`) around the alerts, which have the
/// fields of the status and some more. `url` is a page to open. Alerts that do not fit into 256 KiB are counted in
/// `alerts_omitted`.
pub(super) fn webhook(notification: &Notification, url: Option<&str>) -> String {
    let mut size = ENVELOPE_BYTES + url.map_or(0, str::len);
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
            "pipeline": notification.pipeline.as_ref().map(PipelineKey::as_str),
            "url": url,
            "alerts_omitted": notification.lines.len() - alerts.len(),
            "alerts": alerts,
        },
    })
    .to_string()
}

/// The body of a Slack incoming webhook, which Mattermost, Rocket.Chat, Discord and others accept too: a text and coloured
/// attachments. (Blocks look better, but only Slack has them.) Names and texts cannot mention anyone or add links: they are
/// escaped, and each receiver is also asked in its own fields to ignore mentions.
pub(super) fn slack(notification: &Notification, url: Option<&str>) -> String {
    let mut text = plain_text(&headline(notification));
    if let Some(url) = url {
        let _ = write!(text, " <{}|View>", escape(url));
    }
    let attachments: Vec<_> = notification.lines.iter().take(MAX_LINES).map(attachment).collect();
    if notification.lines.len() > MAX_LINES {
        let _ = write!(text, " ({MAX_LINES} shown, {} more)", notification.lines.len() - MAX_LINES);
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

pub(super) fn email(notification: &Notification, url: Option<&str>) -> Email {
    let mut text = String::new();
    for line in notification.lines.iter().take(MAX_LINES) {
        let _ = writeln!(text, "{}\n{}\n{}\n", summary_line(line), details(line), rfc3339(line.at));
    }
    if notification.lines.len() > MAX_LINES {
        let _ = writeln!(text, "And {} more.\n", notification.lines.len() - MAX_LINES);
    }
    if let Some(url) = url {
        let _ = writeln!(text, "{url}");
    }
    // A line break in a subject would start another header.
    let subject = headline(notification).replace(char::is_control, " ");
    Email { subject: format!("[Pipewatch] {subject}"), text }
}

#[derive(Serialize)]
struct WebhookAlert<'a> {
    event: &'static str,
    id: String,
    fingerprint: &'a str,
    rule: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    severity: &'static str,
    state: &'static str,
    title: String,
    message: String,
    timestamp: String,
    started_at: String,
    source: Option<&'a str>,
    check: Option<&'a str>,
    acknowledged_by: Option<&'a str>,
    note: Option<String>,
}

impl<'a> From<&'a Line> for WebhookAlert<'a> {
    fn from(line: &'a Line) -> Self {
        let TrackedAlert { id, fingerprint, rule, kind, subject, title, message, started_at, acknowledged, .. } =
            &line.alert;
        Self {
            event: line.event.as_str(),
            id: id.to_string(),
            fingerprint: fingerprint.as_str(),
            rule: rule.as_str(),
            kind: kind.as_str(),
            severity: line.severity.as_str(),
            state: AlertState::as_str(line.state),
            title: truncate(title, MAX_TEXT),
            message: truncate(message, MAX_TEXT),
            timestamp: rfc3339(line.at),
            started_at: rfc3339(*started_at),
            source: subject.source.as_ref().map(SourceKey::as_str),
            check: subject.check.as_deref(),
            acknowledged_by: acknowledged.as_ref().map(|by| by.author.as_str()),
            note: acknowledged.as_ref().and_then(|by| by.note.as_deref()).map(|note| truncate(note, MAX_TEXT)),
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
        "fallback": plain_text(&summary_line(line)),
        "title": plain_text(&summary_line(line)),
        "text": plain_text(&details(line)),
        "ts": line.at.timestamp(),
    })
}

/// The summary of a single line, or the number of lines per event.
fn headline(notification: &Notification) -> String {
    if let [line] = notification.lines.as_slice() {
        return summary_line(line);
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

fn summary_line(line: &Line) -> String {
    let (title, severity) = (&line.alert.title, line.severity.as_str());
    let summary = match line.event {
        Event::Resolved => format!("Resolved: {title}"),
        Event::Acknowledged => format!("Acknowledged: {title}"),
        event => format!("{} ({severity}): {title}", capitalised(word(event))),
    };
    truncate(&summary, MAX_TITLE - 1)
}

fn details(line: &Line) -> String {
    let details = match (line.event, &line.alert.acknowledged) {
        (Event::Resolved, _) => format!("Started at {}.", rfc3339(line.alert.started_at)),
        (Event::Acknowledged, Some(by)) => match &by.note {
            Some(note) => format!("{}: {note}", by.author),
            None => format!("By {}.", by.author),
        },
        _ => line.alert.message.clone(),
    };
    truncate(&details, MAX_TEXT)
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

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// Escapes the three characters that Slack requires.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
