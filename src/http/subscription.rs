//! A subscription as a group: what makes two of them the same, and what a group is told.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, unfold};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::domain::viewer::Viewer;
use crate::graphql::Graphql;
use crate::graphql::answer::Answer;
use crate::graphql::operation::{Operation, Parameters};
use crate::http::streams::hash;
use crate::live::group::{Key, News, Place, Source};
use crate::live::payload::Payload;

/// The group of those who asked the same: document, operation name, variables and what the viewer may see.
///
/// Who follows a log is a group of their own: others who asked the same may be at another place in it.
pub(super) fn key(parameters: &Parameters, viewer: Viewer) -> Key {
    let own = if parameters.follows_log() { Uuid::new_v4().into_bytes().to_vec() } else { Vec::new() };
    let mut variables = Vec::new();
    canonical(&serde_json::Value::Object(parameters.variables().clone()), &mut variables);
    let name = parameters.operation_name().map_or(&b"-"[..], |_| b"+");
    hash([
        b"graphql",
        parameters.query().as_bytes(),
        name,
        parameters.operation_name().unwrap_or_default().as_bytes(),
        &variables,
        viewer.scope(),
        &own,
    ])
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

/// JSON with the keys of objects in their order, whatever order they came in.
fn canonical(value: &serde_json::Value, out: &mut Vec<u8>) {
    match value {
        serde_json::Value::Object(object) => {
            let mut fields: Vec<_> = object.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in fields {
                out.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
                out.push(b':');
                canonical(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
        serde_json::Value::Array(values) => {
            out.push(b'[');
            for value in values {
                canonical(value, out);
                out.push(b',');
            }
            out.push(b']');
        }
        plain => out.extend_from_slice(plain.to_string().as_bytes()),
    }
}

/// What the group is told: each response, until the stream ends or could not be begun.
pub(super) fn source(graphql: Graphql, operation: Operation, viewer: Viewer) -> Source {
    enum State {
        New(Box<(Graphql, Operation, Viewer)>),
        Running(BoxStream<'static, Answer>),
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
        let answer = answers.next().await?;
        metrics::counter!("pipewatch_subscription_executions_total").increment(1);
        match answer {
            Answer::Executed(json) => {
                let payload = Arc::new(Payload::new(json, None));
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

    #[test]
    fn the_same_is_the_same_and_nothing_else() {
        let key =
            |json: serde_json::Value| key(&Parameters::from_json(json).expect("good parameters"), Viewer::default());
        let one = key(json!({"query": "{ a }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}}));
        for (is_same, other) in [
            (true, json!({"query": "{ a }", "variables": {"b": [{"d": 3, "c": 2}], "a": 1}, "operationName": null})),
            (true, json!({"query": "{ a }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}, "extensions": {"x": 1}})),
            (false, json!({"query": "{ a }", "variables": {"a": 1}})),
            (false, json!({"query": "{ a  }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}})),
            (false, json!({"query": "{ a }", "variables": {"a": 1, "b": [{"c": 2, "d": 3}]}, "operationName": ""})),
            (false, json!({"query": "{ a }", "variables": {"a": "1", "b": [{"c": 2, "d": 3}]}})),
        ] {
            assert_eq!(key(other.clone()) == one, is_same, "{other}");
        }
    }
}
