//! The server that a command talks to.

use std::time::Duration;

use clap::Args;
use pipewatch::config::environment::TOKEN;
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::chain;
use crate::command::exit;

/// The server unless another is set.
const DEFAULT: &str = "http://127.0.0.1:8000";
/// The longest text of a response that an error quotes.
const MAX_QUOTED: usize = 200;

/// Which server a command talks to. The token is deliberately not a flag, since command lines are visible to other users.
#[derive(Args, Clone)]
pub(crate) struct ServerFlags {
    /// URL of the server, or off to report nothing
    #[arg(
        long,
        global = true,
        env = "PIPEWATCH_URL",
        value_name = "URL",
        default_value = DEFAULT,
        value_parser = address
    )]
    server: Address,
}

/// The base URL of a server. `off` switches reporting off, such as on a developer's machine.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    Off,
    Url(Url),
}

impl ServerFlags {
    /// Whether nothing is to be reported.
    pub(crate) fn is_off(&self) -> bool {
        matches!(self.server, Address::Off)
    }
}

/// An empty variable counts as unset.
fn address(text: &str) -> Result<Address, String> {
    let text = if text.is_empty() { DEFAULT } else { text };
    if text.eq_ignore_ascii_case("off") { Ok(Address::Off) } else { server_url(text).map(Address::Url) }
}

/// Parses the base URL of a server.
fn server_url(text: &str) -> Result<Url, String> {
    let expected = "expected a URL such as http://127.0.0.1:8000, in --server or PIPEWATCH_URL";
    let url = text.parse::<Url>().map_err(|error| format!("{error}; {expected}"))?;
    let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
    if is_http { Ok(url) } else { Err(format!("not an http or https URL; {expected}")) }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("cannot reach {url}: {cause}; check the address (--server or PIPEWATCH_URL) and whether the server runs")]
    Unreachable { url: String, cause: String },
    #[error("{url} is unavailable ({status}): {detail}")]
    Unavailable { url: String, status: StatusCode, detail: String, retry_after: Option<Duration> },
    #[error("{url} requires an access token; set PIPEWATCH_TOKEN")]
    TokenMissing { url: String },
    #[error("{url} refused the access token in PIPEWATCH_TOKEN; set a valid one")]
    TokenRefused { url: String },
    #[error("{url} refused the request ({status}): {detail}")]
    Forbidden { url: String, status: StatusCode, detail: String },
    #[error("{url} redirects to {target}; set --server or PIPEWATCH_URL to the final address")]
    Redirect { url: String, target: String },
    #[error("{url} is not a Pipewatch server (it responded {status}); check --server or PIPEWATCH_URL")]
    NotPipewatch { url: String, status: StatusCode },
    /// A refusal of this request, which a retry would not change.
    #[error("{url} responded {status}: {detail}")]
    Rejected { url: String, status: StatusCode, code: String, detail: String },
}

impl ServerError {
    /// Whether a later attempt may succeed without a change of settings.
    pub(crate) fn is_temporary(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Unavailable { .. })
    }

    pub(crate) fn exit_status(&self) -> u8 {
        match self {
            Self::Unreachable { .. } | Self::Unavailable { .. } => exit::UNAVAILABLE,
            Self::TokenMissing { .. } | Self::TokenRefused { .. } => exit::TOKEN_REFUSED,
            Self::Forbidden { .. } | Self::Redirect { .. } | Self::NotPipewatch { .. } => exit::WRONG_SERVER,
            Self::Rejected { .. } => exit::REFUSED,
        }
    }

    /// The least time before the next attempt, as the server requests.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        if let Self::Unavailable { retry_after, .. } = self { *retry_after } else { None }
    }
}

/// A client of one server.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    base: Url,
    token: Option<String>,
}

impl Server {
    /// `timeout` limits the time to connect and, between two reads, the silence of the server.
    pub(crate) fn new(flags: &ServerFlags, timeout: Duration) -> Result<Self, String> {
        let Address::Url(address) = &flags.server else {
            return Err("no server: --server or PIPEWATCH_URL is \"off\"".to_owned());
        };
        // An error means that a provider is installed already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder()
            .connect_timeout(timeout)
            .read_timeout(timeout)
            .redirect(Policy::none())
            .user_agent(concat!("pipewatch/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("cannot create the HTTP client: {}", chain(&error)))?;
        let mut base = address.clone();
        base.set_query(None);
        base.set_fragment(None);
        Ok(Self { client, base, token: std::env::var(TOKEN).ok() })
    }

    /// The base URL as errors show it: without credentials.
    pub(crate) fn shown(&self) -> String {
        let mut shown = self.base.clone();
        // Both fail only for URLs without a host.
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        shown.as_str().trim_end_matches('/').to_owned()
    }

    /// The URL of a route, such as `/api/v1/source-runs`, below the path of the base URL.
    pub(crate) fn route(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.authorized(self.client.get(url))
    }

    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.authorized(self.client.post(url))
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// Sends a request. A response is a success (2xx), 304, or a response of [`Server::read_json`].
    pub(crate) async fn send(&self, request: RequestBuilder) -> Result<Response, ServerError> {
        request.send().await.map_err(|error| self.unreachable(&error))
    }

    /// Reads a JSON response; `is_answer` recognises the bodies of other statuses than 2xx that are not errors.
    pub(crate) async fn read_json(
        &self,
        response: Response,
        is_answer: impl Fn(&Value) -> bool,
    ) -> Result<(StatusCode, Value), ServerError> {
        let status = response.status();
        if let Some(target) = response.headers().get("location").filter(|_| status.is_redirection()) {
            let target = quoted(&String::from_utf8_lossy(target.as_bytes()));
            return Err(ServerError::Redirect { url: self.shown(), target });
        }
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        let body: Option<Value> = serde_json::from_slice(&bytes).ok();
        match body {
            Some(body) if status.is_success() || is_answer(&body) => Ok((status, body)),
            body => Err(self.failure(status, body.as_ref(), retry_after)),
        }
    }

    fn failure(&self, status: StatusCode, body: Option<&Value>, retry_after: Option<Duration>) -> ServerError {
        let url = self.shown();
        // Every error of the server is a problem (RFC 9457) with a code.
        let problem = body.and_then(|body| Some((body["code"].as_str()?, body["detail"].as_str()?)));
        let detail = problem.map_or_else(|| "no details".to_owned(), |(_, detail)| quoted(detail));
        match status {
            StatusCode::UNAUTHORIZED if self.token.is_none() => ServerError::TokenMissing { url },
            StatusCode::UNAUTHORIZED => ServerError::TokenRefused { url },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                ServerError::Unavailable { url, status, detail, retry_after }
            }
            status if status.is_server_error() => ServerError::Unavailable { url, status, detail, retry_after },
            StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => ServerError::Forbidden { url, status, detail },
            status => match problem {
                Some((code, _)) if code != "ROUTE_NOT_FOUND" && !status.is_success() => {
                    ServerError::Rejected { url, status, code: code.to_owned(), detail }
                }
                _ => ServerError::NotPipewatch { url, status },
            },
        }
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> ServerError {
        // The URL is in the message already.
        let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
        let cause = causes.last().map_or_else(|| error.to_string(), ToString::to_string);
        let cause = if error.is_timeout() { "no response in time".to_owned() } else { cause };
        ServerError::Unreachable { url: self.shown(), cause }
    }
}

/// A text of a server in one line, shortened, without control characters.
fn quoted(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(MAX_QUOTED).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Server {
        let flags = ServerFlags { server: address(url).expect("a URL") };
        Server { token: None, ..Server::new(&flags, Duration::from_secs(1)).expect("a client") }
    }

    #[test]
    fn routes_are_below_the_path_of_the_address() {
        for (base, expect) in [
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000/api/v1/x"),
            ("http://127.0.0.1:8000/", "http://127.0.0.1:8000/api/v1/x"),
            ("https://example.org/pipewatch/?a=b#c", "https://example.org/pipewatch/api/v1/x"),
        ] {
            assert_eq!(server(base).route("/api/v1/x").as_str(), expect);
        }
        assert_eq!(server("http://me:secret@example.org/a/").shown(), "http://example.org/a");
    }

    #[test]
    fn address_without_scheme_is_refused() {
        for text in ["localhost:8000", "ftp://localhost", "/api", "http://"] {
            assert!(address(text).is_err_and(|error| error.contains("PIPEWATCH_URL")), "{text}");
        }
    }

    #[test]
    fn failures_are_classified() {
        let problem = |code: &str| serde_json::json!({"code": code, "detail": "why"});
        for (status, body, is_temporary, exit_status) in [
            (503, Some(problem("OVERLOADED")), true, exit::UNAVAILABLE),
            (502, None, true, exit::UNAVAILABLE),
            (429, Some(problem("TOO_MANY_FAILURES")), true, exit::UNAVAILABLE),
            (401, Some(problem("UNAUTHORIZED")), false, exit::TOKEN_REFUSED),
            (403, Some(problem("CROSS_SITE")), false, exit::WRONG_SERVER),
            (421, Some(problem("MISDIRECTED_REQUEST")), false, exit::WRONG_SERVER),
            (404, None, false, exit::WRONG_SERVER),
            (404, Some(problem("ROUTE_NOT_FOUND")), false, exit::WRONG_SERVER),
            (200, None, false, exit::WRONG_SERVER),
            (413, Some(problem("TOO_LARGE")), false, exit::REFUSED),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let failure = server("http://127.0.0.1:1").failure(status, body.as_ref(), None);
            assert_eq!((failure.is_temporary(), failure.exit_status()), (is_temporary, exit_status), "{failure}");
        }
    }
}
