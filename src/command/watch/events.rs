//! Parses Server-Sent Events.

/// An unfinished event larger than this is an error: it is not a status.
const MAX_EVENT: usize = 64 * 1024 * 1024;

/// A received event.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerEvent {
    pub(super) name: String,
    pub(super) data: String,
}

/// The events of a stream, which arrives in parts.
#[derive(Default)]
pub(super) struct EventParser {
    unfinished: Vec<u8>,
    name: String,
    data: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream is not one of events")]
pub(super) struct InvalidStream;

impl EventParser {
    /// The events that a part completes.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<Vec<ServerEvent>, InvalidStream> {
        let mut events = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if self.unfinished.len() > MAX_EVENT {
                return Err(InvalidStream);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.unfinished);
                let line = std::str::from_utf8(&line).map_err(|_| InvalidStream)?;
                events.extend(self.line(line.trim_end_matches(['\r', '\n'])));
            }
        }
        Ok(events)
    }

    fn line(&mut self, line: &str) -> Option<ServerEvent> {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| ServerEvent { name, data: data.join("\n") });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            // Comments, ids and retry times.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_parsed_from_any_parts() {
        let text = ": hello\nretry: 3000\n\nevent: status\nid: 5\ndata: {\"a\":\ndata: \"é\"}\n\nevent: alert\r\ndata:x\r\n\r\ndata: y\n";
        let expect = [("status", "{\"a\":\n\"é\"}"), ("alert", "x")];
        for size in 1..text.len() {
            let mut parser = EventParser::default();
            let parts = text.as_bytes().chunks(size).map(|part| parser.feed(part).expect("events"));
            let events: Vec<_> = parts.flatten().map(|event| (event.name, event.data)).collect();
            assert_eq!(events, expect.map(|(name, data)| (name.to_owned(), data.to_owned())), "parts of {size}");
        }
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert_eq!(EventParser::default().feed(b"data: \xff\n"), Err(InvalidStream));
    }
}
