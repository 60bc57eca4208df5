use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, Url};

use crate::domain::time::Timestamp;
use crate::notify::{DeliveryError, InvalidChannel, Secret};
use crate::store::outbox::Delivery;

/// A URL that notifications are posted to. `Debug` hides it.
#[derive(Clone)]
pub struct Webhook {
    /// Its name in the outbox.
    pub(super) name: String,
    client: Client,
    url: Url,
    secret: Option<Secret>,
}

impl Webhook {
    pub(super) fn new(name: &str, url: &str, secret: Option<Secret>) -> Result<Self, InvalidChannel> {
        let url = Url::parse(url.trim()).map_err(|_| InvalidChannel::Url)?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(InvalidChannel::Url);
        }
        // An error means that a provider is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        // Redirects are not followed: notifications go only to the configured host.
        let client = Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("pipewatch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|_| InvalidChannel::NoEncryption)?;
        Ok(Self { name: name.to_owned(), client, url, secret })
    }

    pub(super) async fn send(&self, delivery: &Delivery, now: Timestamp) -> Result<(), DeliveryError> {
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
        let response = request.body(delivery.body.clone()).send().await;
        let response = response.map_err(|error| DeliveryError::of(&error.without_url()))?;
        if response.status().is_success() { Ok(()) } else { Err(error_of(response).await) }
    }
}

async fn error_of(mut response: Response) -> DeliveryError {
    let status = response.status();
    let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    // The beginning of the body is enough: Slack sends `invalid_payload`.
    let text = response.chunk().await.ok().flatten().unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(DeliveryError::MAX_LENGTH)]);
    let hint = if status.is_redirection() { " (redirects are not followed)" } else { "" };
    let message = format!("the receiver responded {status}{hint}: {text}");
    DeliveryError {
        retry_after: seconds.map(Duration::from_secs),
        ..DeliveryError::new(message.trim_end_matches(": "))
    }
}
