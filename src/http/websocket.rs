use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Utf8Bytes, WebSocketUpgrade};
use axum::http::Uri;
use axum::response::Response;
use tokio_util::sync::CancellationToken;

use crate::domain::viewer::Viewer;
use crate::http::problem::Problem;
use crate::http::socket::{Close, Incoming, MAX_MESSAGE, Socket};
use crate::http::{PlainQuery, Services};
use crate::live::channel::Watch;
use crate::live::snapshot::{Listing, Snapshot};

/// The status as text messages: at once, then every new one. What the client sends is read and ignored.
pub(super) async fn serve(
    State(services): State<Services>,
    viewer: Viewer,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    let query = PlainQuery::of(&uri)?;
    let listing = query.listing()?;
    let pipeline = query.pipeline(viewer)?;
    let upgrade = upgrade.map_err(|rejection| Problem::bad_request(rejection.body_text()))?;
    let watch = services.monitor.watch(&pipeline).await?;
    let open = services.connections.tasks.token();
    let stop = services.connections.stop.clone();
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(move |socket| async move {
        converse(Socket::new(socket), watch, listing, stop).await;
        drop(open);
    }))
}

async fn converse(mut socket: Socket, mut watch: Watch<Snapshot>, listing: Listing, stop: CancellationToken) {
    let close = loop {
        tokio::select! {
            () = stop.cancelled() => break Close::restarting(),
            incoming = socket.receive() => if let Incoming::End = incoming {
                return;
            },
            snapshot = watch.next() => {
                let Some(snapshot) = snapshot else { break Close::new(1000, "the pipeline was removed") };
                let json = snapshot.rendering(listing).json.clone();
                // It was written by a JSON serialiser, and so is UTF-8.
                let Ok(text) = Utf8Bytes::try_from(json) else { return };
                if socket.send(text).await.is_err() {
                    return;
                }
            }
        }
    };
    socket.close(close).await;
}
