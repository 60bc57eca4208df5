//! A subscription as a group: what makes two of them the same, and what a group is told.

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
use crate::http::streams::hash;
use crate::push::broker::{Key, News, Place, Source, TooManyGroups};
use crate::push::connection::Peer;
use crate::push::message::{Dress, Payload};

/// The group of those who asked the same: document, operation name, variables and what the viewer may see.
///
/// Who follows a log is a group of their own: others who asked the same may be at another place in it.
fn key(operation: &Operation, viewer: Viewer) -> Key {
    let own = if operation.follows_log { Uuid::new_v4().into_bytes().to_vec() } else { Vec::new() };
    hash([b"graphql", &operation.identity[..], viewer.scope(), &own])
}

/// Joins the group of a subscription. A client that has seen a newer revision than this server knows is given no older
/// status: the server looks for that revision meanwhile.
pub(super) fn join(
    services: &Services,
    operation: Operation,
    viewer: Viewer,
    peer: &Arc<Peer>,
    dress: &'static Dress,
    id: &str,
) -> Result<Place, TooManyGroups> {
    let key = key(&operation, viewer);
    let seen = operation.seen.clone().filter(|seen| services.monitor.may_exist(seen.revision));
    let least = seen.as_ref().map(|seen| seen.revision);
    if let Some(seen) = seen.filter(|seen| services.monitor.is_behind(&seen.pipeline, seen.revision)) {
        let monitor = services.monitor.clone();
        tokio::spawn(async move { monitor.look_again(&seen.pipeline, seen.revision).await });
    }
    let graphql = services.graphql.clone();
    let source = move || source(graphql, operation, viewer);
    services.streams.groups.join(key, source, peer, (dress, id), least)
}

/// An operation that runs over a connection of many. Dropping it ends it.
#[derive(Debug)]
pub(super) enum Running {
    /// A subscription: a place in a group.
    Place(Place),
    /// A query or mutation.
    Task(AbortOnDropHandle<()>),
}

impl Running {
    /// Whether it has ended by itself, so that its id is free again.
    pub(super) fn has_ended(&self) -> bool {
        match self {
            Self::Place(place) => place.has_ended(),
            Self::Task(task) => task.is_finished(),
        }
    }
}

/// What the group is told: each response, until the stream ends or could not be begun.
fn source(graphql: Graphql, operation: Operation, viewer: Viewer) -> Source {
    enum State {
        New(Box<(Graphql, Operation, Viewer)>),
        Running(BoxStream<'static, (Answer, Option<Revision>)>),
        Failed,
    }
    let follows_log = operation.follows_log;
    // The executor is only built when the group's own task asks: whoever founds a group does not wait for it.
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
                let payload = Arc::new(Payload::new(json, revision));
                Some((if follows_log { News::Event(payload) } else { News::Payload(payload) }, State::Running(answers)))
            }
            // The stream could not be begun, or cannot go on.
            Answer::Refused(refusal) => Some((News::Errors(refusal.errors()), State::Failed)),
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graphql::operation::Parameters;

    #[test]
    fn the_same_is_the_same_and_nothing_else() {
        let key = |json: serde_json::Value| {
            let parameters = Parameters::from_json(json).expect("good parameters");
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
    fn subscribers_that_have_seen_different_revisions_share_a_group() {
        let key = |query: &str, since: &str| {
            let json = json!({"query": query, "variables": {"s": since, "p": "a"}});
            key(
                &Operation::parse(Parameters::from_json(json).expect("parameters")).expect("an operation"),
                Viewer::default(),
            )
        };
        for (arguments, is_same) in [
            ("sinceRevision: $s", true),
            ("pipeline: $p, sinceRevision: $s", true),
            ("pipeline: $s, sinceRevision: $s", false),
            ("pipeline: $ s, sinceRevision: $s", false),
            ("pipeline: $s", false),
        ] {
            let query = format!("subscription ($s: String) {{ pipelineStatusUpdates({arguments}) {{ revision }} }}");
            assert_eq!(key(&query, "1") == key(&query, "2"), is_same, "{query}");
        }
    }
}
