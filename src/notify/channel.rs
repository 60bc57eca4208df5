use std::fmt;

use lettre::message::Mailbox;

use crate::domain::alert::notification::Notification;
use crate::domain::time::Timestamp;
use crate::notify::body::{email, slack, webhook};
use crate::notify::email::Mailer;
use crate::notify::webhook::Webhook;
use crate::notify::{DeliveryError, Secret};
use crate::store::outbox::Delivery;

/// Where notifications are sent. `Debug` hides secrets.
#[derive(Clone, Default)]
pub struct Channels(Vec<Channel>);

#[derive(Clone)]
pub enum Channel {
    /// JSON according to Standard Webhooks.
    Webhook(Webhook),
    /// A Slack incoming webhook, or a compatible one.
    Slack(Webhook),
    Email(Mailer),
}

/// Why a channel cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidChannel {
    /// The value is not shown, since it is often a secret.
    #[error("expected a URL such as https://example.org/hook")]
    Url,
    #[error(
        "expected smtps://USER:PASSWORD@HOST:PORT, smtp://HOST:PORT?tls=required, or smtp://HOST:PORT (unencrypted)"
    )]
    Server,
    #[error("a password requires encryption: use smtps://, or smtp:// with ?tls=required")]
    Unencrypted,
    #[error("cannot set up TLS; check that this system has CA certificates")]
    NoEncryption,
}

impl Channels {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn as_slice(&self) -> &[Channel] {
        &self.0
    }
}

impl FromIterator<Channel> for Channels {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        Self(channels.into_iter().collect())
    }
}

impl Channel {
    /// A webhook, whose requests are signed if a secret is given.
    ///
    /// # Errors
    /// If the URL is not an HTTP URL.
    pub fn webhook(url: &str, secret: Option<Secret>) -> Result<Self, InvalidChannel> {
        Webhook::new("webhook", url, secret).map(Self::Webhook)
    }

    /// A Slack incoming webhook.
    ///
    /// # Errors
    /// If the URL is not an HTTP URL.
    pub fn slack(url: &str) -> Result<Self, InvalidChannel> {
        Webhook::new("slack", url, None).map(Self::Slack)
    }

    /// E-mail. Each address is a separate delivery, so that a rejected one does not affect the others.
    ///
    /// # Errors
    /// If the server's URL is invalid, or would send a password unencrypted.
    pub fn email(server: &str, from: Mailbox, to: Vec<Mailbox>) -> Result<Self, InvalidChannel> {
        Mailer::new(server, from, to).map(Self::Email)
    }

    /// The names of its deliveries in the outbox.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Webhook(hook) | Self::Slack(hook) => std::slice::from_ref(&hook.name),
            Self::Email(mailer) => &mailer.names,
        }
    }

    pub(super) fn is_email(&self) -> bool {
        matches!(self, Self::Email(_))
    }

    /// Renders a notification for the outbox.
    pub(super) fn body(&self, notification: &Notification) -> String {
        match self {
            Self::Webhook(_) => webhook(notification, None),
            Self::Slack(_) => slack(notification, None),
            Self::Email(_) => Mailer::body(email(notification, None)),
        }
    }

    /// Makes one delivery attempt.
    pub(super) async fn send(&self, delivery: &Delivery, now: Timestamp) -> Result<(), DeliveryError> {
        match self {
            Self::Webhook(hook) | Self::Slack(hook) => hook.send(delivery, now).await,
            Self::Email(mailer) => mailer.send(delivery).await,
        }
    }
}

impl fmt::Debug for Channels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().join(" "))
    }
}
