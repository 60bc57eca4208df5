use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::support::server::Process;
use crate::support::shell::{Ran, command, nowhere, ran, stored_runs, with_default_signals};
use crate::support::terminal::Terminal;
use crate::support::{DEADLINE, eventually};

fn serve(folder: &Path) -> Process {
    Process::serve(folder, "sqlite://pipewatch.db", &[])
}

fn kill(process: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &process.to_string()]).status();
    assert!(sent.expect("kill").success());
}

/// Runs a script of `sh`.
fn run_sh(folder: &Path, url: &str, script: &str) -> Ran {
    ran(folder, url, &["run", "-p", "billing", "-s", "load", "--", "sh", "-c", script])
}

#[tokio::test]
async fn run_reports_success_and_passes_the_output_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let script = "printf 'a\\n\\377b'; printf 'c\\n' >&2; printf 'pipewatch: not-null=3/4\\n'";
    let output = command(folder.path(), &server.url, &["run", "-p", "billing", "-s", "load", "--", "sh", "-c", script]);
    let output = { output }.output().expect("the program");
    assert_eq!(
        (output.status.code(), output.stdout.as_slice()),
        (Some(0), b"a\n\xffbpipewatch: not-null=3/4\n".as_slice())
    );
    assert_eq!(output.stderr, b"c\n");
    let runs = stored_runs(&server.url, "billing", "source state error startedAt finishedAt").await;
    assert_eq!((runs.len(), &runs[0]["state"], &runs[0]["error"]), (1, &json!("OK"), &json!(null)), "{runs:?}");
    assert!(runs[0]["startedAt"].is_string() && runs[0]["finishedAt"].is_string());
}

#[tokio::test]
async fn run_reports_failures_with_the_last_lines_of_standard_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    for (script, status, error) in [
        ("echo first >&2; echo no; echo last >&2; exit 3", 3, "first\nlast\n(exit status 3)"),
        ("exit 255", 255, "exit status 255"),
        ("kill -KILL $$", 137, "killed by SIGKILL"),
    ] {
        let ran = run_sh(folder.path(), &server.url, script);
        assert_eq!(ran.status, status, "{ran:?}");
        let runs = stored_runs(&server.url, "billing", "state error").await;
        assert_eq!(runs[0], json!({"state": "FAILED", "error": error}));
    }
    for (name, status) in [("./no-such-command", 127), ("./", 126)] {
        let ran = ran(folder.path(), &server.url, &["run", "-p", "billing", "-s", "load", "--", name]);
        assert_eq!(ran.status, status, "{ran:?}");
        assert!(ran.stderr.contains(name), "{ran:?}");
        let runs = stored_runs(&server.url, "billing", "state").await;
        assert_eq!(runs[0], json!({"state": "FAILED"}));
    }
}

#[tokio::test]
async fn run_reports_the_start_while_the_command_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let arguments = ["run", "-s", "load", "--", "sh", "-c", "read line; exit 0"];
    let mut child = command(folder.path(), &server.url, &arguments).stdin(Stdio::piped()).spawn().expect("the program");
    let url = format!("{}/api/v1/monitoring/pipeline-status", server.url);
    eventually("a run in progress", || async {
        let (_, status) = crate::support::server::answer(crate::support::server::client().get(&url)).await;
        (status["scraping_health"]["sources"][0]["running"] == 1).then_some(())
    })
    .await;
    drop(child.stdin.take());
    assert!(child.wait().expect("ended").success());
    assert_eq!(stored_runs(&server.url, "default", "state").await, [json!({"state": "OK"})]);
}

#[tokio::test]
async fn run_reports_results_from_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let script = "echo \"{\\\"articles_collected\\\": 7, \\\"id\\\": \\\"x\\\"}\" > \"$PIPEWATCH_REPORT\"";
    let written = run_sh(folder.path(), &server.url, script);
    assert_eq!(written.status, 0, "{written:?}");
    assert!(written.stderr.contains("id is ignored"), "{written:?}");
    assert_eq!(stored_runs(&server.url, "billing", "articlesCollected").await[0]["articlesCollected"], 7);

    let refused = run_sh(folder.path(), &server.url, "echo '{\"articles_collected\": -7}' > \"$PIPEWATCH_REPORT\"");
    assert_eq!(refused.status, 0, "results that are refused do not fail the command: {refused:?}");
    assert!(refused.stderr.contains("articles_collected: "), "{refused:?}");
    let runs = stored_runs(&server.url, "billing", "state articlesCollected").await;
    assert_eq!(runs[0], json!({"state": "OK", "articlesCollected": null}), "the run has ended nevertheless");

    let broken = run_sh(folder.path(), &server.url, "echo '{' > \"$PIPEWATCH_REPORT\"; exit 1");
    assert_eq!(broken.status, 1);
    assert!(broken.stderr.contains("$PIPEWATCH_REPORT is not valid JSON"), "{broken:?}");
}

#[tokio::test]
async fn run_forwards_signals_and_the_exit_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("USR1", 10)] {
        let script = format!("trap 'echo caught; exit 0' {signal}; echo ready; while :; do sleep 0.05; done");
        for (script, status, expect) in
            [(script.as_str(), 0, "caught\n"), ("echo ready; exec sleep 60", 128 + number, "")]
        {
            let arguments = ["run", "-p", "billing", "-s", "load", "--", "sh", "-c", script];
            let mut program = with_default_signals(&command(folder.path(), &server.url, &arguments));
            let mut child = program.stdout(Stdio::piped()).spawn().expect("the program");
            let mut output = child.stdout.take().expect("its output");
            let mut ready = [0; 6];
            output.read_exact(&mut ready).expect("its output");
            kill(child.id(), signal);
            let mut rest = String::new();
            output.read_to_string(&mut rest).expect("text");
            assert_eq!((child.wait().expect("ended").code(), rest.as_str()), (Some(status), expect), "{signal}");
        }
        let runs = stored_runs(&server.url, "billing", "error state").await;
        assert_eq!(runs[0], json!({"state": "FAILED", "error": format!("killed by SIG{signal}")}));
    }
}

#[test]
fn run_keeps_ignored_signals_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = command(folder.path(), &nowhere(), &[]);
    let script = "trap '' HUP; exec \"$0\" run -s load -- sh -c 'kill -HUP $$; echo alive'";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(program.get_program()).current_dir(folder.path());
    let output = shell.env("PIPEWATCH_URL", nowhere()).env("PIPEWATCH_SPOOL", folder.path().join("spool")).output();
    assert_eq!(output.expect("the program").stdout, b"alive\n");
}

#[test]
fn command_ends_as_it_would_when_its_reader_goes_away() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["run", "-s", "load", "--", "sh", "-c", "while echo y; do :; done 2>/dev/null; exit 7"];
    let mut child = command(folder.path(), &nowhere(), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it");
    let mut first = [0; 2];
    child.stdout.take().expect("its output").read_exact(&mut first).expect("a line");
    // The shell is killed by SIGPIPE, or sees the error.
    assert!(matches!(child.wait().expect("ended").code(), Some(7 | 141)));
}

#[tokio::test]
async fn run_works_with_a_closed_standard_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let program = command(folder.path(), &server.url, &[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" run -s load -- sh -c 'echo lost; echo lost >&2; exit 5' >&- 2>&-"]);
    shell.arg(program.get_program()).current_dir(folder.path()).env("PIPEWATCH_URL", &server.url);
    shell.env("PIPEWATCH_SPOOL", folder.path().join("spool"));
    assert_eq!(shell.status().expect("the program").code(), Some(5));
    assert_eq!(stored_runs(&server.url, "default", "state").await, [json!({"state": "FAILED"})]);
}

#[tokio::test]
async fn command_does_not_wait_for_a_server_that_is_away_or_silent() {
    let folder = tempfile::tempdir().expect("a folder");
    // Accepts connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent_url = format!("http://{}", silent.local_addr().expect("an address"));
    for url in [nowhere(), silent_url] {
        let marker = folder.path().join("marker");
        let script = format!("touch {}; exit 4", marker.display());
        let arguments = ["run", "-s", "load", "--", "sh", "-c", &script];
        let mut child = command(folder.path(), &url, &arguments).stderr(Stdio::piped()).spawn().expect("the program");
        eventually("the command's end", || async { marker.exists().then_some(()) }).await;
        assert_eq!(child.wait().expect("ended").code(), Some(4));
        let mut stderr = String::new();
        child.stderr.take().expect("its output").read_to_string(&mut stderr).expect("text");
        assert!(stderr.contains("kept in the spool"), "{stderr}");
        let list = ran(folder.path(), &url, &["spool"]);
        assert!(list.stdout.contains(&format!("{url}: 2 reports")), "start and end: {list:?}");
        std::fs::remove_file(marker).expect("removed");
    }
}

#[tokio::test]
async fn runs_of_a_dead_server_are_delivered_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve_for_restarts(folder.path());
    let url = server.url.clone();
    let arguments = ["run", "-s", "load", "--", "sh", "-c", "echo ready; read line; exit 0"];
    let mut child = command(folder.path(), &url, &arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    let mut ready = [0; 6];
    child.stdout.as_mut().expect("its output").read_exact(&mut ready).expect("its output");
    server.kill();
    drop(child.stdin.take());
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    let server = Process::serve_at(folder.path(), &url);
    for _ in 0..2 {
        assert_eq!(ran(folder.path(), &url, &["spool", "flush"]).status, 0);
    }
    let runs = stored_runs(&server.url, "default", "state").await;
    assert_eq!(runs, [json!({"state": "OK"})]);
}

#[tokio::test]
async fn background_process_of_the_command_does_not_hold_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = serve(folder.path());
    let started = std::time::Instant::now();
    let ran = run_sh(folder.path(), &server.url, "sleep 60 & echo started; exit 0");
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "started\n"));
    assert!(started.elapsed() < DEADLINE);
}

#[test]
fn output_can_be_inherited() {
    let folder = tempfile::tempdir().expect("a folder");
    let arguments = ["run", "-s", "load", "--no-capture", "--", "sh", "-c", "echo out; echo err >&2"];
    let ran = ran(folder.path(), &nowhere(), &arguments);
    assert_eq!((ran.status, ran.stdout.as_str()), (0, "out\n"));
    assert!(ran.stderr.starts_with("err\n"), "{ran:?}");
}

#[test]
fn reporting_can_be_switched_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = ran(folder.path(), "off", &["run", "-s", "load", "--", "sh", "-c", "echo out; exit 3"]);
    assert_eq!((run.status, run.stdout.as_str(), run.stderr.as_str()), (3, "out\n", ""));
    let record = ran(folder.path(), "off", &["record", "-s", "load"]);
    assert_eq!((record.status, record.stdout.as_str(), record.stderr.as_str()), (0, "", ""));
    assert_eq!(ran(folder.path(), "off", &["check"]).status, 3);
    assert!(!folder.path().join("spool").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn command_receives_an_interrupt_of_the_terminal_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "trap 'echo caught' INT; echo ready; \
        i=0; while [ $i -lt 20 ]; do sleep 0.05; i=$((i+1)); done; echo ended; exit 6";
    let arguments = ["run", "-s", "load", "--", "sh", "-c", script];
    let mut terminal = Terminal::start(folder.path(), "off", &arguments, (24, 80));
    terminal.shows("ready").await;
    terminal.press("\x03");
    terminal.shows("ended").await;
    assert_eq!(terminal.text().matches("caught").count(), 1, "{}", terminal.text());
    assert_eq!(terminal.exit_status().await, Some(6));
}
