use strum::EnumCount;

use crate::domain::revision::Revision;
use crate::push::completion::Completion;
use crate::push::framing::{CHUNK_END, Framing};
use crate::push::protocol::{close::Close, graphql_sse, graphql_ws, multipart, sse, ws_frame};

/// How a transport encodes a message. The part shared by all its subscribers is encoded once; a prefix that may differ
/// precedes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumCount)]
pub enum Encoding {
    /// The status as WebSocket text messages.
    StatusWebSocket,
    /// The status and alert events as Server-Sent Events.
    StatusSse,
    /// graphql-transport-ws: the `next` message of a subscription's id.
    GraphqlWs,
    /// graphql-sse, distinct connections: one operation per stream.
    GraphqlSse,
    /// graphql-sse, single connection: the results of all operations on one stream, with their ids.
    GraphqlSseSingle,
    /// Apollo's multipart subscriptions: one operation per response.
    GraphqlMultipart,
}

impl Encoding {
    /// Encodes the part that is the same for every subscriber.
    pub(super) fn encode_shared(self, json: &[u8], revision: Option<Revision>) -> Vec<u8> {
        match self {
            Self::StatusWebSocket => {
                let mut frame = Vec::with_capacity(json.len() + ws_frame::MAX_HEADER);
                ws_frame::write_text_header(json.len(), &mut frame);
                frame.extend_from_slice(json);
                frame
            }
            Self::StatusSse => sse::status_event(json, revision),
            Self::GraphqlWs => graphql_ws::message::next_shared(json),
            Self::GraphqlSse => [graphql_sse::next_event(json).as_slice(), CHUNK_END].concat(),
            Self::GraphqlSseSingle => graphql_sse::next_with_id_shared(json),
            Self::GraphqlMultipart => [multipart::part(json).as_slice(), CHUNK_END].concat(),
        }
    }

    /// The shared part as a connection of this framing sends it.
    pub(super) fn in_framing(self, shared: &[u8], framing: Framing) -> &[u8] {
        match self {
            Self::StatusWebSocket | Self::GraphqlWs => shared,
            Self::StatusSse | Self::GraphqlSse | Self::GraphqlSseSingle | Self::GraphqlMultipart => {
                framing.trim(shared)
            }
        }
    }

    /// Appends what precedes the shared part for the subscription of this id, which is JSON text. `length` is that of
    /// the shared part in this framing.
    pub(super) fn write_prefix(self, id: &str, length: usize, framing: Framing, out: &mut Vec<u8>) {
        match self {
            Self::StatusWebSocket => {}
            Self::StatusSse | Self::GraphqlSse | Self::GraphqlMultipart => {
                framing.write_chunk_size(length.saturating_sub(CHUNK_END.len()), out);
            }
            Self::GraphqlWs => graphql_ws::message::write_next_prefix(id, length, out),
            Self::GraphqlSseSingle => {
                let prefix = graphql_sse::next_prefix_length(id);
                framing.write_chunk_size((prefix + length).saturating_sub(CHUNK_END.len()), out);
                graphql_sse::write_next_prefix(id, out);
            }
        }
    }

    /// Appends a whole message that only one subscription gets.
    pub fn write_message(self, id: &str, json: &[u8], framing: Framing, out: &mut Vec<u8>) {
        let shared = self.encode_shared(json, None);
        let shared = self.in_framing(&shared, framing);
        self.write_prefix(id, shared.len(), framing, out);
        out.extend_from_slice(shared);
    }

    /// Whether alert events are sent in addition to the messages.
    pub fn has_events(self) -> bool {
        match self {
            Self::StatusSse => true,
            Self::StatusWebSocket
            | Self::GraphqlWs
            | Self::GraphqlSse
            | Self::GraphqlSseSingle
            | Self::GraphqlMultipart => false,
        }
    }

    /// Appends an alert event, given as JSON, where the transport has them.
    pub fn write_event(self, json: &[u8], framing: Framing, out: &mut Vec<u8>) {
        if self.has_events() {
            framing.write_chunk(&sse::alert_event(json), out);
        }
    }

    /// Appends the end of a subscription.
    pub fn write_completion(self, id: &str, completion: &Completion, framing: Framing, out: &mut Vec<u8>) {
        match self {
            Self::StatusWebSocket => Close::new(1000, "the pipeline was removed").write(out),
            Self::StatusSse => framing.write_end(out),
            Self::GraphqlWs => match completion {
                Completion::Complete => graphql_ws::message::write("complete", Some(id), None, out),
                Completion::Errors(errors) => graphql_ws::message::write("error", Some(id), Some(errors), out),
            },
            Self::GraphqlSse => {
                framing.write_chunk(&graphql_sse::completion(completion), out);
                framing.write_end(out);
            }
            Self::GraphqlSseSingle => framing.write_chunk(&graphql_sse::completion_with_id(id, completion), out),
            Self::GraphqlMultipart => {
                framing.write_chunk(&multipart::completion(completion), out);
                framing.write_end(out);
            }
        }
    }

    /// Whether the connection closes with the subscription.
    pub(super) fn closes_connection(self) -> bool {
        match self {
            Self::StatusWebSocket | Self::StatusSse | Self::GraphqlSse | Self::GraphqlMultipart => true,
            Self::GraphqlWs | Self::GraphqlSseSingle => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn encode(encoding: Encoding, id: &str, framing: Framing) -> String {
        let mut out = Vec::new();
        encoding.write_message(id, b"{\"data\":1}", framing, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn complete(encoding: Encoding, completion: &Completion, framing: Framing) -> String {
        let mut out = Vec::new();
        encoding.write_completion("\"a\"", completion, framing, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn message_is_encoded_for_each_transport() {
        let next = "event: next\ndata: {\"data\":1}\n\n";
        let single = "event: next\ndata: {\"id\":\"a\",\"payload\":{\"data\":1}}\n\n";
        let part = "\r\nContent-Type: application/json\r\n\r\n{\"payload\":{\"data\":1}}\r\n--graphql";
        for (encoding, raw) in
            [(Encoding::GraphqlSse, next), (Encoding::GraphqlSseSingle, single), (Encoding::GraphqlMultipart, part)]
        {
            assert_eq!(encode(encoding, "\"a\"", Framing::Raw), raw);
            assert_eq!(encode(encoding, "\"a\"", Framing::Chunked), format!("{:x}\r\n{raw}\r\n", raw.len()));
        }
        let text = "{\"id\":\"a\",\"type\":\"next\",\"payload\":{\"data\":1}}";
        assert_eq!(encode(Encoding::GraphqlWs, "\"a\"", Framing::Raw), format!("\u{fffd}-{text}"));
        assert_eq!(text.len(), usize::from(b'-'), "the length of the frame");
    }

    #[test]
    fn completion_is_encoded_for_each_transport() {
        let errors = Completion::Errors(Bytes::from_static(b"[{}]"));
        for (encoding, completion, raw) in [
            (Encoding::GraphqlSse, &Completion::Complete, "event: complete\ndata:\n\n"),
            (Encoding::GraphqlSse, &errors, "event: next\ndata: {\"errors\":[{}]}\n\nevent: complete\ndata:\n\n"),
            (Encoding::GraphqlMultipart, &Completion::Complete, "--\r\n"),
            (
                Encoding::GraphqlMultipart,
                &errors,
                "\r\nContent-Type: application/json\r\n\r\n{\"payload\":{\"errors\":[{}]}}\r\n--graphql--\r\n",
            ),
        ] {
            assert_eq!(complete(encoding, completion, Framing::Raw), raw);
            let chunked = format!("{:x}\r\n{raw}\r\n0\r\n\r\n", raw.len());
            assert_eq!(complete(encoding, completion, Framing::Chunked), chunked);
        }
        let single = "event: complete\ndata: {\"id\":\"a\"}\n\n";
        assert_eq!(complete(Encoding::GraphqlSseSingle, &Completion::Complete, Framing::Raw), single);
    }
}
