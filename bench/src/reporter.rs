use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::Result;

/// How long an answer may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// One keep-alive connection that posts source runs, one request after the other.
pub(crate) struct Reporter {
    sender: SendRequest<Full<Bytes>>,
    address: String,
}

impl Reporter {
    pub(crate) async fn connect(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the sender; an error of the connection comes out of the request that met it.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, address: address.to_owned() })
    }

    /// Posts a body all of whose items must be stored; the time until the whole answer is there.
    pub(crate) async fn report(&mut self, body: Bytes) -> Result<Duration> {
        let request = Request::post("/api/v1/source-runs")
            .header(header::HOST, self.address.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let begin = Instant::now();
        let (status, answer) = timeout(REQUEST_TIMEOUT, async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        })
        .await??;
        let time = begin.elapsed();
        if status == StatusCode::CREATED {
            Ok(time)
        } else {
            Err(format!("{status}: {}", String::from_utf8_lossy(&answer)).into())
        }
    }
}
