use std::time::Duration;

/// Bytes of an answer.
pub(in crate::graphql) const MAX_ANSWER: usize = 8 * 1024 * 1024;
/// Errors of an answer; the last one counts the omitted ones.
pub(in crate::graphql) const MAX_ERRORS: usize = 20;
/// Time limit of an operation.
pub(in crate::graphql) const EXECUTION: Duration = Duration::from_secs(10);

/// What an operation may use. The operations of a batch share one budget.
#[derive(Debug, Clone, Copy)]
pub(in crate::graphql) struct Budget {
    /// Bytes of the answer.
    pub(in crate::graphql) bytes: usize,
    /// Errors of the answer.
    pub(in crate::graphql) errors: usize,
    /// Time to execute it.
    pub(in crate::graphql) time: Duration,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: MAX_ANSWER, errors: MAX_ERRORS, time: EXECUTION }
    }
}
