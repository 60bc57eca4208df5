use async_graphql::connection::CursorType;
use async_graphql::{Object, OutputType, SimpleObject};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::DateTime;
use uuid::Uuid;

use crate::domain::time::is_storable;
use crate::graphql::errors::bad_input;
use crate::graphql::types::alert::AlertRecord;
use crate::graphql::types::anomaly::Anomaly;
use crate::graphql::types::history::{DataQualityMetric, SourceRun};
use crate::store::history::{Page, Position};

/// Maximum number of rows of a page.
const MAX_PAGE: i32 = 500;

/// A position in a history. It is opaque to clients and stays valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub Position);

/// An invalid cursor.
#[derive(Debug, thiserror::Error)]
#[error("invalid cursor; use the `endCursor` of the previous page")]
pub struct InvalidCursor;

impl CursorType for Cursor {
    type Error = InvalidCursor;

    fn decode_cursor(text: &str) -> Result<Self, InvalidCursor> {
        let bytes: [u8; 24] =
            URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(InvalidCursor)?;
        let (at, id) = bytes.split_at(8);
        let at = i64::from_be_bytes(at.try_into().map_err(|_| InvalidCursor)?);
        let at = DateTime::from_timestamp_micros(at).filter(|at| is_storable(*at)).ok_or(InvalidCursor)?;
        Ok(Self(Position { at, id: Uuid::from_slice(id).map_err(|_| InvalidCursor)? }))
    }

    fn encode_cursor(&self) -> String {
        let Position { at, id } = self.0;
        URL_SAFE_NO_PAD.encode([&at.timestamp_micros().to_be_bytes()[..], id.as_bytes()].concat())
    }
}

/// A page of a history.
#[derive(Debug)]
pub(crate) struct Connection<N: OutputType> {
    page_info: PageInfo,
    edges: Vec<Edge<N>>,
}

/// An entry of a page, and its position in the history.
#[derive(Debug, SimpleObject)]
#[graphql(
    concrete(name = "AlertRecordEdge", params(AlertRecord)),
    concrete(name = "AnomalyEdge", params(Anomaly)),
    concrete(name = "DataQualityMetricEdge", params(DataQualityMetric)),
    concrete(name = "SourceRunEdge", params(SourceRun))
)]
pub(crate) struct Edge<N: OutputType> {
    /// The entry at this position of the history.
    node: N,
    /// The position, as the argument `after` takes it.
    cursor: String,
}

/// The place of a page in its history.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct PageInfo {
    /// Whether entries precede the page: true if it was requested with `after`.
    has_previous_page: bool,
    /// Whether entries follow the page; request them with `after: endCursor`.
    has_next_page: bool,
    /// The position of the first entry; null on an empty page.
    start_cursor: Option<String>,
    /// The position of the last entry; null on an empty page.
    end_cursor: Option<String>,
}

/// A page of a history, newest entries first.
#[Object(
    concrete(name = "AlertRecordConnection", params(AlertRecord)),
    concrete(name = "AnomalyConnection", params(Anomaly)),
    concrete(name = "DataQualityMetricConnection", params(DataQualityMetric)),
    concrete(name = "SourceRunConnection", params(SourceRun))
)]
impl<N: OutputType> Connection<N>
where
    Edge<N>: OutputType,
{
    /// Where the page is in the history.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// The entries of the page with their positions.
    async fn edges(&self) -> &[Edge<N>] {
        &self.edges
    }

    /// The entries of the page without their positions.
    async fn nodes(&self) -> Vec<&N> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }
}

/// The number of rows that an argument requests.
pub(super) fn first(first: i32) -> async_graphql::Result<u64> {
    match u64::try_from(first) {
        Ok(rows) if (1..=MAX_PAGE).contains(&first) => Ok(rows),
        _ => Err(bad_input(format!("first: {first} is not from 1 to {MAX_PAGE}; request the next page with after"))),
    }
}

/// The number of entries that an argument requests, by default the maximum.
pub(super) fn at_most(first: Option<i32>, max: usize) -> async_graphql::Result<usize> {
    let Some(first) = first else { return Ok(max) };
    match usize::try_from(first) {
        Ok(entries) if (1..=max).contains(&entries) => Ok(entries),
        _ => Err(bad_input(format!("first: {first} is not from 1 to {max}"))),
    }
}

/// The position that an argument names.
pub(super) fn after(after: Option<&str>) -> async_graphql::Result<Option<Position>> {
    let cursor = after.map(Cursor::decode_cursor).transpose();
    cursor.map(|cursor| cursor.map(|Cursor(position)| position)).map_err(|error| bad_input(format!("after: {error}")))
}

/// Converts a page into a connection.
pub(super) fn connection<T, N: OutputType + From<T>>(
    page: Page<T>,
    is_first: bool,
    position: impl Fn(&T) -> Position,
) -> Connection<N> {
    let edge = |row: T| Edge { cursor: Cursor(position(&row)).encode_cursor(), node: N::from(row) };
    let edges: Vec<_> = page.rows.into_iter().map(edge).collect();
    let page_info = PageInfo {
        has_previous_page: !is_first,
        has_next_page: page.has_more,
        start_cursor: edges.first().map(|edge| edge.cursor.clone()),
        end_cursor: edges.last().map(|edge| edge.cursor.clone()),
    };
    Connection { page_info, edges }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went() {
        let at = DateTime::from_timestamp_micros(1_769_614_245_123_456).expect("in range");
        let cursor = Cursor(Position { at, id: Uuid::from_u128(7) });
        assert_eq!(Cursor::decode_cursor(&cursor.encode_cursor()).expect("a cursor"), cursor);
        for text in ["", "x", "AAAA", "å", &cursor.encode_cursor()[1..]] {
            assert!(Cursor::decode_cursor(text).is_err(), "{text:?}");
        }
        for at in [DateTime::<chrono::Utc>::MIN_UTC, DateTime::<chrono::Utc>::MAX_UTC] {
            let cursor = Cursor(Position { at, id: Uuid::max() });
            assert!(Cursor::decode_cursor(&cursor.encode_cursor()).is_err(), "{at}");
        }
    }
}
