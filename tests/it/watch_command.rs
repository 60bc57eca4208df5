use std::fs::File;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::server::{Process, answer, client, program};
use crate::support::shell::{command, nowhere, ran};
use crate::support::{eventually, now, run, with};

/// `pipewatch watch` in a pseudo-terminal.
struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(folder: &Path, url: &str, arguments: &[&str], (rows, columns): (u16, u16)) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&controller).expect("granted");
        unlockpt(&controller).expect("unlocked");
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).expect("its size");
        let path = ptsname(&controller, Vec::new()).expect("its name");
        let path = path.to_str().expect("text");
        let terminal = || File::options().read(true).write(true).open(path).expect("the terminal");
        let watch = command(folder, url, &[&["watch"], arguments].concat());
        // A session of its own, whose terminal this is: the terminal of the person who runs the test is not involved.
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(watch.get_program()).args(watch.get_args()).current_dir(folder);
        for (name, value) in watch.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm-256color").stdin(Stdio::from(terminal()));
        let child = session.stdout(Stdio::from(terminal())).stderr(Stdio::from(terminal())).spawn().expect("setsid");
        let keys = File::from(controller);
        let mut output = keys.try_clone().expect("a copy");
        let screen = Arc::new(Mutex::new(vt100::Parser::new(lines(rows), lines(columns), 0)));
        let shown = Arc::clone(&screen);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when the program has closed the terminal.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.lock().expect("no panic").process(&buffer[..length]);
            }
        });
        Self { child, keys, screen }
    }

    fn text(&self) -> String {
        self.screen.lock().expect("no panic").screen().contents()
    }

    async fn shows(&self, text: &str) {
        let is_shown = || async { self.text().contains(text).then_some(()) };
        let waited = tokio::time::timeout(crate::support::DEADLINE, eventually(text, is_shown)).await;
        assert!(waited.is_ok(), "{text:?} in\n{}", self.text());
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("written");
    }

    fn resize(&self, (rows, columns): (u16, u16)) {
        self.screen.lock().expect("no panic").screen_mut().set_size(lines(rows), lines(columns));
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let controller: &File = &self.keys;
        tcsetwinsize(controller, size).expect("its size");
    }

    async fn exit_status(mut self) -> Option<i32> {
        let status = eventually("the exit", || {
            let status = self.child.try_wait().expect("its status");
            async move { status }
        })
        .await;
        assert!(!self.screen.lock().expect("no panic").screen().alternate_screen(), "the terminal is restored");
        status.code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lines(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("not 0")
}

async fn report(url: &str, pipeline: &str, change: serde_json::Value) {
    let report = with(with(run("load"), json!({"pipeline": pipeline})), change);
    assert_eq!(answer(client().post(format!("{url}/api/v1/source-runs")).json(&report)).await.0, 201);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_follows_the_status_in_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    report(&server.url, "billing", json!({})).await;
    let mut terminal = Terminal::start(folder.path(), &server.url, &[], (24, 80));
    terminal.shows("● live").await;
    terminal.shows("billing").await;
    report(&server.url, "crm", json!({"outcome": "failed"})).await;
    terminal.shows("1 error").await;

    terminal.press("/bill\r");
    terminal.shows("search: bill").await;
    terminal.press("\r");
    terminal.shows("pipewatch › billing").await;
    terminal.shows("geocoding").await;
    report(&server.url, "billing", json!({"source": "unload", "timestamp": now()})).await;
    terminal.shows("unload").await;
    terminal.resize((40, 140));
    terminal.shows("LAST RUN CHECKS").await;
    terminal.press("a");
    terminal.shows("billing › alerts").await;
    terminal.press("q");
    assert_eq!(terminal.exit_status().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_shows_a_lost_server_and_reconnects() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve_for_restarts(folder.path());
    let url = server.url.clone();
    report(&url, "billing", json!({})).await;
    let terminal = Terminal::start(folder.path(), &url, &["billing"], (24, 80));
    terminal.shows("● live").await;
    server.kill();
    terminal.shows("○ offline, data ").await;
    terminal.shows("cannot reach").await;
    let server = Process::serve_at(folder.path(), &url);
    terminal.shows("● live").await;
    // setsid has become the program.
    let sent = Command::new("kill").args(["-TERM", &terminal.child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    assert_eq!(terminal.exit_status().await, Some(0));
    drop(server);
}

#[test]
fn watch_needs_a_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = ran(folder.path(), &nowhere(), &["watch"]);
    assert_eq!(ran.status, 64, "{ran:?}");
    assert!(ran.stderr.contains("needs a terminal"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_ends_when_the_token_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut serve = program(folder.path());
    serve.args(["serve", "--listen", "127.0.0.1:0", "--database-url", "sqlite://pipewatch.db"]);
    let server = Process::start({
        serve.env("PIPEWATCH_TOKENS", "0123456789abcdef0123456789abcdef");
        serve
    });
    let mut terminal = Terminal::start(folder.path(), &server.url, &[], (24, 80));
    terminal.shows("token refused").await;
    terminal.shows("requires an access token").await;
    terminal.press("q");
    assert_eq!(terminal.exit_status().await, Some(77));
}

/// A proxy that does not let streams through.
async fn proxy_without_streams(server: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = server.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut head = vec![0; 16 * 1024];
                let length = client.read(&mut head).await.unwrap_or_default();
                let head = &head[..length];
                if String::from_utf8_lossy(head).contains("text/event-stream") {
                    let refusal = b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    return drop(client.write_all(refusal).await);
                }
                let Ok(mut upstream) = TcpStream::connect(&server).await else { return };
                // One request per connection, so that each is looked at.
                let head = String::from_utf8_lossy(head).replacen("\r\n", "\r\nconnection: close\r\n", 1);
                drop(upstream.write_all(head.as_bytes()).await);
                drop(tokio::io::copy_bidirectional(&mut client, &mut upstream).await);
            });
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_polls_where_streams_are_blocked() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Process::serve(folder.path(), "sqlite://pipewatch.db", &[]);
    report(&server.url, "billing", json!({})).await;
    let url = proxy_without_streams(&server.url).await;
    let mut terminal = Terminal::start(folder.path(), &url, &[], (24, 80));
    terminal.shows("◐ polling").await;
    terminal.shows("2 pipelines").await;
    report(&server.url, "crm", json!({})).await;
    terminal.shows("3 pipelines").await;
    terminal.press("q");
    assert_eq!(terminal.exit_status().await, Some(0));
}
