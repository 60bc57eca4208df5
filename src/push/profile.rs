use crate::push::framing::Framing;
use crate::push::protocol::{close, multipart, sse, ws_frame};

/// A kind of connection: how it is kept alive and closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportProfile {
    /// A WebSocket with the status.
    StatusWebSocket,
    /// A WebSocket with graphql-transport-ws.
    GraphqlWs,
    /// An event stream with the status.
    StatusSse,
    /// An event stream with GraphQL results.
    GraphqlSse,
    /// A multipart response with GraphQL results.
    GraphqlMultipart,
}

impl TransportProfile {
    /// The label `transport` of metrics.
    pub fn transport(self) -> &'static str {
        match self {
            Self::StatusWebSocket => "websocket",
            Self::GraphqlWs => "graphql-ws",
            Self::StatusSse => "sse",
            Self::GraphqlSse => "graphql-sse",
            Self::GraphqlMultipart => "graphql-multipart",
        }
    }

    /// Whether clients send, and so must answer pings. One that leaves two of them unanswered is dropped.
    pub(super) fn expects_pong(self) -> bool {
        self.is_websocket()
    }

    /// Whether the client answers the close, so that the server waits for it.
    pub(super) fn waits_for_close_ack(self) -> bool {
        self.is_websocket()
    }

    /// What an idle connection is sent.
    pub(super) fn keep_alive(self, framing: Framing) -> &'static [u8] {
        match (self, framing) {
            (Self::StatusWebSocket | Self::GraphqlWs, _) => ws_frame::PING,
            (Self::StatusSse | Self::GraphqlSse, Framing::Raw) => sse::HEARTBEAT,
            (Self::StatusSse | Self::GraphqlSse, Framing::Chunked) => sse::HEARTBEAT_CHUNK,
            (Self::GraphqlMultipart, Framing::Raw) => multipart::HEARTBEAT,
            (Self::GraphqlMultipart, Framing::Chunked) => multipart::HEARTBEAT_CHUNK,
        }
    }

    /// Appends what a client is sent when the server stops. It reconnects, to another server or to the next process.
    pub(super) fn write_shutdown(self, framing: Framing, out: &mut Vec<u8>) {
        match self {
            Self::StatusWebSocket | Self::GraphqlWs => close::write_service_restart(out),
            // A multipart response gets no closing delimiter, from which clients see that it is incomplete.
            Self::StatusSse | Self::GraphqlSse | Self::GraphqlMultipart => framing.write_end(out),
        }
    }

    fn is_websocket(self) -> bool {
        match self {
            Self::StatusWebSocket | Self::GraphqlWs => true,
            Self::StatusSse | Self::GraphqlSse | Self::GraphqlMultipart => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeat_chunks_hold_the_heartbeats() {
        for profile in [TransportProfile::StatusSse, TransportProfile::GraphqlSse, TransportProfile::GraphqlMultipart] {
            let mut chunk = Vec::new();
            Framing::Chunked.write_chunk(profile.keep_alive(Framing::Raw), &mut chunk);
            assert_eq!(profile.keep_alive(Framing::Chunked), chunk, "{profile:?}");
        }
    }
}
