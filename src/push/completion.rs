use bytes::Bytes;

/// Why a subscription ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// Its source has ended: the pipeline was removed, or the operation is complete.
    Complete,
    /// It failed. The bytes are the JSON array of GraphQL errors.
    Errors(Bytes),
}
