//! What a client accepts (RFC 9110, 12.5.1).

use axum::http::{HeaderMap, header};
use mime::Mime;

/// A media range of an `Accept` header and its weight, which is above 0.
pub(super) type MediaRange = (Mime, f32);

/// The acceptable media ranges, in the order of the header; `*/*` without one. A range that cannot be parsed is left out.
pub(super) fn media_ranges(headers: &HeaderMap) -> Vec<MediaRange> {
    let values = headers.get_all(header::ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
    let mut ranges = values.flat_map(elements).map(str::trim).filter(|range| !range.is_empty()).peekable();
    if ranges.peek().is_none() {
        return vec![(mime::STAR_STAR, 1.0)];
    }
    let weighted = ranges.filter_map(|range| {
        let range: Mime = range.parse().ok()?;
        let weight = range.get_param("q").and_then(|weight| weight.as_str().parse().ok()).unwrap_or(1.0);
        (weight > 0.0).then_some((range, weight))
    });
    weighted.collect()
}

/// The elements of a list, in which a quoted string may have a comma.
fn elements(list: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    list.split(move |letter| {
        is_quoted ^= letter == '"';
        letter == ',' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn ranges_are_split_and_weighted() {
        for (accept, expect) in [
            (&[][..], &[("*/*", 1.0)][..]),
            (&["", " , "], &[("*/*", 1.0)]),
            (&["text/html, */*;q=0.1"], &[("text/html", 1.0), ("*/*", 0.1)]),
            (&["text/html", "Application/JSON; Q=0.5"], &[("text/html", 1.0), ("application/json", 0.5)]),
            (&["multipart/mixed;a=\"b,c\", text/html;q=0, x"], &[("multipart/mixed", 1.0)]),
            (&["application/*;q=x"], &[("application/*", 1.0)]),
            (&["nonsense"], &[]),
        ] {
            let headers = accept.iter().map(|text| (header::ACCEPT, HeaderValue::from_static(text))).collect();
            let ranges = media_ranges(&headers);
            let ranges: Vec<_> = ranges.iter().map(|(range, weight)| (range.essence_str(), *weight)).collect();
            assert_eq!(ranges, expect, "{accept:?}");
        }
    }
}
