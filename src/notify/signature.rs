use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::domain::time::Timestamp;

/// The optional prefix of a secret, by which scanners recognise leaked ones.
const PREFIX: &str = "whsec_";

/// A secret of 24 to 64 bytes that the server shares with a webhook's receiver.
///
/// Notifications are signed according to Standard Webhooks (<https://www.standardwebhooks.com>), which has libraries for
/// every language. Unlike `X-Hub-Signature-256`, the signature covers the message's id and the time of the attempt, which
/// prevents replay.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected `whsec_` and 24 to 64 random bytes in base64; create one with `echo whsec_$(openssl rand -base64 32)`"
)]
pub struct InvalidSecret;

impl Secret {
    /// The headers of one delivery attempt. The id is the same in every attempt, the time is not.
    pub fn headers(&self, id: &str, now: Timestamp, body: &[u8]) -> [(&'static str, String); 3] {
        let timestamp = now.timestamp().to_string();
        // Lower case, which HTTP/2 requires and HTTP/1 accepts.
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
    type Err = InvalidSecret;

    fn from_str(text: &str) -> Result<Self, InvalidSecret> {
        let encoded = text.trim();
        let bytes =
            BASE64_STANDARD.decode(encoded.strip_prefix(PREFIX).unwrap_or(encoded)).map_err(|_| InvalidSecret)?;
        if (24..=64).contains(&bytes.len()) { Ok(Self(bytes)) } else { Err(InvalidSecret) }
    }
}

/// Hides the secret.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    /// The test vector of the reference libraries of Standard Webhooks.
    #[test]
    fn signature_equals_the_reference_libraries() {
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
    fn secret_has_24_to_64_bytes_and_is_not_printed() {
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
