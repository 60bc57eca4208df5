use serde_json::json;

use crate::support::server::{Process, answer, client};
use crate::support::shell::{nowhere, ran};
use crate::support::{now, run, with};

#[tokio::test]
async fn check_exits_with_the_status_of_the_pipeline() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let report = client().post(format!("{}/api/v1/source-runs", server.url));
    let failed = json!({"pipeline": "bad", "source": "load", "timestamp": now(), "outcome": "failed"});
    let good = with(run("load"), json!({"pipeline": "good"}));
    assert_eq!(answer(report.json(&json!([failed, good]))).await.0, 201);
    for (arguments, status, start) in [
        (
            &["check", "good"][..],
            0,
            "PIPEWATCH OK - good: healthy, 1 of 1 sources processed | sources_processed=1;;;0;1 ",
        ),
        (&["check", "bad"], 2, "PIPEWATCH CRITICAL - bad: error, 0 of 1 sources processed, 1 failed"),
        (&["check"], 2, "PIPEWATCH CRITICAL - 1 of 3 pipelines healthy, error: bad | healthy=1;;;0;3"),
        (&["check", "good", "--source", "load"], 0, "PIPEWATCH OK - good/load: healthy, last run "),
        (&["check", "bad", "-s", "load"], 2, "PIPEWATCH CRITICAL - bad/load: error, last run "),
        (&["check", "bad", "-s", "other"], 3, "PIPEWATCH UNKNOWN - bad has no enabled source \"other\""),
        (&["check", "default"], 3, "PIPEWATCH UNKNOWN - default: pending"),
        (&["check", "none"], 3, "PIPEWATCH UNKNOWN - pipeline \"none\" not found"),
        (&["check", "good", "--server", &nowhere()], 3, "PIPEWATCH UNKNOWN - cannot reach http://"),
    ] {
        let ran = ran(folder.path(), &server.url, arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (status, ""), "{arguments:?}: {ran:?}");
        assert!(ran.stdout.starts_with(start), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout.lines().count(), 1, "{ran:?}");
    }
    let rates = ran(folder.path(), &server.url, &["check", "good"]).stdout;
    assert!(rates.contains(" geocoding=90%;;;0;100 validation=95%;;;0;100"), "{rates}");
    for arguments in [&["check", "Bad Key"][..], &["check", "--source", "load"], &["check", "--server", "nowhere"]] {
        assert_eq!(ran(folder.path(), &server.url, arguments).status, 3, "{arguments:?}");
    }
}

#[test]
fn check_gives_up_on_a_silent_server() {
    let folder = tempfile::tempdir().expect("a folder");
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let ran = ran(folder.path(), &url, &["check", "--timeout", "1s"]);
    assert_eq!(ran.status, 3, "{ran:?}");
    assert!(ran.stdout.contains("does not respond in time") || ran.stdout.contains("no response in time"), "{ran:?}");
}
