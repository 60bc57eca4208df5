use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Response;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::server::{Process, client};
use crate::support::{Server, in_time};

/// A plain or graphql-transport-ws WebSocket.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// The close code of an ended socket, or `None` without a close frame.
pub(crate) type Ending = Option<u16>;

impl Socket {
    /// Opens a WebSocket, with or without a subprotocol. The error is the HTTP status of a refused handshake.
    pub(crate) async fn open(server: &Server, path: &str, protocol: Option<&str>) -> Result<Self, u16> {
        Self::open_at(&server.url, path, protocol).await
    }

    async fn open_at(url: &str, path: &str, protocol: Option<&str>) -> Result<Self, u16> {
        let url = format!("{}{path}", url.replace("http", "ws"));
        let mut request = url.into_client_request().expect("a URL");
        if let Some(protocol) = protocol {
            let protocol = HeaderValue::from_str(protocol).expect("a header");
            request.headers_mut().insert("sec-websocket-protocol", protocol);
        }
        match in_time("a handshake", connect_async(request)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tokio_tungstenite::tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("a handshake: {error}"),
        }
    }

    /// The plain WebSocket.
    pub(crate) async fn plain(server: &Server, query: &str) -> Self {
        let path = format!("/api/v1/ws/monitoring/pipeline-status{query}");
        Self::open(server, &path, None).await.expect("an open socket")
    }

    /// graphql-transport-ws, acknowledged.
    pub(crate) async fn graphql(server: &Server) -> Self {
        Self::graphql_at(&server.url).await
    }

    /// graphql-transport-ws at this URL, acknowledged.
    pub(crate) async fn graphql_at(url: &str) -> Self {
        let mut socket = Self::graphql_unacknowledged(url).await;
        socket.send(json!({"type": "connection_init"})).await;
        assert_eq!(socket.next().await, json!({"type": "connection_ack"}));
        socket
    }

    /// graphql-transport-ws before `connection_init`.
    pub(crate) async fn graphql_unacknowledged(url: &str) -> Self {
        Self::open_at(url, "/graphql", Some("graphql-transport-ws")).await.expect("an open socket")
    }

    pub(crate) async fn subscribe(&mut self, id: &str, query: &str) {
        self.send(json!({"type": "subscribe", "id": id, "payload": {"query": query}})).await;
    }

    pub(crate) async fn send(&mut self, message: Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.0.send(message).await.expect("sent");
    }

    pub(crate) async fn next(&mut self) -> Value {
        match self.message().await {
            Ok(message) => message,
            Err(ending) => panic!("a message, but it ended with {ending:?}"),
        }
    }

    /// Skips messages and returns how the socket ends.
    pub(crate) async fn end(&mut self) -> Ending {
        loop {
            if let Err(ending) = self.message().await {
                return ending;
            }
        }
    }

    async fn message(&mut self) -> Result<Value, Ending> {
        loop {
            match in_time("a message", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(None),
            }
        }
    }
}

/// A stream of Server-Sent Events.
pub(crate) struct Events {
    pub(crate) response: Response,
    text: String,
}

/// One event. The fields have their names on the wire.
#[allow(clippy::struct_field_names)]
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) retry: String,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).expect("JSON")
    }
}

impl Events {
    pub(crate) async fn open(server: &Server, query: &str) -> Self {
        let path = format!("/api/v1/monitoring/pipeline-status/stream{query}");
        let response = in_time("a response", server.get(&path).send()).await.expect("a response");
        Self { response, text: String::new() }
    }

    /// Opens a stream with `Last-Event-ID`.
    pub(crate) async fn resume(server: &Server, query: &str, last_event_id: &str) -> Self {
        let path = format!("/api/v1/monitoring/pipeline-status/stream{query}");
        let request = server.get(&path).header("last-event-id", last_event_id);
        Self { response: in_time("a response", request.send()).await.expect("a response"), text: String::new() }
    }

    /// The default pipeline's events from a server in a separate process.
    pub(crate) async fn of_process(server: &Process) -> Self {
        let request = client().get(format!("{}/api/v1/monitoring/pipeline-status/stream", server.url));
        Self { response: in_time("a response", request.send()).await.expect("a response"), text: String::new() }
    }

    /// The next event; `None` when the stream ended normally.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event.lines().all(|line| line.starts_with(':')) {
                    continue;
                }
                return Some(parse(&event));
            }
            let chunk = in_time("an event", self.response.chunk()).await.expect("an unbroken stream")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    for line in text.lines() {
        let (name, value) = line.split_once(": ").expect("a field");
        match name {
            "event" => event.event.push_str(value),
            "id" => event.id.push_str(value),
            "retry" => event.retry.push_str(value),
            "data" => event.data.push_str(value),
            other => panic!("no such field: {other}"),
        }
    }
    event
}
