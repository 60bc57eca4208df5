use axum::http::{HeaderMap, header};
use serde_json::Value;

use crate::http::problem::Problem;
use crate::ingest::MAX_ITEMS;

/// Lines of one NDJSON body, at most: they are committed in one transaction, which others wait for.
const MAX_LINES: usize = 10_000;

/// How the items of a body are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One object or an array of them.
    Json,
    /// One object a line.
    Ndjson,
}

impl Form {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/json" => Ok(Self::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Ok(Self::Ndjson),
            other => Err(Problem::unsupported_media_type(format!(
                "the Content-Type is {other:?}; expected application/json (an object or an array) or application/x-ndjson"
            ))),
        }
    }
}

/// The items, in their order.
pub(super) fn items(form: Form, body: &[u8]) -> Result<Vec<Value>, Problem> {
    match form {
        Form::Json => {
            let json = serde_json::from_slice(body).map_err(|error| broken(&error, error.line()))?;
            match json {
                Value::Array(items) if items.len() > MAX_ITEMS => Err(Problem::too_large(format!(
                    "the array has {} items; expected at most {MAX_ITEMS}: send several, or NDJSON",
                    items.len()
                ))),
                Value::Array(items) => Ok(items),
                item => Ok(vec![item]),
            }
        }
        Form::Ndjson => {
            let lines = body.split(|byte| *byte == b'\n').enumerate();
            let items = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).map(|(index, line)| {
                serde_json::from_slice(line).map_err(|error| broken(&error, index + error.line().max(1)))
            });
            let items: Vec<Value> = items.take(MAX_LINES + 1).collect::<Result<_, _>>()?;
            if items.len() > MAX_LINES {
                return Err(Problem::too_large(format!("the body has more than {MAX_LINES} lines; send it in parts")));
            }
            Ok(items)
        }
    }
}

fn broken(error: &serde_json::Error, line: usize) -> Problem {
    let message = error.to_string();
    // serde_json ends its message with the place, which of a single line is not that of the body.
    let what = message.rsplit_once(" at line ").map_or(message.as_str(), |(what, _)| what);
    Problem::bad_request(format!("the body is no JSON: {what} at line {line} column {}", error.column()))
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;

    use super::*;

    #[test]
    fn bodies_are_read_by_their_form() {
        for (form, body, expect) in [
            (Form::Json, "{}", Ok(1)),
            (Form::Json, "[]", Ok(0)),
            (Form::Json, "[{}, {}]", Ok(2)),
            (Form::Json, "{}\n{}", Err(400)),
            (Form::Json, "", Err(400)),
            (Form::Ndjson, "{}\n{}\r\n\n{}", Ok(3)),
            (Form::Ndjson, "", Ok(0)),
            (Form::Ndjson, "{}\n{", Err(400)),
            (Form::Ndjson, &"{}\n".repeat(10_000), Ok(10_000)),
            (Form::Ndjson, &"{}\n".repeat(10_001), Err(413)),
            (Form::Json, &format!("[{}]", vec!["{}"; 1_001].join(",")), Err(413)),
        ] {
            let items = items(form, body.as_bytes()).map(|items| items.len());
            let items = items.map_err(|problem| problem.into_response().status().as_u16());
            assert_eq!(items, expect, "{form:?} {}", &body[..body.len().min(20)]);
        }
    }

    #[test]
    fn broken_json_is_found_by_line_and_column() {
        for (form, body, place) in [
            (Form::Json, "{\n \"a\": nope}", "line 2 column 8"),
            (Form::Ndjson, "{}\n\n{\"a\": nope}", "line 3 column 8"),
        ] {
            let problem = items(form, body.as_bytes()).expect_err("broken");
            assert!(format!("{problem:?}").contains(place), "{problem:?}");
        }
    }
}
