//! Limits on documents, applied before anything else walks or expands them, and on answers.

/// What an operation may use while it is executed.
pub(super) mod budget;
/// The cost of an operation's answer.
pub(super) mod cost;
/// The limits on documents.
pub mod exceeded;
/// Size and nesting of the text, before it is parsed.
pub(super) mod nesting;
/// Selections and values, with fragments expanded.
pub(super) mod size;
