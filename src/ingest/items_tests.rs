use serde_json::json;

use super::*;

fn items(form: BodyFormat, body: &str) -> Result<Vec<Result<Value, TooLarge>>, InvalidBody> {
    let mut items = Vec::new();
    read(form, body.as_bytes(), |item| items.push(item)).map(|()| items)
}

#[test]
fn bodies_are_read_in_their_format() {
    const BROKEN: Result<usize, &str> = Err("broken");
    for (form, body, expect) in [
        (BodyFormat::Json, "{}", Ok(1)),
        (BodyFormat::Json, "[]", Ok(0)),
        (BodyFormat::Json, "[{}, {}]", Ok(2)),
        (BodyFormat::Json, "0", Ok(1)),
        (BodyFormat::Json, "{}\n{}", BROKEN),
        (BodyFormat::Json, "[{}", BROKEN),
        (BodyFormat::Json, "[{}] x", BROKEN),
        (BodyFormat::Json, "", BROKEN),
        (BodyFormat::Json, "[\"\\ud800\"]", BROKEN),
        (BodyFormat::Json, &"[".repeat(10_000), BROKEN),
        (BodyFormat::Json, &format!("[{}]", vec!["{}"; MAX_ITEMS].join(",")), Ok(MAX_ITEMS)),
        (BodyFormat::Json, &format!("[{}]", vec!["{}"; MAX_ITEMS + 1].join(",")), Err("items")),
        // Nothing behind the item that is one too many is read.
        (BodyFormat::Json, &format!("[{}", "0,".repeat(100_000)), Err("items")),
        (BodyFormat::Ndjson, "{}\n{}\r\n\n{}", Ok(3)),
        (BodyFormat::Ndjson, "", Ok(0)),
        (BodyFormat::Ndjson, "{}\n{", BROKEN),
        (BodyFormat::Ndjson, "{} {}", BROKEN),
        (BodyFormat::Ndjson, &"{}\n".repeat(MAX_LINES), Ok(MAX_LINES)),
        (BodyFormat::Ndjson, &"{}\n".repeat(MAX_LINES + 1), Err("lines")),
    ] {
        let read = items(form, body).map(|items| items.len()).map_err(|error| match error {
            InvalidBody::Broken { .. } => "broken",
            InvalidBody::TooManyItems => "items",
            InvalidBody::TooManyLines => "lines",
        });
        assert_eq!(read, expect, "{form:?} {}", &body[..body.len().min(20)]);
    }
}

#[test]
fn items_equal_those_of_serde_json() {
    for item in [
        json!({"a": 1, "b": -1, "c": 1.5, "d": null, "e": true, "f": "ü\n\0", "g": [], "h": {"i": [1, {"j": "k"}]}}),
        json!([[1], []]),
        json!("text"),
        json!(null),
        json!(u64::MAX),
        json!(1e300),
    ] {
        let text = item.to_string();
        assert_eq!(items(BodyFormat::Ndjson, &text), Ok(vec![Ok(item.clone())]));
        assert_eq!(items(BodyFormat::Json, &format!(" [ {text} , {text} ] ")), Ok(vec![Ok(item.clone()), Ok(item)]));
    }
    assert_eq!(
        items(BodyFormat::Json, "{\"a\": 1, \"a\": 2}"),
        Ok(vec![Ok(json!({"a": 2}))]),
        "the last of two counts"
    );
}

#[test]
fn oversized_items_are_rejected_individually() {
    let fields = |count: usize| (0..count).map(|number| format!("\"{number}\":0")).collect::<Vec<_>>().join(",");
    for (item, expect) in [
        (format!("[{}]", vec!["0"; MAX_VALUES - 1].join(",")), None),
        (format!("[{}]", vec!["0"; MAX_VALUES].join(",")), Some(TooLarge::Values)),
        (format!("{{\"a\":[{}]}}", vec!["[{}]"; MAX_VALUES].join(",")), Some(TooLarge::Values)),
        (format!("{{{}}}", fields(MAX_VALUES - 1)), None),
        (format!("{{{}}}", fields(MAX_VALUES)), Some(TooLarge::Values)),
        (json!({"a": "x".repeat(MAX_TEXT - 1)}).to_string(), None),
        (json!({"a": "x".repeat(MAX_TEXT)}).to_string(), Some(TooLarge::Text)),
        (json!({"a".repeat(MAX_TEXT + 1): 0, "b": [[]]}).to_string(), Some(TooLarge::Text)),
        (format!("\"{}\"", "\\u00e9".repeat(MAX_TEXT)), Some(TooLarge::Text)),
    ] {
        for (form, body) in
            [(BodyFormat::Json, format!("[{{}}, {item}, 1]")), (BodyFormat::Ndjson, format!("{{}}\n{item}\n1"))]
        {
            let read = items(form, &body).expect("JSON");
            assert_eq!((&read[0], &read[2], read.len()), (&Ok(json!({})), &Ok(json!(1)), 3));
            assert_eq!(read[1].as_ref().err().copied(), expect, "{form:?} {}", &item[..item.len().min(20)]);
        }
    }
}

#[test]
fn invalid_json_is_located_by_line_and_column() {
    let too_many = vec!["0"; 2 * MAX_VALUES].join(",");
    for (form, body, place) in [
        (BodyFormat::Json, "{\n \"a\": nope}", "line 2 column 8"),
        (BodyFormat::Ndjson, "{}\n\n{\"a\": nope}", "line 3 column 8"),
        (BodyFormat::Json, &format!("[\n{{\"a\":[{too_many}]\n, nope}}]"), "line 3 column 3"),
    ] {
        let error = items(form, body).expect_err("broken").to_string();
        assert!(error.contains(place), "{error}");
    }
}
