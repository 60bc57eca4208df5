use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use crate::domain::health::Health;
use crate::domain::viewer::Viewer;
use crate::http::error::{Problem, not_found};
use crate::http::query::authorize_pipeline;
use crate::http::respond::{empty, if_none_match};
use crate::http::state::Services;

/// A respond is not a document: nothing in it may load or run, wherever it is opened.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// The colour of a pending or unknown status.
const GREY: &str = "#57606a";

/// The overall status of a pipeline as a badge. An error is a badge as well, with the HTTP status of the error, since
/// a page shows nothing else.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Viewer,
    Path(file): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(name) = file.strip_suffix(".svg") else { return not_found(uri).await };
    let pipeline = match authorize_pipeline(name, viewer) {
        Ok(pipeline) => pipeline,
        Err(problem) => return fallback("pipeline", &problem),
    };
    let snapshot = match services.monitor.current(&pipeline).await {
        Ok(snapshot) => snapshot,
        Err(error) => return fallback(pipeline.as_str(), &error.into()),
    };
    let health = snapshot.status().overall_status;
    // Time alone may change the status, so the revision is not enough.
    let etag = format!("W/\"{}-{}\"", snapshot.revision(), health.as_str());
    let mut response = if if_none_match(&headers, etag.as_bytes()) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        respond(StatusCode::OK, pipeline.as_str(), health.as_str(), colour(health))
    };
    let etag = HeaderValue::try_from(etag).expect("digits and letters");
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn fallback(label: &str, problem: &Problem) -> Response {
    let status = problem.status();
    let word = if status == StatusCode::NOT_FOUND { "unknown" } else { "unavailable" };
    let mut response = respond(status, label, word, GREY);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The colours of the dashboard's light theme; white text is readable on each.
fn colour(health: Health) -> &'static str {
    match health {
        Health::Healthy => "#116329",
        Health::Warning => "#8a4600",
        Health::Error => "#b3261e",
        Health::Pending => GREY,
    }
}

fn respond(status: StatusCode, label: &str, word: &str, colour: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, render_svg(label, word, colour)).into_response()
}

/// Draws the two texts side by side. They are words and keys of pipelines, which need no escaping.
fn render_svg(label: &str, word: &str, colour: &str) -> String {
    let (label_width, word_width) = (width(label), width(word));
    // Five pixels to either side of each text.
    let (left, right) = (label_width + 10, word_width + 10);
    let (whole, word_at) = (left + right, left + 5);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"20\" role=\"img\" \
         aria-label=\"{label}: {word}\"><title>{label}: {word}</title>\
         <rect width=\"{whole}\" height=\"20\" rx=\"3\" fill=\"#3b434b\"/>\
         <path d=\"M{left} 0h{bend}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{bend}z\" fill=\"{colour}\"/>\
         <g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,Geneva,sans-serif\" font-size=\"11\">\
         <text x=\"5\" y=\"14\" textLength=\"{label_width}\">{label}</text>\
         <text x=\"{word_at}\" y=\"14\" textLength=\"{word_width}\">{word}</text></g></svg>\n",
        bend = right - 3,
    )
}

/// The approximate width of a text in Verdana at 11 pixels; other fonts are stretched to it.
fn width(text: &str) -> u32 {
    let tenths: u32 = text
        .chars()
        .map(|letter| match letter {
            'i' | 'j' | 'l' => 32,
            'f' | 't' | '.' => 41,
            'r' | '-' => 48,
            'm' => 107,
            'w' => 90,
            _ => 67,
        })
        .sum();
    tenths.div_ceil(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_says_in_words_what_it_shows_and_is_as_wide_as_they_are() {
        let badge = render_svg("news", "healthy", "#116329");
        for part in [
            "aria-label=\"news: healthy\"",
            "<title>news: healthy</title>",
            "fill=\"#116329\"",
            ">news</text>",
            ">healthy</text>",
            "width=\"91\"",
        ] {
            assert!(badge.contains(part), "{part}: {badge}");
        }
        assert!(width("wwww") > width("eeee") && width("eeee") > width("iiii"));
    }
}
