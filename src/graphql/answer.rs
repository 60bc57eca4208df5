use async_graphql::{Response, ServerError, Value};
use bytes::Bytes;
use serde::Serialize;

use crate::graphql::errors::server_error;
use crate::graphql::limits::budget::{Budget, MAX_ANSWER, MAX_ERRORS};
use crate::graphql::limits::exceeded::Exceeded;

/// Characters of an error message: some quote what the client sent.
const MAX_MESSAGE: usize = 1_000;

/// The answer to an operation.
#[derive(Debug)]
pub enum Answer {
    /// The result as JSON, with data and errors.
    Executed(Bytes),
    /// Errors without a result: the operation was not executed, or its answer is too large.
    Refused(Refusal),
}

/// Errors without a result.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The cause, from which the HTTP status follows.
    pub reason: Reason,
    errors: Vec<ServerError>,
}

/// Why an operation has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request is invalid.
    Request,
    /// The request exceeds a limit.
    Limit,
    /// The operation was executed, and its answer is too large.
    TooLarge,
    /// The server is too busy.
    Overload,
}

impl Refusal {
    pub(super) fn new(reason: Reason, errors: Vec<ServerError>) -> Self {
        Self { reason, errors: bounded(errors, MAX_ERRORS) }
    }

    /// An invalid request.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Reason::Request, vec![ServerError::new(message, None)])
    }

    /// An invalid request, with a code in `extensions.code`.
    pub fn coded(message: impl Into<String>, code: &str) -> Self {
        Self::new(Reason::Request, vec![server_error(message, code)])
    }

    /// The same refusal with at most `max` errors.
    pub(super) fn cut(self, max: usize) -> Self {
        Self { errors: bounded(self.errors, max), ..self }
    }

    /// The list of errors as JSON.
    pub fn errors(&self) -> Bytes {
        json(&self.errors)
    }

    /// The whole answer as JSON. An operation that was not executed has no `data`, not even null.
    pub fn body(&self) -> Bytes {
        match self.reason {
            Reason::TooLarge => json(&serde_json::json!({"data": null, "errors": self.errors})),
            Reason::Request | Reason::Limit | Reason::Overload => json(&serde_json::json!({"errors": self.errors})),
        }
    }
}

impl From<Exceeded> for Refusal {
    fn from(exceeded: Exceeded) -> Self {
        Self::new(Reason::Limit, vec![exceeded.into()])
    }
}

impl From<ServerError> for Refusal {
    fn from(error: ServerError) -> Self {
        Self::new(Reason::Request, vec![error])
    }
}

impl Answer {
    /// The answer for a response of the executor. A subscription without data did not start, or has failed.
    pub(super) fn of(mut response: Response, is_subscription: bool, budget: Budget) -> Self {
        let has_no_data = response.is_err() && response.data == Value::Null;
        if has_no_data && (is_subscription || response.errors.iter().all(|error| error.path.is_empty())) {
            let errors = bounded(response.errors, budget.errors);
            return Self::Refused(Refusal { reason: Reason::Request, errors });
        }
        response.errors = bounded(response.errors, budget.errors);
        match bounded_json(&response, budget.bytes) {
            Some(json) => Self::Executed(json),
            None => Self::Refused(Refusal::new(Reason::TooLarge, vec![too_large()])),
        }
    }
}

/// The error of an answer that is too large.
pub(super) fn too_large() -> ServerError {
    let message = format!("the answer exceeds {MAX_ANSWER} bytes; lower `first`, or select fewer fields");
    server_error(message, "ANSWER_TOO_LARGE")
}

/// At most `max` errors, the last of which counts the omitted ones, with their messages cut.
fn bounded(mut errors: Vec<ServerError>, max: usize) -> Vec<ServerError> {
    if errors.len() > max {
        let omitted = errors.len() - (max - 1);
        errors.truncate(max - 1);
        errors.push(server_error(format!("{omitted} more errors are omitted"), "ERRORS_OMITTED"));
    }
    for error in &mut errors {
        if let Some((end, _)) = error.message.char_indices().nth(MAX_MESSAGE) {
            error.message.truncate(end);
            error.message.push('…');
        }
    }
    errors
}

/// Serialises GraphQL values as JSON.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("GraphQL values always serialise").into()
}

/// Serialises as JSON, or gives `None` beyond `max` bytes, where writing stops early.
fn bounded_json(value: &impl Serialize, max: usize) -> Option<Bytes> {
    let mut text = Bounded { bytes: Vec::new(), max };
    serde_json::to_writer(&mut text, value).ok().map(|()| text.bytes.into())
}

/// A buffer of limited size.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.max {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_bounded_and_the_rest_is_counted() {
        let error = |_| ServerError::new("ä".repeat(2_000), None);
        for (count, expect) in [(0, 0), (20, 20), (21, 20), (1_000, 20)] {
            let errors = bounded((0..count).map(error).collect(), MAX_ERRORS);
            assert_eq!(errors.len(), expect);
            assert!(errors.iter().all(|error| error.message.chars().count() <= MAX_MESSAGE + 1));
            if count > MAX_ERRORS {
                assert_eq!(errors[MAX_ERRORS - 1].message, format!("{} more errors are omitted", count - 19));
            }
        }
    }

    #[test]
    fn long_result_becomes_an_error() {
        let result =
            |length: usize| Answer::of(Response::new(Value::String("x".repeat(length))), false, Budget::default());
        let Answer::Executed(json) = result(MAX_ANSWER - 100) else { panic!("executed") };
        assert!(json.len() > MAX_ANSWER - 100 && json.starts_with(b"{\"data\":"));
        let Answer::Refused(refusal) = result(MAX_ANSWER) else { panic!("refused") };
        assert!(refusal.body().starts_with(b"{\"data\":null,\"errors\":"), "{refusal:?}");
    }
}
