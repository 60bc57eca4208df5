use std::time::SystemTime;

use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::domain::alert::notification::Email;
use crate::notify::{BadChannel, Failure};
use crate::store::outbox::Delivery;

/// What stands before an address in the outbox.
const NAME: &str = "email:";

/// A mail server, and who gets mail through it. Shows nothing of the server.
#[derive(Clone)]
pub struct Mail {
    /// The names of the recipients in the outbox.
    pub(super) names: Vec<String>,
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// What the outbox keeps of a mail.
#[derive(Serialize, Deserialize)]
struct Kept {
    subject: String,
    text: String,
}

impl Mail {
    pub(super) fn new(server: &str, from: Mailbox, to: Vec<Mailbox>) -> Result<Self, BadChannel> {
        let url = Url::parse(server.trim()).map_err(|_| BadChannel::Server)?;
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let is_encrypted = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) | ("smtp", Some("required")) => true,
            ("smtp", None | Some("opportunistic")) => false,
            _ => return Err(BadChannel::Server),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BadChannel::Server);
        }
        if !is_encrypted && url.password().is_some() {
            return Err(BadChannel::Unencrypted);
        }
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str());
        let server = server.map_err(|_| BadChannel::NoEncryption)?.build();
        let names = to.iter().map(|to| name_of(&to.email)).collect();
        Ok(Self { names, server, from, to })
    }

    /// What the outbox keeps of a mail.
    pub(super) fn body(email: &Email) -> String {
        let Email { subject, text } = email;
        serde_json::json!({ "subject": subject, "text": text }).to_string()
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), Failure> {
        let Some(to) = self.to.iter().find(|to| name_of(&to.email) == delivery.channel) else {
            return Err(Failure::new("nobody has this address"));
        };
        let Kept { subject, text } = serde_json::from_str(&delivery.body).map_err(|error| Failure::of(&error))?;
        // The same in every attempt, so that a mail which came twice is one.
        let id = format!("<{}@{}>", delivery.notification, self.from.email.domain());
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let mail = Message::builder()
            .from(self.from.clone())
            .to(to.clone())
            .subject(subject)
            .date(SystemTime::from(delivery.created_at))
            .message_id(Some(id))
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| Failure::of(&error))?;
        self.server.send(mail).await.map(drop).map_err(|error| Failure::of(&error))
    }
}

fn name_of(address: &Address) -> String {
    format!("{NAME}{address}")
}
