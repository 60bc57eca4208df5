use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, Url};

use crate::domain::alert::notification::Secret;
use crate::domain::time::Timestamp;
use crate::notify::{BadChannel, Failure};
use crate::store::outbox::Delivery;

/// An URL that notifications are posted to. Shows nothing of it.
#[derive(Clone)]
pub struct Hook {
    /// Its name in the outbox.
    pub(super) name: String,
    client: Client,
    url: Url,
    secret: Option<Secret>,
}

impl Hook {
    pub(super) fn new(name: &str, url: &str, secret: Option<Secret>) -> Result<Self, BadChannel> {
        let url = Url::parse(url.trim()).map_err(|_| BadChannel::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(BadChannel::Url);
        }
        // An error means that there is one already.
        drop(rustls::crypto::ring::default_provider().install_default());
        // A redirect is not followed: a receiver is where the settings say, and nowhere that somebody else says.
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pipewatch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| BadChannel::NoEncryption)?;
        Ok(Self { name: name.to_owned(), client, url, secret })
    }

    pub(super) async fn send(&self, delivery: &Delivery, now: Timestamp) -> Result<(), Failure> {
        let id = delivery.notification.to_string();
        let mut request = self.client.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        match &self.secret {
            Some(secret) => {
                for (name, value) in secret.headers(&id, now, delivery.body.as_bytes()) {
                    request = request.header(name, value);
                }
            }
            None => request = request.header("webhook-id", id),
        }
        let answer = request.body(delivery.body.clone()).send().await;
        let answer = answer.map_err(|error| Failure::of(&error.without_url()))?;
        if answer.status().is_success() { Ok(()) } else { Err(refusal(answer).await) }
    }
}

async fn refusal(mut answer: Response) -> Failure {
    let status = answer.status();
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    // The beginning of what it says is enough: Slack says `invalid_payload`.
    let said = answer.chunk().await.ok().flatten().unwrap_or_default();
    let said = String::from_utf8_lossy(&said[..said.len().min(Failure::LENGTH)]);
    let hint = if status.is_redirection() { ", and redirects are not followed" } else { "" };
    let message = format!("the answer was {status}{hint}: {said}");
    Failure { retry_after: seconds.map(Duration::from_secs), ..Failure::new(message.trim_end_matches(": ")) }
}
