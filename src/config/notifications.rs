//! Doc comments of the fields are the text of `--help`, so they contain no markup.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::fmt;

use clap::Args;
use lettre::message::Mailbox;
use serde::Deserialize;

use crate::config::error::ConfigError;
use crate::notify::{Channel, Channels, InvalidChannel};

/// Notification channels: the section `[notifications]` of the configuration file, and the same settings as flags. An empty
/// value disables a setting. `Debug` hides all values.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettings {
    /// URL that alert notifications are posted to, as JSON
    #[arg(long, env = "PIPEWATCH_WEBHOOK_URL", value_name = "URL", hide_env_values = true)]
    pub webhook_url: Option<String>,
    /// Secret for signing these requests (Standard Webhooks): whsec_ and 24 to 64 random bytes in base64
    #[arg(long, env = "PIPEWATCH_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub webhook_secret: Option<String>,
    /// URL of a Slack incoming webhook, or a compatible one
    #[arg(long, env = "PIPEWATCH_SLACK_URL", value_name = "URL", hide_env_values = true)]
    pub slack_url: Option<String>,
    /// SMTP server: smtps://USER:PASSWORD@HOST:PORT, smtp://HOST:PORT?tls=required, or smtp://HOST:PORT (unencrypted)
    #[arg(long, env = "PIPEWATCH_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Sender address of e-mail notifications, such as Pipewatch <pipewatch@example.org>
    #[arg(long, env = "PIPEWATCH_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// Comma-separated recipients of e-mail notifications
    #[arg(long, env = "PIPEWATCH_MAIL_TO", value_name = "ADDRESSES", value_delimiter = ',')]
    pub mail_to: Option<Vec<String>>,
}

impl NotificationSettings {
    /// Merges two layers; `self` takes precedence.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            webhook_url: self.webhook_url.or(other.webhook_url),
            webhook_secret: self.webhook_secret.or(other.webhook_secret),
            slack_url: self.slack_url.or(other.slack_url),
            smtp_url: self.smtp_url.or(other.smtp_url),
            mail_from: self.mail_from.or(other.mail_from),
            mail_to: self.mail_to.or(other.mail_to),
        }
    }

    /// Validates the settings. No error shows a URL or a secret.
    pub(super) fn check(self) -> Result<Channels, ConfigError> {
        let bad = |key: &'static str| move |error: InvalidChannel| bad(key, error.to_string());
        let secret = set(self.webhook_secret).map(|text| {
            let secret: Result<_, crate::notify::InvalidSecret> = text.parse();
            secret.map_err(|error| self::bad("webhook_secret", error.to_string()))
        });
        let webhook = match (set(self.webhook_url), secret.transpose()?) {
            (Some(url), secret) => Some(Channel::webhook(&url, secret).map_err(bad("webhook_url"))?),
            (None, Some(_)) => return Err(self::bad("webhook_url", "missing, but webhook_secret is set")),
            (None, None) => None,
        };
        let slack = set(self.slack_url).map(|url| Channel::slack(&url).map_err(bad("slack_url"))).transpose()?;

        let from = set(self.mail_from).map(|address| mailbox("mail_from", &address)).transpose()?;
        let to = self.mail_to.unwrap_or_default().into_iter().filter_map(|address| set(Some(address)));
        let to = to.map(|address| mailbox("mail_to", &address)).collect::<Result<Vec<_>, _>>()?;
        let mail = match (set(self.smtp_url), from, to) {
            (None, None, to) if to.is_empty() => None,
            (Some(server), Some(from), to) if !to.is_empty() => {
                Some(Channel::email(&server, from, to).map_err(bad("smtp_url"))?)
            }
            (server, from, _) => {
                let missing = if server.is_none() {
                    "smtp_url"
                } else if from.is_none() {
                    "mail_from"
                } else {
                    "mail_to"
                };
                return Err(self::bad(missing, "missing: e-mail requires smtp_url, mail_from and mail_to"));
            }
        };
        Ok([webhook, slack, mail].into_iter().flatten().collect())
    }
}

fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}

fn mailbox(key: &'static str, text: &str) -> Result<Mailbox, ConfigError> {
    let expected = "expected an address such as ada@example.org or Ada <ada@example.org>";
    text.trim().parse().map_err(|_| bad(key, format!("{text:?}; {expected}")))
}

fn bad(key: &'static str, message: impl Into<String>) -> ConfigError {
    ConfigError::new(format!("notifications.{key}"), message)
}

impl fmt::Debug for NotificationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotificationSettings(…)")
    }
}
