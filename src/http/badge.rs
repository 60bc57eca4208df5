use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};

use crate::domain::health::Health;
use crate::domain::viewer::Viewer;
use crate::http::problem::Problem;
use crate::http::routes::status::poll::is_known;
use crate::http::{Services, empty, not_found, visible};

/// A picture is not a document: nothing in it may load or run, wherever it is opened.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// What is not known is told in the colour of what is pending.
const GREY: &str = "#57606a";

/// The overall status of a pipeline as a badge. Where there is none to show it is a badge all the same, since a page shows no
/// other answer, with the status of an error.
pub(super) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Viewer,
    Path(file): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let Some(name) = file.strip_suffix(".svg") else { return not_found(uri).await.into_response() };
    let pipeline = match visible(name, viewer) {
        Ok(pipeline) => pipeline,
        Err(problem) => return without_status("pipeline", &problem),
    };
    let snapshot = match services.monitor.current(&pipeline).await {
        Ok(snapshot) => snapshot,
        Err(error) => return without_status(pipeline.as_str(), &error.into()),
    };
    let health = snapshot.status().overall_status;
    // Time alone may change the status, so the revision is not enough.
    let etag = format!("W/\"{}-{}\"", snapshot.revision(), health.as_str());
    let mut response = if is_known(&headers, etag.as_bytes()) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        picture(StatusCode::OK, pipeline.as_str(), health.as_str(), colour(health))
    };
    let etag = HeaderValue::try_from(etag).expect("digits and letters");
    response.headers_mut().insert(header::ETAG, etag);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

fn without_status(label: &str, problem: &Problem) -> Response {
    let status = problem.status();
    let word = if status == StatusCode::NOT_FOUND { "unknown" } else { "unavailable" };
    let mut response = picture(status, label, word, GREY);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The dashboard's colours by day; white can be read on each.
fn colour(health: Health) -> &'static str {
    match health {
        Health::Healthy => "#116329",
        Health::Warning => "#8a4600",
        Health::Error => "#b3261e",
        Health::Pending => GREY,
    }
}

fn picture(status: StatusCode, label: &str, word: &str, colour: &str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/svg+xml")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (status, headers, draw(label, word, colour)).into_response()
}

/// The two texts side by side. They are words and keys of pipelines, in which nothing has to be escaped.
fn draw(label: &str, word: &str, colour: &str) -> String {
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

/// About the width of a text of Verdana at 11 pixels, to which another font is stretched.
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
        let badge = draw("news", "healthy", "#116329");
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
