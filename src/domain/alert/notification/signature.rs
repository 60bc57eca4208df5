use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::time::Timestamp;

/// What may stand before a secret, so that scanners for leaked secrets know it.
const PREFIX: &str = "whsec_";

/// What a receiver and the server share, of 24 to 64 bytes.
///
/// Notifications are signed as the Standard Webhooks say (<https://www.standardwebhooks.com>), for which receivers have
/// libraries in every language: unlike `X-Hub-Signature-256` the signature covers the message's id and the time of the
/// attempt, so that a recorded message cannot be played again.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

/// A text that is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret is `whsec_` and 24 to 64 random bytes in base64, as `echo whsec_$(openssl rand -base64 32)` makes it"
)]
pub struct BadSecret;

impl Secret {
    /// The headers of one attempt to deliver a message. The id is the same in every attempt, the time is not.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        let timestamp = now.timestamp().to_string();
        // No name of a header has a capital: HTTP/2 sends none, and HTTP/1 does not mind.
        [
            ("webhook-signature", self.sign(id, &timestamp, body)),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", timestamp),
        ]
    }

    fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of any length");
        };
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Self, BadSecret> {
        let encoded = text.trim();
        let bytes = BASE64_STANDARD.decode(encoded.strip_prefix(PREFIX).unwrap_or(encoded)).map_err(|_| BadSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(BadSecret) }
    }
}

/// Nobody finds it in a log.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    /// The example that the reference libraries of Standard Webhooks are tested with.
    #[test]
    fn the_signature_is_that_of_the_reference_libraries() {
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            let headers = secret.parse::<Secret>().unwrap().headers(
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                DateTime::from_timestamp(1_614_265_330, 999_000_000).unwrap(),
                br#"{"test": 2432232314}"#,
            );
            assert_eq!(
                headers.map(|(name, value)| format!("{name}: {value}")),
                [
                    "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                    "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
                    "webhook-timestamp: 1614265330",
                ]
            );
        }
    }

    #[test]
    fn a_secret_is_long_enough_and_stays_one() {
        let of = |bytes: usize| format!("whsec_{}", BASE64_STANDARD.encode(vec![7; bytes]));
        for (text, good) in [
            (of(24), true),
            (of(64), true),
            (of(23), false),
            (of(65), false),
            (String::new(), false),
            ("whsec_not base64".into(), false),
        ] {
            assert_eq!(text.parse::<Secret>().is_ok(), good, "{text}");
        }
        assert_eq!(format!("{:?}", of(24).parse::<Secret>().unwrap()), "Secret(…)");
    }
}
