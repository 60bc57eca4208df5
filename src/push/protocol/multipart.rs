//! Apollo's multipart subscriptions: each result is a part of a `multipart/mixed` response.
//!
//! The delimiter follows each part at once. Parsers read a part when its delimiter arrives, so a delimiter that came with the
//! next part would delay every result by one.
//!
//! Source: "Multipart HTTP protocol for GraphQL subscriptions" of Apollo's router documentation.

use crate::push::completion::Completion;
use crate::push::protocol::graphql_sse::result_of_errors;

/// The media type of the response.
pub const CONTENT_TYPE: &str = "multipart/mixed;boundary=graphql;subscriptionSpec=1.0";
/// What the response begins with: the delimiter before the first part.
pub const BEGIN: &[u8] = b"\r\n--graphql";
/// What follows the last delimiter at the end of the response.
const END: &[u8] = b"--\r\n";

/// An empty object: clients ignore it.
pub(in crate::push) const HEARTBEAT: &[u8] = b"\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql";
/// The same as a chunk.
pub(in crate::push) const HEARTBEAT_CHUNK: &[u8] =
    b"31\r\n\r\nContent-Type: application/json\r\n\r\n{}\r\n--graphql\r\n";

/// A result, with the delimiter behind it.
pub(in crate::push) fn part(result: &[u8]) -> Vec<u8> {
    [b"\r\nContent-Type: application/json\r\n\r\n{\"payload\":", result, b"}\r\n--graphql"].concat()
}

/// The end of the response. Errors are sent as a result.
pub(in crate::push) fn completion(completion: &Completion) -> Vec<u8> {
    let errors = match completion {
        Completion::Complete => Vec::new(),
        Completion::Errors(errors) => part(&result_of_errors(errors)),
    };
    [errors.as_slice(), END].concat()
}
