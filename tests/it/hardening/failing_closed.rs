//! Settings that would leave the server open unnoticed, and guessed credentials.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::clients::Socket;
use crate::support::honest_clients::{HonestClients, attack_length};
use crate::support::in_time;
use crate::support::server::{Process, answer, client, program};

const TOKEN: &str = "a-token-of-these-tests";

fn serve(folder: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = program(folder);
    command.args(["serve", "--database-url", "sqlite://pipewatch.db"]).args(arguments);
    command.envs(variables.iter().copied());
    command
}

/// Starts a server with a log file, and returns what it has logged by the time it serves.
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
fn empty_credential_variable_prevents_the_start() {
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
    // Other commands that open the database, and clients, check the variables that they read.
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
fn unknown_variable_logs_a_warning() {
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
fn open_server_on_a_reachable_address_logs_a_warning() {
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
    // A client's variable does not protect a server.
    let printed = printed_at_start(&[("PIPEWATCH_TOKEN", TOKEN)], &["--listen", "127.0.0.1:0", "--log", "off"]);
    assert!(printed.contains("PIPEWATCH_TOKENS") && !printed.contains(TOKEN), "{printed}");
}

/// How a wrong token is sent, and whether its response was delayed.
async fn guess(server: &Process, number: usize) -> (u16, Duration) {
    let token = format!("a-wrong-token-{number:06}");
    let url = format!("{}/api/v1/monitoring/pipeline-status", server.url);
    let begun = Instant::now();
    let request = match number % 4 {
        0 => client().get(&url).bearer_auth(token),
        1 => client().get(format!("{url}?access_token={token}")),
        2 => client().get(&url).bearer_auth(token).header("host", "evil.example"),
        _ => {
            let mut socket = Socket::graphql_unacknowledged(&server.url).await;
            socket.send(json!({"type": "connection_init", "payload": {"token": token}})).await;
            return (socket.end().await.expect("a close code"), begun.elapsed());
        }
    };
    let response = in_time("an answer", request.send()).await.expect("an answer");
    assert_eq!(response.headers().contains_key("retry-after"), response.status() == 429);
    (response.status().as_u16(), begun.elapsed())
}

/// Returns a metric of a server with tokens.
async fn metric(server: &Process, name: &str) -> f64 {
    let request = client().get(format!("{}/metrics", server.url)).bearer_auth(TOKEN);
    let text = in_time("an answer", request.send()).await.expect("an answer").text().await.expect("text");
    let lines = text.lines().filter(|line| line.starts_with(name));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_wrong_tokens_are_counted_and_slowed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("log");
    let mut command = serve(folder.path(), &[("PIPEWATCH_TOKENS", TOKEN)], &["--listen", "127.0.0.1:0"]);
    command.stderr(Stdio::from(File::create(&path).expect("a file")));
    let server = Arc::new(Process::start(command));
    let honest = HonestClients::start(&server, Some(TOKEN)).await;
    let begun = Instant::now();
    let mut attackers = tokio::task::JoinSet::new();
    for attacker in 0..16 {
        let server = Arc::clone(&server);
        attackers.spawn(async move {
            let mut answers = Vec::new();
            for number in (attacker * 1_000).. {
                answers.push(guess(&server, number).await);
                if begun.elapsed() > attack_length() {
                    break;
                }
            }
            answers
        });
    }
    let mut answers = Vec::new();
    while let Some(of_one) = attackers.join_next().await {
        answers.extend(of_one.expect("no panic"));
    }
    // From the same address: requests with a valid token are not delayed, which would take a second each.
    let mut fastest = Duration::MAX;
    for _ in 0..20 {
        let request = client().get(format!("{}/api/v1/monitoring/pipeline-status", server.url)).bearer_auth(TOKEN);
        let asked = Instant::now();
        assert_eq!(answer(request).await.0, 200);
        fastest = fastest.min(asked.elapsed());
    }
    assert!(fastest < Duration::from_secs(1), "{fastest:?}");
    assert!(answers.iter().all(|(status, _)| [401, 421, 429, 4403].contains(status)), "{answers:?}");
    let prompt = answers.iter().filter(|(status, after)| *status != 429 && *after < Duration::from_secs(1)).count();
    let refill = usize::try_from(begun.elapsed().as_secs() / 6).expect("a short time");
    assert!(prompt <= 10 + refill + 1, "{prompt} of {} at once", answers.len());
    assert!(answers.len() > prompt, "{answers:?}");
    let counted = metric(&server, "pipewatch_authentication_failures_total").await;
    assert!((counted - f64::from(u32::try_from(answers.len()).expect("few"))).abs() < 0.5, "{counted}: {answers:?}");
    honest.finish(&server).await;

    let log = std::fs::read_to_string(&path).expect("the log");
    let lines: Vec<_> = log.lines().filter(|line| line.contains("a credential was refused")).collect();
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("a short time");
    assert!((1..=10 + seconds + 1).contains(&lines.len()), "{} lines of {}", lines.len(), answers.len());
    for part in ["pipewatch::audit", "who=", "from=127.0.0.1", "means=", "unlogged="] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(!log.contains("a-wrong-token") && !log.contains(TOKEN), "{log}");
}
