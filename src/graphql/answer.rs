use async_graphql::{Response, ServerError, Value};
use bytes::Bytes;
use serde::Serialize;

use crate::graphql::limits::budget::{Budget, MAX_ANSWER, MAX_ERRORS};
use crate::graphql::limits::{Exceeded, coded};

/// Characters of an error's message: some repeat what the client sent.
const MAX_MESSAGE: usize = 1_000;

/// What an operation is answered with.
#[derive(Debug)]
pub enum Answer {
    /// It was executed: the result as JSON, with its data and its errors.
    Executed(Bytes),
    /// It was not executed, or has no result.
    Refused(Refusal),
}

/// Errors in place of a result.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Whose fault it is.
    pub reason: Reason,
    errors: Vec<ServerError>,
}

/// Why an operation has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The request is wrong.
    Request,
    /// The request asks for too much.
    Limit,
    /// It was executed, and its answer is too large.
    TooLarge,
    /// The server cannot answer it now.
    Overload,
}

impl Refusal {
    pub(super) fn new(reason: Reason, errors: Vec<ServerError>) -> Self {
        Self { reason, errors: bounded(errors, MAX_ERRORS) }
    }

    /// Of a request that is wrong.
    pub fn request(message: impl Into<String>) -> Self {
        Self::new(Reason::Request, vec![ServerError::new(message, None)])
    }

    /// Of a request that is wrong, with a code for programs.
    pub fn coded(message: impl Into<String>, code: &str) -> Self {
        Self::new(Reason::Request, vec![coded(message, code)])
    }

    /// The same with at most `max` errors.
    pub(super) fn cut(self, max: usize) -> Self {
        Self { errors: bounded(self.errors, max), ..self }
    }

    /// The list of errors, as JSON.
    pub fn errors(&self) -> Bytes {
        json(&self.errors)
    }

    /// A whole answer, as JSON. One that was not executed has no data, not even null.
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
    /// The answer of a response of the executor. A subscription without any data could not be begun, or cannot go on.
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

/// The error in place of an answer that is too large.
pub(super) fn too_large() -> ServerError {
    let message = format!("the answer has more than {MAX_ANSWER} bytes; lower `first`, or select fewer fields");
    coded(message, "ANSWER_TOO_LARGE")
}

/// The errors that an answer has room for, their messages cut.
fn bounded(mut errors: Vec<ServerError>, max: usize) -> Vec<ServerError> {
    if errors.len() > max {
        let omitted = errors.len() - (max - 1);
        errors.truncate(max - 1);
        errors.push(coded(format!("{omitted} more errors are left out"), "ERRORS_OMITTED"));
    }
    for error in &mut errors {
        if let Some((end, _)) = error.message.char_indices().nth(MAX_MESSAGE) {
            error.message.truncate(end);
            error.message.push('…');
        }
    }
    errors
}

/// GraphQL's values as JSON.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("GraphQL values always serialise").into()
}

/// The same, or `None` if it has more than `max` bytes: then writing ends early.
fn bounded_json(value: &impl Serialize, max: usize) -> Option<Bytes> {
    let mut text = Bounded { bytes: Vec::new(), max };
    serde_json::to_writer(&mut text, value).ok().map(|()| text.bytes.into())
}

/// A buffer of bounded size.
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
                assert_eq!(errors[MAX_ERRORS - 1].message, format!("{} more errors are left out", count - 19));
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
