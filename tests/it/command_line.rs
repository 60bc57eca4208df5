use std::io::Read as _;
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;

use crate::support::server::{Process, answer, client, program};
use crate::support::{eventually, in_time};

fn pipewatch(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(folder).args(arguments).output().expect("the program");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code().expect("an exit status"), text(stdout), text(stderr))
}

#[test]
fn help_documents_every_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, help, _) = pipewatch(folder.path(), &["serve", "--help"]);
    assert_eq!(code, 0);
    for name in [
        "PIPEWATCH_LISTEN",
        "DATABASE_URL",
        "PIPEWATCH_INTERVAL",
        "PIPEWATCH_WINDOW",
        "PIPEWATCH_LOG",
        "PIPEWATCH_TOKENS",
        "--demo",
    ] {
        assert!(help.contains(name), "{name}");
    }
    let (code, help, _) = pipewatch(folder.path(), &["--help"]);
    assert_eq!(code, 0);
    for command in ["serve", "migrate", "schema", "openapi", "replay"] {
        assert!(help.contains(command), "{command}");
    }
}

#[test]
fn invalid_setting_is_named_and_exits_with_64() {
    let folder = tempfile::tempdir().expect("a folder");
    for (arguments, name) in [
        (&["serve", "--interval", "soon"][..], "interval"),
        (&["serve", "--listen", "here"], "listen"),
        (&["serve", "--database-url", "mysql://x"], "database_url"),
        (&["serve", "--log", "a=b=c"], "log"),
        (&["serve", "--config", "nowhere.toml"], "nowhere.toml"),
        (&["serve", "--sdl"], "--sdl"),
        (&["fly"], "fly"),
    ] {
        let (code, _, stderr) = pipewatch(folder.path(), arguments);
        assert_eq!(code, 64, "{arguments:?}: {stderr}");
        assert!(stderr.contains(name), "{name} in {stderr}");
    }
}

#[test]
fn unusable_database_and_used_port_are_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite:///nowhere/at/all.db"];
    let (code, _, stderr) = pipewatch(folder.path(), &arguments);
    assert_eq!(code, 1);
    assert!(stderr.contains("database"), "{stderr}");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let address = server.url.trim_start_matches("http://").to_owned();
    let (code, _, stderr) = pipewatch(folder.path(), &["serve", "--listen", &address]);
    assert_eq!(code, 1);
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn migrate_applies_rolls_back_and_lists_migrations() {
    let folder = tempfile::tempdir().expect("a folder");
    let migrate = |arguments: &[&str]| {
        let (code, stdout, stderr) = pipewatch(folder.path(), &[&["migrate"], arguments].concat());
        assert_eq!(code, 0, "{stderr}");
        (stdout.matches("applied").count(), stdout.matches("pending").count())
    };
    let (_, all) = migrate(&["status"]);
    assert_eq!(migrate(&["up"]), (all, 0));
    assert_eq!(migrate(&["down"]), (all - 1, 1));
    assert_eq!(migrate(&["down", "--steps", "2"]), (all - 3, 3));
    assert_eq!(migrate(&["up", "--steps", "1"]), (all - 2, 2));
}

#[test]
fn schema_prints_the_sdl() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, stdout, _) = pipewatch(folder.path(), &["schema"]);
    assert_eq!((code, stdout), (0, pipewatch::graphql::sdl()));
}

#[tokio::test]
async fn replay_posts_a_file_and_ctrl_c_stops_it_between_posts() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/nigeria-events-quality.ndjson");
    let lines: Vec<String> = std::fs::read_to_string(file).expect("the file").lines().map(str::to_owned).collect();
    std::fs::write(folder.path().join("some.ndjson"), lines[..50].join("\n")).expect("written");
    let arguments = ["replay", "some.ndjson", "--url", &server.url, "--pipeline", "news", "--day", "1ms"];
    let (code, stdout, stderr) = pipewatch(folder.path(), &arguments);
    assert_eq!((code, stdout.trim()), (0, "50 stored, 0 duplicate, 0 refused"), "{stderr}");
    assert_eq!(runs(&server.url, "news").await, 50);

    let mut replay = program(folder.path())
        .args(["replay", file, "--url", &server.url, "--pipeline", "long", "--day", "100ms"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program");
    eventually("some runs", || async { (runs(&server.url, "long").await > 5).then_some(()) }).await;
    let sent = std::process::Command::new("kill").args(["-INT", &replay.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    let mut output = String::new();
    replay.stdout.take().expect("its output").read_to_string(&mut output).expect("text");
    assert_eq!(replay.wait().expect("ended").code(), Some(0), "{output}");
    let stored: u64 =
        output.strip_prefix("interrupted: ").and_then(|t| t.split(' ').next()).expect(&output).parse().expect(&output);
    assert_eq!(runs(&server.url, "long").await, stored, "the printed count matches the database");

    std::fs::write(folder.path().join("bad.ndjson"), "{\"timestamp\": \"2020-01-01T00:00:00Z\"}").expect("written");
    let (code, _, stderr) = pipewatch(folder.path(), &["replay", "bad.ndjson", "--url", &server.url]);
    assert!(code == 1 && stderr.contains("source"), "{stderr}");
    let (code, _, stderr) = pipewatch(folder.path(), &["replay", "none.ndjson"]);
    assert!(code == 1 && stderr.contains("none.ndjson"), "{stderr}");
}

/// The number of runs in the pipeline's window.
async fn runs(url: &str, pipeline: &str) -> u64 {
    let status = client().get(format!("{url}/api/v1/monitoring/pipeline-status?pipeline={pipeline}&sources=all"));
    let (_, status) = answer(status).await;
    let sources = status["scraping_health"]["sources"].as_array().cloned().unwrap_or_default();
    sources.iter().filter_map(|source| source["runs"].as_u64()).sum()
}

#[tokio::test]
async fn demo_updates_continuously() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &["--demo"]);
    let url = format!("{}/api/v1/monitoring/pipeline-status?pipeline=demo", server.url);
    let status: Value = eventually("a run of the demo", || async {
        let (code, status) = answer(client().get(&url)).await;
        (code == 200 && status["scraping_health"]["articles_collected"].as_u64() > Some(0)).then_some(status)
    })
    .await;
    assert_eq!(status["data_quality"]["basis"], "source-specific");
    let mut stream =
        in_time("a response", client().get(url.replace("status?", "status/stream?")).send()).await.expect("a stream");
    let mut text = String::new();
    while text.matches("event: status").count() < 2 {
        let chunk = in_time("an event", stream.chunk()).await.expect("a complete chunk").expect("an open stream");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
}

#[tokio::test]
async fn rollups_are_rebuilt() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    let report = client().post(format!("{}/api/v1/source-runs?pipeline=news", server.url));
    assert_eq!(answer(report.json(&crate::support::run("a"))).await.0, 201);
    let (code, stdout, stderr) = pipewatch(folder.path(), &["rollups", "rebuild"]);
    // Four series: the source and the pipeline total, hourly and daily.
    assert_eq!((code, stdout.as_str()), (0, "default: 0 rollups\nnews: 16 rollups\n"), "{stderr}");
    let (code, stdout, _) = pipewatch(folder.path(), &["rollups", "rebuild", "--pipeline", "news"]);
    assert_eq!((code, stdout.as_str()), (0, "news: 16 rollups\n"));
    let (code, _, stderr) = pipewatch(folder.path(), &["rollups", "rebuild", "--pipeline", "none"]);
    assert!(code == 1 && stderr.contains("none"), "{stderr}");
    assert_eq!(pipewatch(folder.path(), &["rollups", "rebuild", "--pipeline", "No"]).0, 64);
}
