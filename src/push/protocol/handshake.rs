use axum::http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use tungstenite::error::{Error, ProtocolError};
use tungstenite::handshake::server::create_response_with_body;

/// Bytes of a decoded `Sec-WebSocket-Key` (RFC 6455, 4.1).
const KEY_LENGTH: usize = 16;
/// Clients pad keys, but not all of them clear the unused bits of the last character.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&base64::alphabet::STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// Why a handshake is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The method is not GET: 405.
    #[error("a WebSocket is opened with GET")]
    Method,
    /// The version is not HTTP/1.1: 400.
    #[error("a WebSocket is opened with HTTP/1.1")]
    HttpVersion,
    /// The request does not ask for an upgrade: 400.
    #[error("expected a WebSocket handshake with Connection: Upgrade and Upgrade: websocket")]
    Upgrade,
    /// The WebSocket version is not 13: 426.
    #[error("expected Sec-WebSocket-Version: 13")]
    WebSocketVersion,
    /// The key is missing or invalid: 400.
    #[error("expected a Sec-WebSocket-Key of 16 bytes in Base64")]
    Key,
}

impl HandshakeError {
    /// The status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion | Self::Upgrade | Self::Key => StatusCode::BAD_REQUEST,
            Self::WebSocketVersion => StatusCode::UPGRADE_REQUIRED,
        }
    }
}

/// The response that accepts a WebSocket.
///
/// # Errors
/// When the request is not a valid handshake (RFC 6455, 4.2.1).
pub fn handshake_response<T, B: Default>(
    request: &Request<T>,
    subprotocol: Option<&'static str>,
) -> Result<Response<B>, HandshakeError> {
    if request.method() != Method::GET {
        return Err(HandshakeError::Method);
    }
    if request.version() != Version::HTTP_11 {
        return Err(HandshakeError::HttpVersion);
    }
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY);
    let response = create_response_with_body(request, B::default).map_err(|error| match error {
        Error::Protocol(ProtocolError::MissingSecWebSocketVersionHeader) => HandshakeError::WebSocketVersion,
        Error::Protocol(ProtocolError::MissingSecWebSocketKey) => HandshakeError::Key,
        _ => HandshakeError::Upgrade,
    });
    let mut response = response?;
    if !key.is_some_and(is_valid_key) {
        return Err(HandshakeError::Key);
    }
    if let Some(subprotocol) = subprotocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol));
    }
    Ok(response)
}

fn is_valid_key(key: &HeaderValue) -> bool {
    BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == KEY_LENGTH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request<()> {
        let request = Request::builder()
            .header("connection", "keep-alive, Upgrade")
            .header("upgrade", "WebSocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        request.body(()).expect("a request")
    }

    fn refusal(change: impl FnOnce(&mut Request<()>)) -> Option<HandshakeError> {
        let mut request = request();
        change(&mut request);
        handshake_response::<(), ()>(&request, None).err()
    }

    fn with(name: &'static str, value: &'static str) -> impl FnOnce(&mut Request<()>) {
        move |request| drop(request.headers_mut().insert(name, HeaderValue::from_static(value)))
    }

    #[test]
    fn valid_handshake_is_accepted() {
        let response: Response<()> = handshake_response(&request(), Some("p")).expect("a valid handshake");
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        // The example of RFC 6455, 1.3.
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_ACCEPT], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()[header::SEC_WEBSOCKET_PROTOCOL], "p");
    }

    #[test]
    fn method_other_than_get_is_refused() {
        for method in [Method::POST, Method::HEAD, Method::CONNECT] {
            let refused = refusal(|request| *request.method_mut() = method.clone());
            assert_eq!(refused, Some(HandshakeError::Method), "{method}");
        }
    }

    #[test]
    fn key_that_is_not_16_encoded_bytes_is_refused() {
        for key in
            ["", "a", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZWE=", "not base64!"]
        {
            assert_eq!(refusal(with("sec-websocket-key", key)), Some(HandshakeError::Key), "{key:?}");
        }
        assert_eq!(
            refusal(|request| drop(request.headers_mut().remove("sec-websocket-key"))),
            Some(HandshakeError::Key)
        );
    }

    #[test]
    fn request_without_upgrade_is_refused() {
        assert_eq!(refusal(with("connection", "close")), Some(HandshakeError::Upgrade));
        assert_eq!(refusal(with("upgrade", "h2c")), Some(HandshakeError::Upgrade));
        assert_eq!(refusal(with("sec-websocket-version", "8")), Some(HandshakeError::WebSocketVersion));
        let refused = refusal(|request| *request.version_mut() = Version::HTTP_2);
        assert_eq!(refused, Some(HandshakeError::HttpVersion));
    }
}
