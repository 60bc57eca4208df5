use std::sync::Arc;

use async_graphql::{Context, Result};

use crate::domain::run::{RunState, SourceRun};
use crate::graphql::errors::error;
use crate::graphql::meter::Meter;
use crate::store::Store;
use crate::store::history::{Page, PageRequest, Position};

/// Runs in the first part of a page: each may have texts of 64 KiB, and an answer has room for few of those.
const FIRST_PART: u64 = 50;
/// Bytes of text in a part beyond which the next parts stay small.
const LARGE: usize = 256 * 1024;

/// Reads a page of runs in parts and stops when the answer has no room for more.
pub(super) async fn read(
    ctx: &Context<'_>,
    store: &Store,
    request: &PageRequest,
    state: Option<RunState>,
) -> Result<Page<SourceRun>> {
    let meter = ctx.data_opt::<Arc<Meter>>();
    let runs = ["nodes", "edges"].map(|list| ctx.look_ahead().field(list));
    let [nodes, edges] = runs;
    let needs = |text: &str| nodes.field(text).exists() || edges.field("node").field(text).exists();
    let (needs_errors, needs_logs) = (needs("error"), needs("log"));
    let mut page = Page { rows: Vec::new(), has_more: true };
    let (mut after, mut size) = (request.after, FIRST_PART);
    while page.has_more && (page.rows.len() as u64) < request.first {
        let first = size.min(request.first - page.rows.len() as u64);
        let part = {
            let _turn = match meter {
                Some(meter) => Some(meter.turn_to_read().await?),
                None => None,
            };
            store.source_runs(&PageRequest { after, first, ..request.clone() }, state).await.map_err(error)?
        };
        page.has_more = part.has_more;
        after = part.rows.last().map(position);
        let length = |run: &SourceRun| [&run.error, &run.log].into_iter().flatten().map(String::len).sum::<usize>();
        let read: usize = part.rows.iter().map(length).sum();
        size = if read > LARGE { FIRST_PART } else { request.first };
        let runs = part.rows.into_iter().map(|run| SourceRun {
            error: run.error.filter(|_| needs_errors),
            log: run.log.filter(|_| needs_logs),
            ..run
        });
        let begin = page.rows.len();
        page.rows.extend(runs);
        if let Some(meter) = meter.filter(|_| needs_errors || needs_logs) {
            meter.charge_rows(page.rows[begin..].iter().map(length).sum())?;
        }
    }
    Ok(page)
}

/// The position of a run in its history. Runs in progress are sorted by their start.
pub(super) fn position(run: &SourceRun) -> Position {
    Position { at: run.finished_at.or(run.started_at).unwrap_or(run.received_at), id: run.key }
}
