use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use crate::support::server::{Process, program};
use crate::support::shell::{command, nowhere, ran, ran_with_input, stored_runs};
use crate::support::{eventually, now};

fn serve(folder: &Path) -> Process {
    Process::serve(folder, "sqlite://pipewatch.db", &[])
}

#[tokio::test]
async fn record_reports_a_run_with_its_results() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let arguments =
        ["record", "-p", "billing", "-s", "load", "--check", "not-null=119/120", "--error", "first line\nsecond line"];
    let ran = ran(folder.path(), &server.url, &arguments);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.starts_with("stored "), "{ran:?}");
    let runs = stored_runs(&server.url, "billing", "id source state error").await;
    let id = ran.stdout.trim().trim_start_matches("stored ");
    assert_eq!(runs, [json!({"id": id, "source": "load", "state": "FAILED", "error": "first line\nsecond line"})]);
}

#[tokio::test]
async fn record_is_stored_once_under_its_id() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let (id, timestamp) = (uuid::Uuid::now_v7().to_string(), now());
    let arguments = ["record", "-s", "load", "--id", &id, "--timestamp", &timestamp];
    for word in ["stored", "duplicate"] {
        let ran = ran(folder.path(), &server.url, &arguments);
        assert_eq!((ran.status, ran.stdout), (0, format!("{word} {id}\n")), "{}", ran.stderr);
    }
    let other = [&arguments[..], &["--outcome", "failed"]].concat();
    let ran = ran(folder.path(), &server.url, &other);
    assert_eq!((ran.status, ran.stdout), (65, format!("refused {id}\n")));
    assert!(ran.stderr.contains("id: "), "{}", ran.stderr);
    assert_eq!(stored_runs(&server.url, "default", "id").await, [json!({ "id": id })]);
}

#[tokio::test]
async fn record_reads_reports_from_standard_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let lines = "{\"source\":\"a\"}\n{\"source\":\"b\",\"pipeline\":\"other\"}\n";
    let read = ran_with_input(folder.path(), &server.url, &["record", "-p", "news"], lines);
    assert_eq!((read.status, read.stdout.matches("stored").count()), (0, 2), "{read:?}");
    assert_eq!(stored_runs(&server.url, "news", "source").await, [json!({"source": "a"})]);
    assert_eq!(stored_runs(&server.url, "other", "source").await, [json!({"source": "b"})]);
    for (text, arguments, status) in [
        ("{", &["record"][..], 65),
        ("", &["record"], 65),
        ("1", &["record"], 65),
        ("{}", &["record", "--id", "x"], 64),
    ] {
        let ran = ran_with_input(folder.path(), &server.url, arguments, text);
        assert_eq!(ran.status, status, "{text}: {ran:?}");
    }
}

#[tokio::test]
async fn refused_report_lists_each_field_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let report = json!({"source": "a", "articles_collected": -1, "outcome": "great"}).to_string();
    let ran = ran_with_input(folder.path(), &server.url, &["record"], &report);
    assert_eq!(ran.status, 65, "{ran:?}");
    assert!(ran.stderr.contains("articles_collected: ") && ran.stderr.contains("outcome: "), "{ran:?}");
    let list = crate::support::shell::ran(folder.path(), &server.url, &["spool"]);
    assert!(list.stdout.starts_with("no reports in "), "a refused report is not kept: {list:?}");
}

#[tokio::test]
async fn wrong_addresses_and_tokens_have_exit_statuses_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = {
        let mut command = program(folder.path());
        command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"]);
        command.env("PIPEWATCH_TOKENS", "0123456789abcdef0123456789abcdef");
        Process::start(command)
    };
    let record = ["record", "-s", "load"];
    let with_token = |url: &str, token: Option<&str>, arguments: &[&str]| {
        let mut command = command(folder.path(), url, arguments);
        if let Some(token) = token {
            command.env("PIPEWATCH_TOKEN", token);
        }
        crate::support::shell::Ran::from(command.stdin(Stdio::null()).output().expect("the program"))
    };
    for (url, token, arguments, status, text) in [
        (server.url.as_str(), None, &record[..], 77, "requires an access token"),
        (&server.url, Some("wrong"), &record, 77, "refused the access token"),
        (&server.url, Some(" "), &record, 64, "PIPEWATCH_TOKEN"),
        (&format!("{}/graphiql", server.url), None, &record, 76, "is not a Pipewatch server"),
        ("localhost:8000", None, &record, 64, "PIPEWATCH_URL"),
        (&nowhere(), None, &["record", "-s", "load", "--no-spool"], 69, "cannot reach"),
        (&server.url, None, &["record", "-s", "load", "--count", "rows"], 64, "NAME=N"),
        (&server.url, None, &["record", "-s", "load", "--log", "none.txt"], 66, "none.txt"),
    ] {
        let ran = with_token(url, token, arguments);
        assert_eq!(ran.status, status, "{url}: {ran:?}");
        assert!(ran.stderr.contains(text), "{text}: {ran:?}");
    }
    let list = with_token(&server.url, None, &["spool"]);
    assert!(list.stdout.starts_with("no reports in "), "an error keeps nothing: {list:?}");
    let good = with_token(&server.url, Some("0123456789abcdef0123456789abcdef"), &record);
    assert_eq!(good.status, 0, "{good:?}");
}

#[tokio::test]
async fn settings_are_accepted_before_and_after_the_subcommand() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    for arguments in [
        &["--server", &server.url, "-p", "before", "record", "-s", "load"][..],
        &["record", "-p", "before", "-s", "load", "--server", &server.url],
    ] {
        let ran = ran(folder.path(), &nowhere(), arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
    assert_eq!(stored_runs(&server.url, "before", "source").await.len(), 2);
    let url = "sqlite://other.db";
    for arguments in [
        &["migrate", "--database-url", url, "status"][..],
        &["migrate", "status", "--database-url", url],
        &["--database-url", url, "migrate", "status"],
    ] {
        let ran = ran(folder.path(), &server.url, arguments);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
}

#[tokio::test]
async fn spooled_reports_are_delivered_later_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve_for_restarts(folder.path());
    let url = server.url.clone();
    server.kill();
    let mut ids = Vec::new();
    for number in 0..3 {
        let timestamp = crate::support::ago(chrono::TimeDelta::seconds(60 - number));
        let ran = ran(folder.path(), &url, &["record", "-s", "load", "--timestamp", &timestamp]);
        assert_eq!(ran.status, 0, "{ran:?}");
        assert!(ran.stderr.contains("cannot reach") && ran.stderr.contains("kept in the spool"), "{ran:?}");
        ids.push(ran.stdout.trim().strip_prefix("spooled ").expect("an id").to_owned());
    }
    let list = ran(folder.path(), &url, &["spool", "list"]);
    assert!(list.stdout.starts_with(&format!("{url}: 3 reports")), "{list:?}");
    let positions: Vec<_> = ids.iter().map(|id| list.stdout.find(id).expect("listed")).collect();
    assert!(positions.is_sorted(), "{list:?}");
    let flush = ran(folder.path(), &url, &["spool", "flush"]);
    assert_eq!(flush.status, 69, "{flush:?}");

    let server = Process::serve_at(folder.path(), &url);
    let ran_now = ran(folder.path(), &url, &["record", "-s", "load"]);
    assert_eq!((ran_now.status, ran_now.stdout.starts_with("stored ")), (0, true), "{ran_now:?}");
    ids.push(ran_now.stdout.trim().trim_start_matches("stored ").to_owned());
    let mut received = stored_runs(&server.url, "default", "id receivedAt").await;
    received.sort_by_key(|run| run["receivedAt"].as_str().map(str::to_owned));
    let delivered: Vec<_> = received.iter().map(|run| run["id"].as_str().expect("an id")).collect();
    assert_eq!(delivered.len(), 4);
    assert!(ids.iter().all(|id| delivered.contains(&id.as_str())));
    let flush = ran(folder.path(), &url, &["spool", "flush"]);
    assert_eq!((flush.status, flush.stdout.as_str()), (0, "0 stored, 0 duplicate, 0 refused, 0 waiting\n"));
}

#[tokio::test]
async fn reports_for_a_wrong_address_can_be_taken_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let wrong = nowhere();
    assert!(ran(folder.path(), &wrong, &["record", "-s", "load"]).stdout.starts_with("spooled "));
    let flush = ran(folder.path(), &server.url, &["spool", "flush"]);
    assert_eq!(flush.stdout, "0 stored, 0 duplicate, 0 refused, 0 waiting\n", "each server has reports of its own");
    let flush = ran(folder.path(), &server.url, &["spool", "flush", "--from", &wrong]);
    assert_eq!((flush.status, flush.stdout.as_str()), (0, "1 stored, 0 duplicate, 0 refused, 0 waiting\n"));
}

#[test]
fn full_spool_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let url = nowhere();
    assert_eq!(ran(folder.path(), &url, &["record", "-s", "load"]).status, 0);
    let of_server = std::fs::read_dir(folder.path().join("spool")).expect("the spool").next().expect("a folder");
    let of_server = of_server.expect("an entry").path();
    let large = report_text() + &" ".repeat(64 * 1024 * 1024);
    std::fs::write(of_server.join("00000000000000000001-00000000.json"), large).expect("written");
    let ran = ran(folder.path(), &url, &["record", "-s", "load"]);
    assert_eq!(ran.status, 73, "{ran:?}");
    assert!(ran.stderr.contains("is full") && ran.stderr.contains("pipewatch spool flush"), "{ran:?}");
}

fn report_text() -> String {
    let report = json!({"id": "x", "pipeline": "default", "source": "a", "timestamp": now()});
    json!({"version": 1, "path": "/api/v1/source-runs", "report": report}).to_string()
}

#[test]
fn unusable_spool_is_only_needed_without_a_server() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("spool"), "a file").expect("written");
    let ran_without = ran(folder.path(), &nowhere(), &["record", "-s", "load"]);
    assert_eq!(ran_without.status, 69, "{ran_without:?}");
    let server = serve(folder.path());
    let ran_with = ran(folder.path(), &server.url, &["record", "-s", "load"]);
    assert_eq!((ran_with.status, ran_with.stdout.starts_with("stored ")), (0, true), "{ran_with:?}");
    assert!(ran_with.stderr.contains("warning: cannot use the spool"), "{ran_with:?}");
}

/// Reporters and the server are killed again and again; afterwards every acknowledged report is stored, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_acknowledged_and_stores_nothing_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve_for_restarts(folder.path());
    let url = server.url.clone();
    let mut acknowledged = Vec::new();
    let mut server = Some(server);
    for round in 0..24_u64 {
        match round % 8 {
            3 => server.take().expect("a server").kill(),
            6 => server = Some(Process::serve_at(folder.path(), &url)),
            _ => {}
        }
        let mut child = command(folder.path(), &url, &["record", "-s", "load"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        if round % 2 == 0 {
            // Killed at any moment: before, while or after it writes and sends.
            tokio::time::sleep(std::time::Duration::from_millis(round * 3)).await;
            drop(child.kill());
        }
        let output = child.wait_with_output().expect("its output");
        let printed = String::from_utf8(output.stdout).expect("text");
        acknowledged.extend(printed.split_whitespace().nth(1).map(str::to_owned));
    }
    drop(server.take());
    let server = Process::serve_at(folder.path(), &url);
    eventually("an empty spool", || async {
        (ran(folder.path(), &url, &["spool", "flush"]).status == 0).then_some(())
    })
    .await;
    let stored: Vec<String> = stored_runs(&server.url, "default", "id")
        .await
        .iter()
        .map(|run| run["id"].as_str().expect("an id").to_owned())
        .collect();
    let mut unique = stored.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), stored.len(), "none twice");
    assert!(acknowledged.len() >= 12, "{acknowledged:?}");
    for id in acknowledged {
        assert!(stored.contains(&id), "{id} was acknowledged");
    }
}
