//! The comments of the fields are the text of `--help`, and so have no markup.
#![allow(clippy::doc_markdown, rustdoc::bare_urls)]

use std::fmt;

use clap::Args;
use lettre::message::Mailbox;
use serde::Deserialize;

use crate::config::BadSetting;
use crate::notify::{BadChannel, Channel, Channels};

/// Who is told of alerts: `[notices]` of the file, and the same as flags. What is empty is not set, whatever the file
/// says. Shows no values.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeSettings {
    /// Where alerts are posted to, as JSON
    #[arg(long, env = "PIPEWATCH_WEBHOOK_URL", value_name = "URL", hide_env_values = true)]
    pub webhook_url: Option<String>,
    /// What they are signed with, as Standard Webhooks say: whsec_ and 24 to 64 random bytes in base64
    #[arg(long, env = "PIPEWATCH_WEBHOOK_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub webhook_secret: Option<String>,
    /// An incoming webhook of Slack that alerts are posted to
    #[arg(long, env = "PIPEWATCH_SLACK_URL", value_name = "URL", hide_env_values = true)]
    pub slack_url: Option<String>,
    /// The mail server: smtps://USER:PASSWORD@HOST:PORT, or smtp:// with ?tls=required, or without encryption
    #[arg(long, env = "PIPEWATCH_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<String>,
    /// Whom mail is from, such as Pipewatch <pipewatch@example.org>
    #[arg(long, env = "PIPEWATCH_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// Who gets mail of alerts, separated by commas
    #[arg(long, env = "PIPEWATCH_MAIL_TO", value_name = "ADDRESSES", value_delimiter = ',')]
    pub mail_to: Option<Vec<String>>,
}

impl NoticeSettings {
    /// These, and where they say nothing `other`.
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

    /// The channels that they come to. No refusal shows an URL or a secret.
    pub(super) fn check(self) -> Result<Channels, BadSetting> {
        let bad = |key: &'static str| move |error: BadChannel| bad(key, error.to_string());
        let secret = set(self.webhook_secret).map(|text| {
            let secret: Result<_, crate::domain::alert::notification::BadSecret> = text.parse();
            secret.map_err(|error| self::bad("webhook_secret", error.to_string()))
        });
        let webhook = match (set(self.webhook_url), secret.transpose()?) {
            (Some(url), secret) => Some(Channel::webhook(&url, secret).map_err(bad("webhook_url"))?),
            (None, Some(_)) => return Err(self::bad("webhook_url", "missing, though there is a webhook_secret")),
            (None, None) => None,
        };
        let slack = set(self.slack_url).map(|url| Channel::slack(&url).map_err(bad("slack_url"))).transpose()?;

        let from = set(self.mail_from).map(|address| mailbox("mail_from", &address)).transpose()?;
        let to = self.mail_to.unwrap_or_default().into_iter().filter_map(|address| set(Some(address)));
        let to = to.map(|address| mailbox("mail_to", &address)).collect::<Result<Vec<_>, _>>()?;
        let mail = match (set(self.smtp_url), from, to) {
            (None, None, to) if to.is_empty() => None,
            (Some(server), Some(from), to) if !to.is_empty() => {
                Some(Channel::mail(&server, from, to).map_err(bad("smtp_url"))?)
            }
            (server, from, _) => {
                let missing = if server.is_none() {
                    "smtp_url"
                } else if from.is_none() {
                    "mail_from"
                } else {
                    "mail_to"
                };
                return Err(self::bad(missing, "missing: mail needs smtp_url, mail_from and mail_to"));
            }
        };
        Ok([webhook, slack, mail].into_iter().flatten().collect())
    }
}

fn set(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.trim().is_empty())
}

fn mailbox(key: &'static str, text: &str) -> Result<Mailbox, BadSetting> {
    let expected = "expected an address such as ada@example.org or Ada <ada@example.org>";
    text.trim().parse().map_err(|_| bad(key, format!("{text:?}; {expected}")))
}

fn bad(key: &'static str, message: impl Into<String>) -> BadSetting {
    BadSetting::new(format!("notices.{key}"), message)
}

impl fmt::Debug for NoticeSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NoticeSettings(…)")
    }
}
