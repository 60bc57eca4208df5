use super::*;

#[test]
fn signals_are_those_of_healthchecks() {
    for (text, expect) in [
        ("start", Some(Signal::Start)),
        ("fail", Some(Signal::Failure)),
        ("log", Some(Signal::Log)),
        ("0", Some(Signal::Exit(0))),
        ("255", Some(Signal::Exit(255))),
        ("007", Some(Signal::Exit(7))),
        ("256", None),
        ("-1", None),
        ("+1", None),
        ("", None),
        ("Start", None),
        ("ok", None),
    ] {
        assert_eq!(text.parse().ok(), expect, "{text:?}");
    }
}

fn query(pairs: &[(&str, &str)]) -> Result<PingParams, InvalidPing> {
    PingParams::of_query(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn query_and_header_give_run_id_and_counts() {
    let mut params =
        query(&[("rid", "a b"), ("counts.rows", "5"), ("access_token", "x"), ("create", "1")]).expect("ok");
    params.add_header("bytes=10, rows=5,").expect("agrees");
    assert_eq!(params.run_id.as_deref(), Some("a b"));
    assert_eq!(params.counts, BTreeMap::from([("rows".to_owned(), 5), ("bytes".to_owned(), 10)]));
    assert_eq!(params.add_header("rows=6"), Err(InvalidPing::Contradiction("rows".into())));
    assert_eq!(params.add_header("rows"), Err(InvalidPing::NotAPair("rows".into())));
}

#[test]
fn invalid_parameters_are_named() {
    let number = |value: &str| InvalidPing::NotACount { name: "rows".into(), value: value.into() };
    for (pairs, expect) in [
        (&[("counts.rows", "-1")][..], number("-1")),
        (&[("counts.rows", "1.5")], number("1.5")),
        (&[("counts.rows", "+1")], number("+1")),
        (&[("counts.rows", "")], number("")),
        (&[("counts.rows", "18446744073709551616")], number("18446744073709551616")),
        (&[("counts.rows", "1"), ("counts.rows", "2")], InvalidPing::Contradiction("rows".into())),
        (&[("count.rows", "1")], InvalidPing::UnknownParameter("count.rows".into())),
        (&[("rid", "a"), ("rid", "a")], InvalidPing::TwoRunIds),
    ] {
        assert_eq!(query(pairs), Err(expect), "{pairs:?}");
    }
}

#[test]
fn pings_are_reports_of_runs() {
    let params = query(&[("counts.rows", "5")]).expect("valid");
    for (signal, id, expect) in [
        (Signal::Success, None, json!({"source": "a", "outcome": "ok", "counts": {"rows": 5}, "log": "out"})),
        (
            Signal::Exit(0),
            Some("r"),
            json!({"id": "r", "source": "a", "outcome": "ok", "counts": {"rows": 5}, "log": "out"}),
        ),
        (Signal::Failure, None, json!({"source": "a", "outcome": "failed", "counts": {"rows": 5}, "log": "out"})),
        (
            Signal::Exit(3),
            None,
            json!({"source": "a", "outcome": "failed", "error": "exit code 3", "counts": {"rows": 5}, "log": "out"}),
        ),
        (Signal::Start, Some("r"), json!({"id": "r", "source": "a", "outcome": "running", "counts": {"rows": 5}})),
    ] {
        assert_eq!(report(signal, "a", id, &params, "out"), Some(expect), "{signal:?}");
    }
    assert_eq!(report(Signal::Log, "a", None, &params, "out"), None);
    let plain = report(Signal::Success, "a", None, &PingParams::default(), "");
    assert_eq!(plain, Some(json!({"source": "a", "outcome": "ok"})));
}

#[test]
fn log_is_text_from_a_character_boundary() {
    assert_eq!(log_text(b"a\xffb\0c"), "a\u{fffd}b\u{fffd}c");
    assert_eq!(log_text(b"\x80a"), "\u{fffd}a", "a short body is whole");
    let mut cut = "é".as_bytes()[1..].to_vec();
    cut.resize(MAX_LOG, b'x');
    assert_eq!(log_text(&cut), "x".repeat(MAX_LOG - 1));
}
