//! Settings that would leave the server open without a word, and credentials that are guessed.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::server::{Process, program};

const TOKEN: &str = "a-token-of-these-tests";

fn serve(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(["serve", "--database-url", "sqlite://pipewatch.db"]).args(arguments);
    command.envs(variables.iter().copied());
    command
}

/// Starts a server whose log goes to a file, and gives what it has printed by the time it serves.
fn printed_at_start(variables: &[(&str, &str)], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let mut command = serve(folder.path(), variables, arguments);
    command.stderr(Stdio::from(File::create(&path).expect("a file")));
    let server = Process::start(command);
    assert_eq!(server.signal("TERM").code(), Some(0));
    std::fs::read_to_string(path).expect("the log")
}

#[test]
fn variable_that_would_leave_the_server_open_refuses_to_start() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, value, says) in [
        ("PIPEWATCH_TOKENS", "", "empty"),
        ("PIPEWATCH_TOKENS", "  ", "empty"),
        ("PIPEWATCH_WEBHOOK_URL", "", "empty"),
        ("PIPEWATCH_WEBHOOK_SECRET", "", "empty"),
        ("PIPEWATCH_SLACK_URL", "", "empty"),
        ("PIPEWATCH_SMTP_URL", "", "empty"),
        ("DATABASE_URL", "", "empty"),
        ("PIPEWATCH_TOKNES", TOKEN, "PIPEWATCH_TOKENS"),
        ("PIPEWATCH_TOKENS_", TOKEN, "PIPEWATCH_TOKENS"),
        ("PIPEWATCH_LISTENS", "127.0.0.1:0", "PIPEWATCH_LISTEN"),
        ("PIPEWATCH_CORS_ORIGIN", "https://example.org", "PIPEWATCH_CORS_ORIGINS"),
        ("PIPEWATCH_ALLOWED_HOST", "intern", "PIPEWATCH_ALLOWED_HOSTS"),
    ] {
        let output = serve(folder.path(), &[(name, value)], &[]).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{name}={value:?}: {said}");
        assert!(said.contains(&format!("{name}: ")) && said.contains(says), "{name}={value:?}: {said}");
    }
    for tokens in ["fifteen-letters", "a-token-that-is-long-enough,short"] {
        let output = serve(folder.path(), &[("PIPEWATCH_TOKENS", tokens)], &[]).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{said}");
        assert!(said.contains("at least 16 characters") && !said.contains(tokens), "{said}");
    }
    // Other commands that open the database, and clients, check what they read.
    for (arguments, name, value, code) in [
        (&["migrate", "status"][..], "DATABASE_URL", "", 64),
        (&["migrate", "status"], "PIPEWATCH_CONFG", "x", 64),
        (&["migrate", "status"], "PIPEWATCH_TOKENS", "", 0),
        (&["replay", "none.ndjson"], "PIPEWATCH_TOKEN", "", 64),
        (&["replay", "none.ndjson"], "PIPEWATCH_TOKNES", "x", 1),
        (&["schema"], "PIPEWATCH_TOKNES", "x", 0),
    ] {
        let output = program(folder.path()).args(arguments).env(name, value).output().expect("the program");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?} {name}={value:?}: {said}");
        assert_eq!(said.contains(name), code == 64, "{arguments:?} {name}={value:?}: {said}");
    }
}

#[test]
fn unknown_variable_is_warned_of_and_known_one_is_not() {
    let loopback = ["--listen", "127.0.0.1:0", "--log", "off"];
    let printed = printed_at_start(&[("PIPEWATCH_LISTENING", "yes")], &loopback);
    assert!(printed.contains("variable PIPEWATCH_LISTENING") && printed.contains("is PIPEWATCH_LISTEN\n"), "{printed}");
    let known = [
        ("PIPEWATCH_URL", "http://127.0.0.1:8000"),
        ("PIPEWATCH_SERVICE_HOST", "10.0.0.1"),
        ("PIPEWATCH_SERVICE_PORT", "8000"),
        ("PIPEWATCH_SERVICE_PORT_HTTP", "8000"),
        ("PIPEWATCH_PORT", "tcp://10.0.0.1:8000"),
        ("PIPEWATCH_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("PIPEWATCH_PORT_8000_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(printed_at_start(&known, &loopback), "");
}

#[test]
fn open_server_on_a_reachable_address_is_warned_of() {
    for (address, variables, is_warned_of) in [
        ("0.0.0.0:0", &[][..], true),
        ("[::]:0", &[], true),
        ("0.0.0.0:0", &[("PIPEWATCH_TOKENS", TOKEN)], false),
        ("127.0.0.1:0", &[], false),
        ("127.0.0.2:0", &[], false),
        ("[::1]:0", &[], false),
    ] {
        let printed = printed_at_start(variables, &["--listen", address, "--log", "off"]);
        assert_eq!(printed.contains("without access tokens"), is_warned_of, "{address} {variables:?}: {printed}");
    }
    // A client's variable protects no server.
    let printed = printed_at_start(&[("PIPEWATCH_TOKEN", TOKEN)], &["--listen", "127.0.0.1:0", "--log", "off"]);
    assert!(printed.contains("PIPEWATCH_TOKENS") && !printed.contains(TOKEN), "{printed}");
}
