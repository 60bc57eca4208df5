//! The one way to run an operation over a connection, whatever its transport.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Refusal};
use crate::graphql::executor::Graphql;
use crate::graphql::operation::Operation;
use crate::push::broker::Broker;
use crate::push::completion::Completion;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::hub::topic_key;
use crate::push::message::Message;
use crate::push::quota::{TooManyTopics, TopicKey};
use crate::push::topic::{SubscriptionGuard, Update, UpdateStream};
use crate::status::monitor::Monitor;

/// Starts operations.
#[derive(Clone)]
pub struct Operations {
    graphql: Graphql,
    monitor: Monitor,
    broker: Broker,
}

/// Sends what an operation yields: the connection, its encoding, and the operation's id.
#[derive(Debug, Clone)]
pub struct Responder {
    connection: Arc<Connection>,
    encoding: Encoding,
    /// JSON text, or nothing if the connection has one operation only.
    id: String,
}

/// Why an operation does not start.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StartError {
    /// The operation is invalid, or exceeds a limit.
    #[error("the operation is refused")]
    Refused(Refusal),
    /// There are too many subscriptions.
    #[error(transparent)]
    TooManyTopics(#[from] TooManyTopics),
}

/// A running operation of a connection. Dropping it stops it.
#[derive(Debug)]
pub enum RunningOperation {
    /// A subscription.
    Subscription(SubscriptionGuard),
    /// A query or mutation.
    Task(AbortOnDropHandle<()>),
}

impl Operations {
    /// Executes operations with this executor, and subscribes connections to the topics of this broker.
    pub fn new(graphql: Graphql, monitor: Monitor, broker: Broker) -> Self {
        Self { graphql, monitor, broker }
    }

    /// Starts a parsed operation: a subscription joins its topic, everything else runs once.
    ///
    /// # Errors
    /// There are too many subscriptions.
    pub fn start_operation(
        &self,
        operation: Operation,
        viewer: Viewer,
        responder: Responder,
    ) -> Result<RunningOperation, StartError> {
        match operation.kind {
            OperationType::Subscription => {
                Ok(RunningOperation::Subscription(self.join(operation, viewer, &responder)?))
            }
            OperationType::Query | OperationType::Mutation => {
                let graphql = self.graphql.clone();
                let task = tokio::spawn(async move {
                    match graphql.execute(operation, viewer).await {
                        Answer::Refused(refusal) => responder.refuse(&refusal.into()),
                        Answer::Executed(json) => {
                            responder.send(&json);
                            responder.complete(&Completion::Complete);
                        }
                    }
                });
                Ok(RunningOperation::Task(AbortOnDropHandle::new(task)))
            }
        }
    }

    /// Subscribes to the topic of an operation. A client that has seen a newer revision than this server knows is sent no
    /// older status: the server looks that revision up.
    fn join(
        &self,
        operation: Operation,
        viewer: Viewer,
        responder: &Responder,
    ) -> Result<SubscriptionGuard, TooManyTopics> {
        let key = key(&operation, viewer);
        let seen = operation.seen.clone().filter(|seen| self.monitor.may_exist(seen.revision));
        let min_revision = seen.as_ref().map(|seen| seen.revision);
        if let Some(seen) = seen.filter(|seen| self.monitor.is_behind(&seen.pipeline, seen.revision)) {
            let monitor = self.monitor.clone();
            tokio::spawn(async move { monitor.refresh_if_behind(&seen.pipeline, seen.revision).await });
        }
        let graphql = self.graphql.clone();
        let source = move || source(graphql, operation, viewer);
        let Responder { connection, encoding, id } = responder;
        self.broker.join(key, source, connection, (*encoding, id), min_revision)
    }
}

impl Responder {
    /// For the operation of this id, which is JSON text, or nothing if the connection has one operation only.
    pub fn new(connection: &Arc<Connection>, encoding: Encoding, id: impl Into<String>) -> Self {
        Self { connection: Arc::clone(connection), encoding, id: id.into() }
    }

    /// Sends an error and the end of the operation.
    pub fn refuse(&self, error: &StartError) {
        self.complete(&Completion::Errors(error.errors()));
    }

    fn send(&self, json: &[u8]) {
        self.connection.send_message(self.encoding, &self.id, json);
    }

    fn complete(&self, completion: &Completion) {
        self.connection.complete(self.encoding, &self.id, completion);
    }
}

impl StartError {
    /// The list of GraphQL errors as JSON.
    pub fn errors(&self) -> Bytes {
        match self {
            Self::Refused(refusal) => refusal.errors(),
            Self::TooManyTopics(too_many) => Refusal::request(too_many.to_string()).errors(),
        }
    }
}

impl From<Refusal> for StartError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl RunningOperation {
    /// Whether it has ended, so that the client may use its id again.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Subscription(guard) => guard.has_ended(),
            Self::Task(task) => task.is_finished(),
        }
    }
}

/// The topic of an operation: document, operation name, variables, and what the viewer may see.
///
/// A subscription to an event log has its own topic: others may be at another position in the log.
fn key(operation: &Operation, viewer: Viewer) -> TopicKey {
    let own = if operation.is_event_log { Uuid::new_v4().into_bytes().to_vec() } else { Vec::new() };
    topic_key([b"graphql", &operation.identity[..], viewer.scope(), &own])
}

/// The topic's updates: each response, until the stream ends or fails to start.
fn source(graphql: Graphql, operation: Operation, viewer: Viewer) -> UpdateStream {
    enum State {
        New(Box<(Graphql, Operation, Viewer)>),
        Running(BoxStream<'static, (Answer, Option<Revision>)>),
        Failed,
    }
    let is_event_log = operation.is_event_log;
    // The topic's task builds the executor: the first subscriber does not wait for it.
    unfold(State::New(Box::new((graphql, operation, viewer))), move |state| async move {
        let mut answers = match state {
            State::New(new) => {
                let (graphql, operation, viewer) = *new;
                graphql.subscribe(operation, viewer).boxed()
            }
            State::Running(answers) => answers,
            State::Failed => return None,
        };
        let (answer, revision) = answers.next().await?;
        metrics::counter!("pipewatch_subscription_executions_total").increment(1);
        match answer {
            Answer::Executed(json) => {
                let message = Arc::new(Message::new(json, revision));
                let update = if is_event_log { Update::Event(message) } else { Update::Message(message) };
                Some((update, State::Running(answers)))
            }
            // The stream did not start, or failed.
            Answer::Refused(refusal) => Some((Update::Errors(refusal.errors()), State::Failed)),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graphql::operation::RequestParams;

    #[test]
    fn equal_operations_share_a_topic() {
        let key = |json: serde_json::Value| {
            let parameters = RequestParams::from_json(json).expect("good parameters");
            key(&Operation::parse(parameters).expect("an operation"), Viewer::default())
        };
        let one = key(json!({"query": "{ a }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}}));
        for (is_same, other) in [
            (true, json!({"query": "{ a }", "variables": {"b": [{"d": 3, "c": 2}], "a": 1}, "operationName": null})),
            (true, json!({"query": "{ a }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}, "extensions": {"x": 1}})),
            (false, json!({"query": "{ a }", "variables": {"a": 1}})),
            (false, json!({"query": "{ a  }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}})),
            (false, json!({"query": "{ a }", "variables": {"a": "1", "b": [{"c": 2, "d": 3}]}})),
        ] {
            assert_eq!(key(other.clone()) == one, is_same, "{other}");
        }
    }

    #[test]
    fn subscribers_with_different_revisions_share_a_topic() {
        let key = |query: &str, since: &str| {
            let json = json!({"query": query, "variables": {"s": since, "p": "a"}});
            key(
                &Operation::parse(RequestParams::from_json(json).expect("parameters")).expect("an operation"),
                Viewer::default(),
            )
        };
        for (arguments, is_same) in [
            ("sinceRevision: $s", true),
            ("pipeline: $p, sinceRevision: $s", true),
            ("pipeline: $s, sinceRevision: $s", false),
            ("pipeline: $ s, sinceRevision: $s", false),
            ("pipeline: $s", false),
            ("sinceRevision: \"REVISION\", pipeline: $p", true),
            ("pipeline: \"ä\", # ß \n\r\n\t  sinceRevision : \"REVISION\"", true),
            ("sinceRevision: \"REVISION\", pipeline: \"REVISION\"", false),
            ("sinceRevision: \"REVISIONx\"", false),
            ("sinceRevision: \"\"\"REVISION\"\"\"", false),
        ] {
            let query = format!("subscription ($s: String) {{ pipelineStatusUpdates({arguments}) {{ revision }} }}");
            let has_variable = !arguments.contains("REVISION");
            let of = |revision| key(&query.replace("REVISION", revision), if has_variable { revision } else { "" });
            assert_eq!(of("1") == of("2"), is_same, "{query}");
        }
        let literal = |since: &str| {
            key(&format!("subscription {{ pipelineStatusUpdates(sinceRevision: \"{since}\") {{ revision }} }}"), "")
        };
        assert!(literal("1") != literal(""), "an empty text is an error, and not a revision");
    }
}
