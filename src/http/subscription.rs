//! GraphQL subscriptions as topics: when two of them share one, and its updates.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::graphql::Graphql;
use crate::graphql::answer::Answer;
use crate::graphql::operation::Operation;
use crate::http::Services;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::hub::topic_key;
use crate::push::message::Message;
use crate::push::quota::{TooManyTopics, TopicKey};
use crate::push::topic::{SubscriptionGuard, Update, UpdateStream};

/// The topic of an operation: document, operation name, variables, and what the viewer may see.
///
/// A subscription to an event log has its own topic: others may be at another position in the log.
fn key(operation: &Operation, viewer: Viewer) -> TopicKey {
    let own = if operation.is_event_log { Uuid::new_v4().into_bytes().to_vec() } else { Vec::new() };
    topic_key([b"graphql", &operation.identity[..], viewer.scope(), &own])
}

/// Subscribes to the topic of an operation. A client that has seen a newer revision than this server knows is sent no older
/// status: the server looks that revision up.
pub(super) fn join(
    services: &Services,
    operation: Operation,
    viewer: Viewer,
    connection: &Arc<Connection>,
    encoding: Encoding,
    id: &str,
) -> Result<SubscriptionGuard, TooManyTopics> {
    let key = key(&operation, viewer);
    let seen = operation.seen.clone().filter(|seen| services.monitor.may_exist(seen.revision));
    let min_revision = seen.as_ref().map(|seen| seen.revision);
    if let Some(seen) = seen.filter(|seen| services.monitor.is_behind(&seen.pipeline, seen.revision)) {
        let monitor = services.monitor.clone();
        tokio::spawn(async move { monitor.look_again(&seen.pipeline, seen.revision).await });
    }
    let graphql = services.graphql.clone();
    let source = move || source(graphql, operation, viewer);
    services.hub.broker.join(key, source, connection, (encoding, id), min_revision)
}

/// A running operation of a connection. Dropping it stops it.
#[derive(Debug)]
pub(super) enum RunningOperation {
    /// A subscription.
    Subscription(SubscriptionGuard),
    /// A query or mutation.
    Task(AbortOnDropHandle<()>),
}

impl RunningOperation {
    /// Whether it has ended, so that the client may use its id again.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Subscription(guard) => guard.has_ended(),
            Self::Task(task) => task.is_finished(),
        }
    }
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
            let of = |revision| key(&query.replace("REVISION", revision), revision);
            assert_eq!(of("1") == of("2"), is_same, "{query}");
        }
        let literal = |since: &str| {
            key(&format!("subscription {{ pipelineStatusUpdates(sinceRevision: \"{since}\") {{ revision }} }}"), "")
        };
        assert!(literal("1") != literal(""), "an empty text is an error, and not a revision");
    }
}
