/// How a kind of connection is kept alive and ended.
#[derive(Debug)]
pub struct Manner {
    /// The name of the transport in metrics.
    pub transport: &'static str,
    /// What goes out when it was not heard of for a while or, if it never speaks, when nothing was written to it.
    pub beat: &'static [u8],
    /// Whether the peer speaks, and so must answer beats: one that leaves two unanswered is dropped.
    pub answers: bool,
    /// What is said when the server stops.
    pub goodbye: fn(&mut Vec<u8>),
    /// Whether the other side answers the last word, and is waited for.
    pub answers_last: bool,
}
