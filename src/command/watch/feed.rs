//! Reads from the server what a topic needs: opens streams, polls, and queries alerts.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::command::server::{Server, ServerError};
use crate::command::watch::connection::{Connection, Effect, Event, Failure};
use crate::command::watch::events::{EventParser, ServerEvent};
use crate::command::watch::screen::{Data, Topic};
use crate::command::watch::status::{Alert, SUMMARY_FIELDS};

const STATUS: &str = "/api/v1/monitoring/pipeline-status";
/// The time limit of a poll.
const POLL_TIMEOUT: Duration = Duration::from_secs(10);

/// What a feed sends to its owner.
pub(super) struct Message {
    /// The feed that sent it; messages of an earlier one are late.
    feed: u64,
    pub(super) content: Content,
}

pub(super) enum Content {
    Connection(Event),
    /// Data of a stream or, if not, of a poll.
    Data {
        data: Data,
        is_stream: bool,
    },
    Alerts(Vec<Alert>),
}

/// The connection for the current topic.
pub(super) struct Feed {
    server: Server,
    topic: Topic,
    sender: mpsc::UnboundedSender<Message>,
    number: u64,
    connection: Connection,
    stream: Option<JoinHandle<()>>,
    poll: Option<JoinHandle<()>>,
    alerts: Option<JoinHandle<()>>,
}

impl Feed {
    pub(super) fn start(server: Server, topic: Topic, sender: mpsc::UnboundedSender<Message>, now: Duration) -> Self {
        let (connection, effects) = Connection::start(now);
        let mut feed = Self { server, topic, sender, number: 0, connection, stream: None, poll: None, alerts: None };
        feed.apply(&effects);
        feed
    }

    /// Changes to another topic.
    pub(super) fn follow(&mut self, topic: Topic, now: Duration) {
        if self.topic == topic {
            return;
        }
        self.abort();
        self.number += 1;
        self.topic = topic;
        let (connection, effects) = Connection::start(now);
        self.connection = connection;
        self.apply(&effects);
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether a message is of the current topic.
    pub(super) fn is_current(&self, message: &Message) -> bool {
        message.feed == self.number
    }

    pub(super) fn step(&mut self, event: Event, now: Duration) {
        let effects = self.connection.step(event, now, fastrand::f64());
        self.apply(&effects);
    }

    /// Queries the alerts of all pipelines, unless a query runs.
    pub(super) fn query_alerts(&mut self) {
        if self.alerts.as_ref().is_none_or(JoinHandle::is_finished) {
            let (server, send) = (self.server.clone(), self.send());
            self.alerts = Some(tokio::spawn(async move {
                // A failure shows in the connection.
                if let Ok(Ok(alerts)) = timeout(POLL_TIMEOUT, alerts(&server)).await {
                    send(Content::Alerts(alerts));
                }
            }));
        }
    }

    fn send(&self) -> impl Fn(Content) + Send + 'static {
        let (sender, feed) = (self.sender.clone(), self.number);
        // The receiver is gone when the program ends.
        move |content| drop(sender.send(Message { feed, content }))
    }

    fn apply(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Open => self.open(),
                Effect::Close => drop(self.stream.take().map(|stream| stream.abort())),
                Effect::Poll => self.poll(),
            }
        }
    }

    fn open(&mut self) {
        let (server, topic, send) = (self.server.clone(), self.topic.clone(), self.send());
        if let Some(stream) = self.stream.replace(tokio::spawn(async move {
            let failure = match stream(&server, &topic, &send).await {
                Ok(()) => Failure { reason: "the server ended the stream".into(), is_unauthorized: false },
                Err(error) => failure(&error),
            };
            send(Content::Connection(Event::Closed(failure)));
        })) {
            stream.abort();
        }
    }

    fn poll(&mut self) {
        let (server, topic, send) = (self.server.clone(), self.topic.clone(), self.send());
        if let Some(poll) = self.poll.replace(tokio::spawn(async move {
            match timeout(POLL_TIMEOUT, poll(&server, &topic)).await {
                Ok(Ok(data)) => {
                    send(Content::Data { data, is_stream: false });
                    send(Content::Connection(Event::Polled));
                }
                Ok(Err(error)) => send(Content::Connection(Event::PollFailed(failure(&error)))),
                Err(_) => {
                    let reason = format!("{} does not respond", server.shown());
                    send(Content::Connection(Event::PollFailed(Failure { reason, is_unauthorized: false })));
                }
            }
        })) {
            poll.abort();
        }
    }

    fn abort(&mut self) {
        for task in [&mut self.stream, &mut self.poll, &mut self.alerts].into_iter().filter_map(Option::take) {
            task.abort();
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.abort();
    }
}

fn failure(error: &ServerError) -> Failure {
    let is_unauthorized = matches!(error, ServerError::TokenMissing { .. } | ServerError::TokenRefused { .. });
    Failure { reason: error.to_string(), is_unauthorized }
}

/// Reads a stream until it ends.
async fn stream(server: &Server, topic: &Topic, send: &impl Fn(Content)) -> Result<(), ServerError> {
    let request = match topic {
        Topic::Overview => {
            let query = format!("subscription {{ pipelinesUpdates {{ {SUMMARY_FIELDS} }} }}");
            server.post(server.route("/graphql")).json(&json!({ "query": query }))
        }
        Topic::Pipeline(key) => {
            let mut url = server.route(&format!("{STATUS}/stream"));
            url.query_pairs_mut().append_pair("pipeline", key).append_pair("sources", "all");
            server.get(url)
        }
    };
    let response = server.send(request.header("accept", "text/event-stream")).await?;
    let mut response = stream_of(server, response).await?;
    let mut parser = EventParser::default();
    let not_pipewatch = || ServerError::NotPipewatch { url: server.shown(), status: reqwest::StatusCode::OK };
    while let Some(part) = response.chunk().await.map_err(|error| server.unreachable(&error))? {
        send(Content::Connection(Event::Activity));
        for ServerEvent { name, data } in parser.feed(&part).map_err(|_| not_pipewatch())? {
            let value = || serde_json::from_str::<Value>(&data).map_err(|_| not_pipewatch());
            let data = match name.as_str() {
                "next" => overview_of(&value()?["data"]["pipelinesUpdates"]),
                "status" => status_of(value()?),
                "complete" => return Ok(()),
                _ => continue,
            };
            send(Content::Data { data: data.ok_or_else(not_pipewatch)?, is_stream: true });
            send(Content::Connection(Event::Data));
        }
    }
    Ok(())
}

/// The response if it is a stream, otherwise its error.
async fn stream_of(server: &Server, response: Response) -> Result<Response, ServerError> {
    let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
    if response.status().is_success() && content_type.is_some_and(|value| value.starts_with("text/event-stream")) {
        return Ok(response);
    }
    let (status, _) = server.read_json(response, |_| false).await?;
    Err(ServerError::NotPipewatch { url: server.shown(), status })
}

async fn poll(server: &Server, topic: &Topic) -> Result<Data, ServerError> {
    let (data, status) = match topic {
        Topic::Overview => {
            let query = format!("{{ pipelines(first: 1000) {{ {SUMMARY_FIELDS} }} }}");
            let (status, body) = graphql(server, &query).await?;
            (overview_of(&body["data"]["pipelines"]), status)
        }
        Topic::Pipeline(key) => {
            let mut url = server.route(STATUS);
            url.query_pairs_mut().append_pair("pipeline", key).append_pair("sources", "all");
            let (status, body) = server.read_json(server.send(server.get(url)).await?, |_| false).await?;
            (status_of(body), status)
        }
    };
    data.ok_or_else(|| ServerError::NotPipewatch { url: server.shown(), status })
}

async fn alerts(server: &Server) -> Result<Vec<Alert>, ServerError> {
    let query = "{ alerts(states: [FIRING, ACKNOWLEDGED], first: 500) { nodes { pipeline source severity state title message \
                 timestamp: changedAt } } }";
    let (status, mut body) = graphql(server, query).await?;
    let nodes = body["data"]["alerts"]["nodes"].take();
    serde_json::from_value(nodes).map_err(|_| ServerError::NotPipewatch { url: server.shown(), status })
}

async fn graphql(server: &Server, query: &str) -> Result<(reqwest::StatusCode, Value), ServerError> {
    let request = server.post(server.route("/graphql")).json(&json!({ "query": query }));
    server.read_json(server.send(request).await?, |_| false).await
}

fn overview_of(pipelines: &Value) -> Option<Data> {
    serde_json::from_value(pipelines.clone()).ok().map(Data::Overview)
}

fn status_of(status: Value) -> Option<Data> {
    serde_json::from_value(status).ok().map(|status| Data::Pipeline(Box::new(status)))
}
