use std::fmt;

use lettre::message::Mailbox;

use crate::domain::alert::notification::{Notification, Secret, email};
use crate::domain::alert::notification::{slack, webhook};
use crate::domain::time::Timestamp;
use crate::notify::Failure;
use crate::notify::mail::Mail;
use crate::notify::webhook::Hook;
use crate::store::outbox::Delivery;

/// Where notifications go. Shows no secrets.
#[derive(Clone, Default)]
pub struct Channels(Vec<Channel>);

/// A way to tell somebody.
#[derive(Clone)]
pub enum Channel {
    /// A program, by JSON as the Standard Webhooks say.
    Webhook(Hook),
    /// Slack, or what takes its incoming webhooks.
    Slack(Hook),
    /// People, by e-mail.
    Mail(Mail),
}

/// Why nobody can be told in this way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadChannel {
    /// An URL that no notification can be posted to. It is not shown, for it is often a secret.
    #[error("expected an URL such as https://example.org/hook")]
    Url,
    /// No mail server.
    #[error("expected smtps://USER:PASSWORD@HOST:PORT, or smtp://HOST:PORT with ?tls=required or without encryption")]
    Server,
    /// A password would be readable on the way.
    #[error("a password needs encryption: expected smtps://, or smtp:// with ?tls=required")]
    Unencrypted,
    /// Encryption cannot be set up.
    #[error("encryption cannot be set up: are there certificates on this system?")]
    NoEncryption,
}

impl Channels {
    /// Whether nobody is told.
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
    /// A webhook, signed if there is a secret.
    ///
    /// # Errors
    /// An URL that is none.
    pub fn webhook(url: &str, secret: Option<Secret>) -> Result<Self, BadChannel> {
        Hook::new("webhook", url, secret).map(Self::Webhook)
    }

    /// An incoming webhook of Slack.
    ///
    /// # Errors
    /// An URL that is none.
    pub fn slack(url: &str) -> Result<Self, BadChannel> {
        Hook::new("slack", url, None).map(Self::Slack)
    }

    /// E-mail to some addresses: each is a delivery of its own, so that one which is refused keeps it from no other.
    ///
    /// # Errors
    /// A server that is none, or that would be told a password in the clear.
    pub fn mail(server: &str, from: Mailbox, to: Vec<Mailbox>) -> Result<Self, BadChannel> {
        Mail::new(server, from, to).map(Self::Mail)
    }

    /// Under which names it stands in the outbox.
    pub(super) fn names(&self) -> &[String] {
        match self {
            Self::Webhook(hook) | Self::Slack(hook) => std::slice::from_ref(&hook.name),
            Self::Mail(mail) => &mail.names,
        }
    }

    pub(super) fn is_mail(&self) -> bool {
        matches!(self, Self::Mail(_))
    }

    /// What is sent of a notification.
    pub(super) fn body(&self, notification: &Notification) -> String {
        match self {
            Self::Webhook(_) => webhook(notification, None),
            Self::Slack(_) => slack(notification, None),
            Self::Mail(_) => Mail::body(&email(notification, None)),
        }
    }

    /// Sends it once.
    pub(super) async fn send(&self, delivery: &Delivery, now: Timestamp) -> Result<(), Failure> {
        match self {
            Self::Webhook(hook) | Self::Slack(hook) => hook.send(delivery, now).await,
            Self::Mail(mail) => mail.send(delivery).await,
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
