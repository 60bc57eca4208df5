use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The response to the next request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    Status(u16),
    /// No response at all.
    Hang,
}

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

#[derive(Clone, Default)]
struct Memory {
    taken: Arc<Mutex<Vec<Received>>>,
    replies: Arc<Mutex<VecDeque<Reply>>>,
}

/// Receives webhooks and answers 200 by default.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    memory: Memory,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (memory, stop) = (Memory::default(), CancellationToken::new());
        let router = Router::new().fallback(take).with_state(memory.clone());
        let stopped = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move {
            axum::serve(listener, router).with_graceful_shutdown(stopped).await.expect("a successful exit");
        });
        Self { address, memory, stop, running }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn replies(&self, replies: &[Reply]) {
        self.memory.replies.lock().expect("no panic").extend(replies);
    }

    /// The requests since the last call.
    pub(crate) fn take_received(&self) -> Vec<Received> {
        std::mem::take(&mut self.memory.taken.lock().expect("no panic"))
    }

    /// Stops, closing idle connections and the port.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        super::in_time("the receiver ends", self.running).await.expect("no panic");
        self.address
    }
}

async fn take(State(memory): State<Memory>, headers: HeaderMap, body: String) -> StatusCode {
    memory.taken.lock().expect("no panic").push(Received { headers, body });
    let reply = memory.replies.lock().expect("no panic").pop_front();
    match reply {
        None => StatusCode::OK,
        Some(Reply::Status(status)) => StatusCode::from_u16(status).expect("a status"),
        Some(Reply::Hang) => std::future::pending().await,
    }
}

/// Receives mail without encryption and rejects configured recipients.
pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    mails: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
}

impl MailServer {
    pub(crate) async fn start(refused: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mails = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&mails);
        let running = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(talk(socket, Arc::clone(&kept), refused));
            }
        });
        Self { address, mails, running }
    }

    /// The mails since the last call, each with the recipient on its first line.
    pub(crate) fn mails(&self) -> Vec<String> {
        std::mem::take(&mut self.mails.lock().expect("no panic"))
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// The part of RFC 5321 that sending a mail needs.
async fn talk(socket: TcpStream, mails: Arc<Mutex<Vec<String>>>, refused: &str) -> std::io::Result<()> {
    let mut socket = BufReader::new(socket);
    socket.write_all(b"220 test ESMTP\r\n").await?;
    let (mut recipient, mut line) = (String::new(), String::new());
    while socket.read_line(&mut line).await? > 0 {
        let answer = match line.trim_end().split_once(':').map_or(line.trim_end(), |(word, _)| word) {
            "RCPT TO" if line.contains(refused) => "550 no such user",
            "RCPT TO" => {
                recipient = line.trim_end().to_owned();
                "250 yes"
            }
            "DATA" => {
                socket.write_all(b"354 start mail input\r\n").await?;
                let mut mail = format!("{recipient}\n");
                while !mail.ends_with("\r\n.\r\n") && socket.read_line(&mut mail).await? > 0 {}
                mails.lock().expect("no panic").push(mail);
                "250 taken"
            }
            "QUIT" => "221 bye",
            _ => "250 yes",
        };
        socket.write_all(format!("{answer}\r\n").as_bytes()).await?;
        line.clear();
    }
    Ok(())
}
