use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::command::server::{Server, ServerError};
use crate::command::spool::{DeliveryLock, Entry, EntryName, Spool, SpoolError};

/// The most reports and the most bytes in one request.
const MAX_ITEMS: usize = 500;
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// How often to look whether another process has delivered.
const LOCK_POLL: Duration = Duration::from_millis(25);

/// What became of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Receipt {
    Stored {
        warnings: Vec<String>,
    },
    /// It was stored before.
    Duplicate,
    /// Delivered by another process.
    Elsewhere,
    /// The server refused its content.
    Refused {
        errors: Vec<String>,
    },
}

/// The result of an attempt to deliver everything.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    pub(crate) receipts: BTreeMap<EntryName, Receipt>,
    /// Why it ended before the spool was empty.
    pub(crate) stopped: Option<ServerError>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error("cannot use the spool: {0}")]
    Io(#[from] io::Error),
}

/// Waits until this process may deliver. `None` once none of `awaited` is left, or at the deadline.
pub(crate) async fn lock(
    spool: &Spool,
    awaited: &[EntryName],
    deadline: Instant,
) -> Result<Option<DeliveryLock>, SpoolError> {
    loop {
        if let Some(lock) = spool.try_lock().map_err(|cause| spool.error(cause))? {
            return Ok(Some(lock));
        }
        let is_delivered = !awaited.is_empty() && awaited.iter().all(|name| !spool.contains(name));
        if is_delivered || Instant::now() >= deadline {
            return Ok(None);
        }
        sleep(LOCK_POLL).await;
    }
}

/// Delivers all reports of the spool, in order, until it is empty or a request fails. Each is removed after its answer: a
/// process that is killed in between delivers it again, and the server recognises its id.
pub(crate) async fn deliver(spool: &Spool, server: &Server, _: &DeliveryLock) -> io::Result<Delivery> {
    let mut delivery = Delivery::default();
    loop {
        let names = spool.list()?;
        let Some(batch) = next_batch(spool, &names)? else {
            // Files that are not reports have been set aside.
            if spool.list()?.is_empty() {
                return Ok(delivery);
            }
            continue;
        };
        let entries: Vec<_> = batch.iter().map(|(_, entry)| entry).collect();
        let settled = |index: usize, receipt| settle(spool, &batch[index], receipt, &mut delivery);
        match exchange(server, &entries, settled).await {
            Ok(()) => {}
            Err(DeliveryError::Server(error)) => {
                delivery.stopped = Some(error);
                return Ok(delivery);
            }
            Err(DeliveryError::Io(error)) => return Err(error),
        }
    }
}

type Batch = Vec<(EntryName, Entry)>;

/// The first reports for the same route, as many as fit into a request.
fn next_batch(spool: &Spool, names: &[EntryName]) -> io::Result<Option<Batch>> {
    let mut batch = Batch::new();
    let mut room = Room::default();
    for name in names {
        let Some(entry) = spool.read(name)? else { continue };
        if !room.take(batch.first().map(|(_, first)| first), &entry) {
            break;
        }
        batch.push((name.clone(), entry));
    }
    Ok((!batch.is_empty()).then_some(batch))
}

/// What a request may still contain.
#[derive(Default)]
struct Room {
    items: usize,
    bytes: usize,
}

impl Room {
    /// Whether the report fits into a request that begins with `first`. The first report always fits.
    fn take(&mut self, first: Option<&Entry>, entry: &Entry) -> bool {
        let size = serde_json::to_vec(&entry.report).map_or(0, |text| text.len());
        let fits = self.items < MAX_ITEMS && self.bytes + size <= MAX_BYTES;
        if first.is_some_and(|first| first.path != entry.path || !fits) {
            return false;
        }
        self.items += 1;
        self.bytes += size;
        true
    }
}

/// Sends reports without the spool, and returns their receipts.
pub(crate) async fn send_directly(server: &Server, entries: &[Entry]) -> Result<Vec<Receipt>, DeliveryError> {
    let mut receipts = vec![Receipt::Duplicate; entries.len()];
    let mut start = 0;
    while start < entries.len() {
        let mut room = Room::default();
        let rest = &entries[start..];
        let length = rest.iter().take_while(|entry| room.take(rest.first(), entry)).count();
        let batch: Vec<_> = rest[..length].iter().collect();
        let settle = |index: usize, receipt| {
            receipts[start + index] = receipt;
            Ok(())
        };
        exchange(server, &batch, settle).await?;
        start += length;
    }
    Ok(receipts)
}

/// Sends the reports in one request and settles each. Those that are refused are sent again alone: only the status of a
/// request for one report says whether its refusal is temporary.
async fn exchange(
    server: &Server,
    batch: &[&Entry],
    mut settle: impl FnMut(usize, Receipt) -> io::Result<()>,
) -> Result<(), DeliveryError> {
    let alone = match post(server, batch).await {
        Ok(results) => {
            let mut refused = Vec::new();
            for (index, result) in results.iter().enumerate() {
                match receipt(result) {
                    Receipt::Refused { .. } if batch.len() > 1 => refused.push(index),
                    receipt => settle(index, receipt)?,
                }
            }
            refused
        }
        Err(ServerError::Rejected { .. }) if batch.len() > 1 => (0..batch.len()).collect(),
        Err(error @ ServerError::Rejected { .. }) => {
            return Ok(settle(0, Receipt::Refused { errors: vec![error.to_string()] })?);
        }
        Err(error) => return Err(error.into()),
    };
    for index in alone {
        let receipt = match post(server, &batch[index..=index]).await {
            Ok(results) => results.first().map_or(Receipt::Duplicate, receipt),
            Err(error @ ServerError::Rejected { .. }) => Receipt::Refused { errors: vec![error.to_string()] },
            Err(error) => return Err(error.into()),
        };
        settle(index, receipt)?;
    }
    Ok(())
}

fn settle(spool: &Spool, item: &(EntryName, Entry), receipt: Receipt, delivery: &mut Delivery) -> io::Result<()> {
    let (name, entry) = item;
    match &receipt {
        Receipt::Refused { errors } => spool.reject(name, entry, errors)?,
        _ => spool.remove(name)?,
    }
    delivery.receipts.insert(name.clone(), receipt);
    Ok(())
}

/// Posts the reports and returns the result of each.
async fn post(server: &Server, batch: &[&Entry]) -> Result<Vec<Value>, ServerError> {
    let reports: Vec<_> = batch.iter().map(|entry| &entry.report).collect();
    let request = server.post(server.route(&batch[0].path)).json(&reports);
    let response = server.send(request).await?;
    let is_unavailable = response.status().is_server_error();
    let is_answer = |body: &Value| !is_unavailable && has_results(body, batch.len());
    let (status, mut body) = server.read_json(response, is_answer).await?;
    if !has_results(&body, batch.len()) {
        return Err(ServerError::NotPipewatch { url: server.shown(), status });
    }
    match body["results"].take() {
        Value::Array(results) => Ok(results),
        _ => Ok(Vec::new()),
    }
}

fn has_results(body: &Value, expected: usize) -> bool {
    body["results"].as_array().is_some_and(|results| results.len() == expected)
}

fn receipt(result: &Value) -> Receipt {
    let lines = |key: &str| -> Vec<String> { result[key].as_array().into_iter().flatten().map(line).collect() };
    match result["status"].as_str() {
        Some("stored") => Receipt::Stored { warnings: lines("warnings") },
        Some("duplicate") => Receipt::Duplicate,
        _ => Receipt::Refused { errors: lines("errors") },
    }
}

/// A field error in one line: `timestamp: missing; expected RFC 3339`.
fn line(error: &Value) -> String {
    let text = |key: &str| error[key].as_str().unwrap_or_default();
    let field = if text("field").is_empty() { "report" } else { text("field") };
    let expected = if text("expected").is_empty() { String::new() } else { format!("; expected {}", text("expected")) };
    format!("{field}: {}{expected}", text("message"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn results_become_receipts() {
        let refused = json!({"status": "refused", "errors": [
            {"field": "timestamp", "message": "missing", "expected": "RFC 3339"}, {"field": "", "message": "got 1"}]});
        for (result, expect) in [
            (json!({"status": "stored"}), Receipt::Stored { warnings: vec![] }),
            (json!({"status": "duplicate"}), Receipt::Duplicate),
            (
                refused,
                Receipt::Refused {
                    errors: vec!["timestamp: missing; expected RFC 3339".into(), "report: got 1".into()],
                },
            ),
        ] {
            assert_eq!(receipt(&result), expect);
        }
    }

    #[test]
    fn batches_have_one_route_and_a_bounded_size() {
        let root = tempfile::tempdir().expect("a folder");
        let spool = Spool::open(root.path(), "http://a").expect("a spool");
        let entry = |path: &str, size: usize| Entry::new(path, json!({"error": "x".repeat(size)}));
        let mut entries = vec![entry("/api/v1/source-runs", 1), entry("/api/v1/source-runs", 1)];
        entries.push(entry("/api/v1/data-quality-metrics", 1));
        entries.extend((0..3).map(|_| entry("/api/v1/source-runs", 1_900_000)));
        spool.add(&entries).expect("added");
        let mut lengths = vec![];
        while let Some(batch) = next_batch(&spool, &spool.list().expect("a list")).expect("read") {
            lengths.push(batch.len());
            for (name, _) in &batch {
                spool.remove(name).expect("removed");
            }
        }
        assert_eq!(lengths, [2, 1, 2, 1]);
    }
}
