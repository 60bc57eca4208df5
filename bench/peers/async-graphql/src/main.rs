//! The stock way to serve a GraphQL subscription in Rust: async-graphql's own session on axum, fed by a broadcast channel.

mod status;

use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, EmptyMutation, Object, Schema, Subscription};
use async_graphql_axum::GraphQLSubscription;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpSocket;
use tokio::sync::broadcast::Sender;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};

use crate::status::Status;

struct Query;

#[Object]
impl Query {
    async fn status(&self, ctx: &Context<'_>) -> Status {
        ctx.data_unchecked::<Status>().now()
    }
}

struct Subscription;

#[Subscription]
impl Subscription {
    async fn status(&self, ctx: &Context<'_>) -> impl Stream<Item = Arc<Status>> {
        BroadcastStream::new(ctx.data_unchecked::<Sender<Arc<Status>>>().subscribe()).filter_map(Result::ok)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("usage: peer-async-graphql PORT")?.parse()?;
    let status: Status = serde_json::from_slice(&std::fs::read("status.json")?)?;
    let sender = Sender::new(16);
    let schema = Schema::build(Query, EmptyMutation, Subscription).data(status.clone()).data(sender.clone()).finish();

    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?.tap_io(|connection| drop(connection.set_nodelay(true)));
    println!("ready");

    tokio::spawn(async move {
        let mut interval = tokio::time::interval(Duration::from_secs(1));
        loop {
            interval.tick().await;
            drop(sender.send(Arc::new(status.now()))); // fails only without receivers
        }
    });
    axum::serve(listener, Router::new().route_service("/graphql", GraphQLSubscription::new(schema))).await?;
    Ok(())
}
