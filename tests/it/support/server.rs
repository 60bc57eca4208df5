use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use pipewatch::app;
use pipewatch::clock::Clock;
use pipewatch::config::{Config, DatabaseFlags, Flags};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{Database, in_time};

/// A server in this process, with a clock set by the test.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) database: Database,
    ahead: Arc<AtomicI64>,
    skew: Arc<AtomicI64>,
    shutdown: CancellationToken,
    running: JoinHandle<pipewatch::error::Result<()>>,
}

impl Server {
    pub(crate) async fn start(database: Database) -> Self {
        Self::start_with(database, Flags::default()).await
    }

    pub(crate) async fn start_with(database: Database, flags: Flags) -> Self {
        Self::start_at(database, flags, Utc::now()).await
    }

    /// Starts at a time other than the machine's.
    pub(crate) async fn start_at(database: Database, flags: Flags, now: DateTime<Utc>) -> Self {
        Self::start_skewed(database, flags, now, TimeDelta::zero()).await
    }

    /// Starts with a wrong clock, this far ahead.
    pub(crate) async fn start_skewed(database: Database, flags: Flags, now: DateTime<Utc>, skew: TimeDelta) -> Self {
        let (server, is_serving) = Self::begin(database, flags, now, skew).await;
        // A server that fails to start reports why when it is stopped.
        let _ = in_time("the server starts", is_serving).await;
        server
    }

    /// Returns before the server listens; the receiver resolves when it does.
    pub(crate) async fn begin(
        database: Database,
        flags: Flags,
        now: DateTime<Utc>,
        skew: TimeDelta,
    ) -> (Self, oneshot::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let file = DatabaseFlags { config: Some("/dev/null".into()), ..DatabaseFlags::default() };
        let flags = Flags { database: DatabaseFlags { database_url: Some(database.url.clone()), ..file }, ..flags };
        let config = Config::load(flags, None).expect("good settings");
        let ahead = (now - Utc::now()).num_microseconds().expect("a short time");
        let ahead = Arc::new(AtomicI64::new(ahead));
        let skew = Arc::new(AtomicI64::new(skew.num_microseconds().expect("a short time")));
        let clock = {
            let (ahead, skew) = (Arc::clone(&ahead), Arc::clone(&skew));
            Clock::skewed(
                move || Utc::now() + TimeDelta::microseconds(ahead.load(Ordering::Relaxed)),
                move || TimeDelta::microseconds(skew.load(Ordering::Relaxed)),
            )
        };
        let shutdown = CancellationToken::new();
        let (serving, is_serving) = oneshot::channel();
        let serving = move || {
            let _ = serving.send(());
        };
        let running = tokio::spawn(app::run(listener, config, clock, None, shutdown.clone(), serving));
        (Self { url, client: client(), database, ahead, skew, shutdown, running }, is_serving)
    }

    /// Advances time: it passes, and the clock is right.
    pub(crate) fn advance(&self, span: TimeDelta) {
        self.ahead.fetch_add(span.num_microseconds().expect("a short time"), Ordering::Relaxed);
    }

    /// Makes the server's clock wrong: this far ahead of real time, which passes as before.
    pub(crate) fn set_clock_wrong(&self, ahead: TimeDelta) {
        self.skew.store(ahead.num_microseconds().expect("a short time"), Ordering::Relaxed);
    }

    /// Requests the shutdown without waiting for it.
    pub(crate) fn begin_stop(&self) {
        self.shutdown.cancel();
    }

    /// Stops the server and returns its database.
    pub(crate) async fn stop(self) -> Database {
        self.shutdown.cancel();
        in_time("the server ends", self.running).await.expect("no panic").expect("a successful exit");
        self.database
    }

    pub(crate) fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str) -> RequestBuilder {
        self.client.post(format!("{}{path}", self.url))
    }

    /// Reports by REST; returns the status and the body.
    pub(crate) async fn report(&self, path: &str, body: &Value) -> (u16, Value) {
        answer(self.post(path).json(body)).await
    }

    /// Reports source runs that must all be stored.
    pub(crate) async fn store_runs(&self, path: &str, runs: &[Value]) -> Value {
        let (status, answer) = self.report(path, &json!(runs)).await;
        assert_eq!(status, 201, "{answer}");
        answer
    }

    /// The plain status.
    pub(crate) async fn status(&self, query: &str) -> Value {
        let (status, body) = answer(self.get(&format!("/api/v1/monitoring/pipeline-status{query}"))).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The complete response of a GraphQL operation.
    pub(crate) async fn graphql(&self, query: &str, variables: Value) -> Value {
        let body = json!({"query": query, "variables": variables});
        let (status, answer) = answer(self.post("/graphql").json(&body)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The data of a GraphQL operation that must succeed.
    pub(crate) async fn data(&self, query: &str, variables: Value) -> Value {
        let answer = self.graphql(query, variables).await;
        assert!(answer.get("errors").is_none(), "{answer}");
        answer["data"].clone()
    }

    /// The code of the first error of a GraphQL operation that must fail.
    pub(crate) async fn error_code(&self, query: &str, variables: Value) -> String {
        let answer = self.graphql(query, variables).await;
        answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }
}

/// An HTTP client for a single test.
pub(crate) fn client() -> Client {
    client_builder().build().expect("a client")
}

/// The settings of [`client`]. The server closes idle connections after 10 s; the client drops them well before, so
/// that it never sends a request on a connection that is being closed.
pub(crate) fn client_builder() -> ClientBuilder {
    // An error means that a provider is already installed.
    drop(rustls::crypto::ring::default_provider().install_default());
    Client::builder().pool_idle_timeout(Duration::from_secs(3))
}

/// The status and the JSON body of a response.
pub(crate) async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response: Response = in_time("a response", request.send()).await.expect("a response");
    let status = response.status().as_u16();
    (status, in_time("a body", response.json()).await.expect("JSON"))
}

/// The program in a separate process.
pub(crate) struct Process {
    pub(crate) url: String,
    child: Child,
}

impl Process {
    /// Starts the program on a free port and waits until it listens.
    pub(crate) fn serve(folder: &Path, database_url: &str, arguments: &[&str]) -> Self {
        let mut command = program(folder);
        command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", database_url]).args(arguments);
        Self::start(command)
    }

    /// Starts the program on an address of its own, on which [`Process::serve_at`] can start it again.
    pub(crate) fn serve_for_restarts(folder: &Path) -> Self {
        // No other test listens on this loopback address, so its ports stay free while the server is stopped.
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let [.., high, low] = std::process::id().to_be_bytes();
        let own = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::serve_at(folder, &format!("http://127.{}.{low}.{own}:0", 100 + high % 100))
    }

    /// Starts the program at a URL.
    pub(crate) fn serve_at(folder: &Path, url: &str) -> Self {
        let mut command = program(folder);
        let address = url.trim_start_matches("http://");
        command.args(["serve", "--listen", address, "--database-url", "sqlite://pipewatch.db"]);
        Self::start(command)
    }

    /// Starts the program with a limit on the size of every file it writes, its log included. [`Process::limit_files`]
    /// changes the limit; writing beyond it is an error.
    pub(crate) fn serve_with_limited_files(folder: &Path, database_url: &str, arguments: &[&str]) -> Self {
        let server = program(folder);
        let mut command = Command::new("sh");
        command.current_dir(folder).args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\" 2>log"]).arg(server.get_program());
        command.args(["serve", "--listen", "127.0.0.1:0", "--database-url", database_url]).args(arguments);
        for (name, value) in server.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self::start(command)
    }

    /// The size beyond which this process can write no file.
    pub(crate) fn limit_files(&self, bytes: &str) {
        let (pid, limit) = (self.child.id().to_string(), format!("--fsize={bytes}:unlimited"));
        let limited = Command::new("prlimit").args(["--pid", &pid, &limit]).status().expect("prlimit of util-linux");
        assert!(limited.success());
    }

    /// Starts this command, which must start a server.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("its output");
        let url = line.trim().strip_prefix("pipewatch listening on ").expect("its address").to_owned();
        Self { url, child }
    }

    /// The value of a metric, summed over all labels.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let text =
            in_time("a response", client().get(format!("{}/metrics", self.url)).send()).await.expect("a response");
        assert_eq!(text.headers()["content-type"], "text/plain; version=0.0.4");
        let text = text.text().await.expect("text");
        let is_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
        text.lines().filter(is_it).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("a running process");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Sends a signal by its name and returns.
    pub(crate) fn send(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status().expect("kill");
        assert!(sent.success());
    }

    /// Sends SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Sends a signal by its name and waits for the exit.
    pub(crate) fn signal(mut self, signal: &str) -> ExitStatus {
        self.send(signal);
        self.child.wait().expect("ended")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only after a failed test; otherwise the process has exited.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The program, in a given folder and without the settings of this environment.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pipewatch"));
    command.current_dir(folder).env_remove("DATABASE_URL").env_remove("PORT");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("PIPEWATCH_")) {
        command.env_remove(name);
    }
    command
}
