use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// A database for a single test.
pub(crate) struct Database {
    pub(crate) url: String,
    _folder: Option<TempDir>,
}

impl Database {
    pub(crate) fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { url: format!("sqlite://{}/pipewatch.db", folder.path().display()), _folder: Some(folder) }
    }

    pub(crate) async fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = postgres_server().await;
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = sea_orm::Database::connect(server).await.expect("a connection");
        admin.execute_unprepared(&format!("CREATE DATABASE {name}")).await.expect("a database");
        admin.close().await.expect("closed");
        Self { url: server.replace("/postgres?", &format!("/{name}?")), _folder: None }
    }

    /// A database that another server already uses.
    pub(crate) fn existing(url: String) -> Self {
        Self { url, _folder: None }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// A connection that bypasses the server.
    pub(crate) async fn connect(&self) -> DatabaseConnection {
        sea_orm::Database::connect(&self.url).await.expect("a connection")
    }

    /// Runs SQL on the administrative database of the PostgreSQL server.
    pub(crate) async fn execute_as_admin(&self, sql: &str) {
        Self::existing(postgres_server().await.to_owned()).execute(sql).await;
    }

    /// The name of a PostgreSQL database.
    pub(crate) fn name(&self) -> &str {
        let path = self.url.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// Runs SQL that bypasses the server, as other programs do.
    pub(crate) async fn execute(&self, sql: &str) {
        let connection = self.connect().await;
        connection.execute_unprepared(sql).await.expect("good SQL");
        connection.close().await.expect("closed");
    }
}

/// The URL of the PostgreSQL server shared by all tests. It stops when this process ends, which closes its standard
/// input.
async fn postgres_server() -> &'static str {
    static URL: OnceCell<String> = OnceCell::const_new();
    static SERVER: Mutex<Option<Child>> = Mutex::new(None);
    let start = || async {
        let (url, script) = start_postgres(None).await;
        *SERVER.lock().expect("the only user") = Some(script);
        url
    };
    URL.get_or_init(start).await
}

/// Runs `scripts/postgres.sh`, and returns the URL and the script, which ends with its standard input.
async fn start_postgres(tcp_port: Option<u16>) -> (String, Child) {
    let start = move || {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres.sh"));
        if let Some(port) = tcp_port {
            command.env("TCP_PORT", port.to_string());
        }
        let mut script = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("scripts/postgres.sh");
        let mut url = String::new();
        let stdout = script.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut url).expect("its output");
        assert!(url.starts_with("postgres://"), "scripts/postgres.sh has printed the reason above");
        (url.trim().to_owned(), script)
    };
    tokio::task::spawn_blocking(start).await.expect("PostgreSQL started")
}

/// A PostgreSQL for one test, on a TCP port: its connections have TCP settings, and its processes may be frozen.
pub(crate) struct PrivatePostgres {
    pub(crate) database: Database,
    pub(crate) port: u16,
    script: Child,
}

impl PrivatePostgres {
    pub(crate) async fn start() -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let (url, script) = start_postgres(Some(port)).await;
        Self { database: Database::existing(url), port, script }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        drop(self.script.stdin.take());
        drop(self.script.wait());
    }
}
