use std::time::SystemTime;

use lettre::address::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::notify::body::Email;
use crate::notify::{DeliveryError, InvalidChannel};
use crate::store::outbox::Delivery;

/// Precedes an address in the outbox.
const PREFIX: &str = "email:";

/// An SMTP server and its recipients. `Debug` hides the server.
#[derive(Clone)]
pub struct Mailer {
    /// The recipients' names in the outbox.
    pub(super) names: Vec<String>,
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// An e-mail in the outbox.
#[derive(Serialize, Deserialize)]
struct StoredEmail {
    subject: String,
    text: String,
}

impl Mailer {
    pub(super) fn new(server: &str, from: Mailbox, to: Vec<Mailbox>) -> Result<Self, InvalidChannel> {
        let url = Url::parse(server.trim()).map_err(|_| InvalidChannel::Server)?;
        let tls = url.query_pairs().find(|(key, _)| key == "tls").map(|(_, value)| value.into_owned());
        let is_encrypted = match (url.scheme(), tls.as_deref()) {
            ("smtps", _) | ("smtp", Some("required")) => true,
            ("smtp", None | Some("opportunistic")) => false,
            _ => return Err(InvalidChannel::Server),
        };
        if url.host_str().is_none_or(str::is_empty) {
            return Err(InvalidChannel::Server);
        }
        if !is_encrypted && url.password().is_some() {
            return Err(InvalidChannel::Unencrypted);
        }
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str());
        let server = server.map_err(|_| InvalidChannel::NoEncryption)?.build();
        let names = to.iter().map(|to| name_of(&to.email)).collect();
        Ok(Self { names, server, from, to })
    }

    /// The JSON that the outbox stores.
    pub(super) fn body(email: Email) -> String {
        let Email { subject, text } = email;
        serde_json::to_string(&StoredEmail { subject, text }).expect("strings always serialise")
    }

    pub(super) async fn send(&self, delivery: &Delivery) -> Result<(), DeliveryError> {
        let Some(to) = self.to.iter().find(|to| name_of(&to.email) == delivery.channel) else {
            return Err(DeliveryError::new("the recipient is not configured"));
        };
        let StoredEmail { subject, text } =
            serde_json::from_str(&delivery.body).map_err(|error| DeliveryError::of(&error))?;
        // The same id in every attempt, so that mail servers recognise duplicates.
        let id = format!("<{}@{}>", delivery.notification, self.from.email.domain());
        let automatic = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned());
        let message = Message::builder()
            .from(self.from.clone())
            .to(to.clone())
            .subject(subject)
            .date(SystemTime::from(delivery.created_at))
            .message_id(Some(id))
            .raw_header(automatic)
            .header(ContentType::TEXT_PLAIN)
            .body(text)
            .map_err(|error| DeliveryError::of(&error))?;
        self.server.send(message).await.map(drop).map_err(|error| DeliveryError::of(&error))
    }
}

fn name_of(address: &Address) -> String {
    format!("{PREFIX}{address}")
}
