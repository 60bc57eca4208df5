//! The output of a command: copied unchanged, and read for counts.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, PipeReader, Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::command::report::{Check, Count};

/// Begins a line with counts: `pipewatch: rows=120 not-null=119/120`.
const MARK: &str = "pipewatch: ";
/// A longer line has no counts.
const MAX_LINE: usize = 4096;
/// The end of the output that is kept.
const MAX_TAIL: usize = 16 * 1024;
/// The lines of standard error that are sent as the error of a failed run.
const ERROR_LINES: usize = 20;
/// How long a pipe must be silent after the command's end. A process that the command left in the background may hold it.
const SILENCE: Duration = Duration::from_secs(1);

/// What a command has printed.
#[derive(Default)]
pub(super) struct Captured {
    pub(super) counts: Vec<Count>,
    pub(super) checks: Vec<Check>,
    /// Marked lines that are not counts.
    pub(super) warnings: Vec<String>,
    errors: Tail,
    log: Tail,
}

impl Captured {
    /// The last lines of standard error.
    pub(super) fn error(&self) -> String {
        let text = self.errors.text();
        let lines: Vec<_> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(ERROR_LINES)..].join("\n")
    }

    /// The end of both outputs.
    pub(super) fn log(&self) -> String {
        self.log.text()
    }

    fn line(&mut self, line: &str) {
        let Some(items) = line.trim_end().strip_prefix(MARK) else { return };
        for item in items.split_whitespace() {
            if let Ok(count) = item.parse::<Count>() {
                self.counts.retain(|other| other.name != count.name);
                self.counts.push(count);
            } else if let Ok(check) = item.parse::<Check>() {
                self.checks.retain(|other| other.name != check.name);
                self.checks.push(check);
            } else if self.warnings.len() < ERROR_LINES {
                self.warnings.push(format!("{item:?} is neither NAME=N nor NAME=PASSES/ATTEMPTS"));
            }
        }
    }
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail(VecDeque<u8>);

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(MAX_TAIL)..];
        let surplus = (self.0.len() + bytes.len()).saturating_sub(MAX_TAIL);
        self.0.drain(..surplus);
        self.0.extend(bytes);
    }

    /// From the first complete character on. U+0000, which reports cannot contain, is replaced.
    fn text(&self) -> String {
        let is_continuation = |byte: &&u8| (0x80..0xc0).contains(*byte);
        let bytes: Vec<u8> = self.0.iter().skip_while(is_continuation).copied().collect();
        String::from_utf8_lossy(&bytes).replace('\0', "\u{fffd}")
    }
}

/// The lines of a stream, which arrive in parts.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    is_too_long: bool,
}

impl Lines {
    fn feed(&mut self, bytes: &[u8], mut take: impl FnMut(&str)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.is_too_long |= self.line.len() + part.len() > MAX_LINE;
            if !self.is_too_long {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                self.end(&mut take);
            }
        }
    }

    /// Ends a line, the last of which may have no line break.
    fn end(&mut self, mut take: impl FnMut(&str)) {
        if !self.is_too_long
            && let Ok(line) = std::str::from_utf8(&self.line)
        {
            take(line);
        }
        self.line.clear();
        self.is_too_long = false;
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stream {
    Output,
    Error,
}

/// Copies a stream in a thread.
pub(super) struct Copier {
    done: oneshot::Receiver<()>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    reads: AtomicU64,
    is_writing: AtomicBool,
}

impl Copier {
    pub(super) fn start(
        stream: Stream,
        from: PipeReader,
        to: File,
        captured: Arc<Mutex<Captured>>,
    ) -> io::Result<Self> {
        let (sender, done) = oneshot::channel();
        let progress = Arc::new(Progress::default());
        let shared = Arc::clone(&progress);
        std::thread::Builder::new().name("output".into()).spawn(move || {
            copy(stream, from, to, &captured, &shared);
            // The receiver is gone if a background process outlives the command.
            let _ = sender.send(());
        })?;
        Ok(Self { done, progress })
    }

    /// Waits, after the end of the command, until everything is copied.
    pub(super) async fn finish(mut self) {
        loop {
            let before = self.progress.reads.load(Ordering::Relaxed);
            if timeout(SILENCE, &mut self.done).await.is_ok() {
                return;
            }
            let is_idle = self.progress.reads.load(Ordering::Relaxed) == before;
            if is_idle && !self.progress.is_writing.load(Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// Copies until the end of the stream. Ends early if nothing reads the copy any more: the command then notices it as it would
/// without this program in between.
fn copy(stream: Stream, mut from: PipeReader, mut to: File, captured: &Mutex<Captured>, progress: &Progress) {
    let mut buffer = vec![0; 64 * 1024];
    let (mut lines, mut is_writable) = (Lines::default(), true);
    loop {
        let length = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        progress.is_writing.store(true, Ordering::Relaxed);
        progress.reads.fetch_add(1, Ordering::Relaxed);
        let bytes = &buffer[..length];
        {
            let mut captured = captured.lock();
            lines.feed(bytes, |line| captured.line(line));
            captured.log.push(bytes);
            if stream == Stream::Error {
                captured.errors.push(bytes);
            }
        }
        if is_writable {
            match write(&mut to, bytes) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => {
                    is_writable = false;
                    crate::print_error(&format!("warning: cannot write the output of the command: {error}"));
                }
            }
        }
        progress.is_writing.store(false, Ordering::Relaxed);
    }
    let mut captured = captured.lock();
    lines.end(|line| captured.line(line));
}

/// Writes everything, also to a pipe that another process has made non-blocking.
fn write(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(parts: &[&[u8]]) -> Captured {
        let (mut captured, mut lines) = (Captured::default(), Lines::default());
        for part in parts {
            lines.feed(part, |line| captured.line(line));
        }
        lines.end(|line| captured.line(line));
        captured
    }

    #[test]
    fn marked_lines_are_counts_and_checks() {
        let long = [b"pipewatch: a=1 ".as_slice(), &[b' '; MAX_LINE], b"\n"].concat();
        let captured = captured(&[
            b"loading\npipewa",
            b"tch: rows=1\r\n",
            b"pipewatch: rows=120 not-null=119/120\n  pipewatch: no=1\n",
            &long,
            b"\xff\xfe\npipewatch: bad\npipewatch: last=2",
        ]);
        let counts: Vec<_> = captured.counts.iter().map(|count| (count.name.as_str(), count.value)).collect();
        assert_eq!(counts, [("rows", 120), ("last", 2)]);
        assert_eq!((captured.checks[0].passes, captured.checks[0].attempts, captured.checks.len()), (119, 120, 1));
        assert_eq!(captured.warnings.len(), 1);
    }

    #[test]
    fn error_is_the_last_lines() {
        let mut captured = Captured::default();
        for number in 0..10_000 {
            captured.errors.push(format!("line {number} é\n").as_bytes());
        }
        let error = captured.error();
        assert_eq!(error.lines().count(), ERROR_LINES);
        assert!(error.starts_with("line 9980 é\n") && error.ends_with("line 9999 é"), "{error}");
        captured.errors.push(&vec![b'x'; MAX_TAIL + 1]);
        assert_eq!(captured.error().len(), MAX_TAIL);
    }

    #[test]
    fn tail_begins_with_a_complete_character() {
        let mut tail = Tail::default();
        tail.push("é".repeat(MAX_TAIL).as_bytes());
        tail.push(b"\0");
        assert!(tail.text().starts_with('é') && tail.text().ends_with("é\u{fffd}"));
    }
}
