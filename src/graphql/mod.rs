//! The GraphQL schema, and how operations are executed on it.

/// Alerts: lists, what is done about them, and their steps as they happen.
mod alerts;
/// Pages of history as connections.
mod connection;
/// What the executor leaves out when it checks a document.
mod document;
/// What changes something.
mod mutation;
/// Requests, checked and parsed.
pub mod operation;
/// What is asked once.
mod query;
/// What is watched.
mod subscription;
/// The types that go in and out.
mod types;

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::{MergedObject, MergedSubscription, Request, Response, Schema, ServerError, Value};
use futures_util::Stream;

use crate::clock::Clock;
use crate::domain::pipeline::PipelineKey;
use crate::domain::viewer::Viewer;
use crate::error::Error;
use crate::ingest::Ingest;
use crate::monitor::Monitor;
use crate::store::Store;

/// What is asked once.
#[derive(Default, MergedObject)]
struct Query(query::StatusQuery, alerts::AlertQuery);

/// What changes something. Everything that is answered is committed.
#[derive(Default, MergedObject)]
struct Mutation(mutation::ReportMutation, alerts::AlertMutation);

/// What is watched.
#[derive(Default, MergedSubscription)]
struct Subscription(subscription::StatusSubscription, alerts::AlertSubscription);

/// How much an operation may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep its fields may be nested.
    pub depth: usize,
    /// How many fields it may ask for, some of which count for more than one.
    pub complexity: usize,
}

/// What the resolvers work with.
#[derive(Debug, Clone)]
pub struct Services {
    /// The data, for lists and history.
    pub store: Arc<Store>,
    /// The statuses.
    pub monitor: Monitor,
    /// The way in for reports.
    pub ingest: Ingest,
    /// What time it is.
    pub clock: Clock,
}

/// The schema with its services.
#[derive(Clone)]
pub struct Graphql {
    schema: Schema<Query, Mutation, Subscription>,
    /// The same without services: it checks and executes nothing.
    checks: Schema<Query, Mutation, Subscription>,
}

impl Graphql {
    /// Builds the schema on these services.
    pub fn new(services: Services, limits: Limits) -> Self {
        let build = || {
            let schema = Schema::build(Query::default(), Mutation::default(), Subscription::default());
            schema.limit_depth(limits.depth).limit_complexity(limits.complexity)
        };
        Self { schema: build().data(services).finish(), checks: build().extension(ChecksOnly).finish() }
    }

    /// What is wrong with a request, of any kind, without executing it.
    pub async fn check(&self, request: Request) -> Vec<ServerError> {
        self.checks.execute(request).await.errors
    }

    /// Executes a query or mutation.
    pub async fn execute(&self, request: Request, viewer: Viewer) -> Response {
        self.schema.execute(request.data(viewer)).await
    }

    /// Executes a subscription: a response for each thing that happens.
    pub fn subscribe(&self, request: Request, viewer: Viewer) -> impl Stream<Item = Response> + Send + Unpin + 'static {
        self.schema.execute_stream(request.data(viewer))
    }
}

/// Ends a request when it has been checked.
struct ChecksOnly;

impl ExtensionFactory for ChecksOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for ChecksOnly {
    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}

/// The schema in its own language, with a line at its end.
pub fn sdl() -> String {
    let sdl = Schema::build(Query::default(), Mutation::default(), Subscription::default()).finish().sdl();
    format!("{}\n", sdl.trim_end())
}

/// Whether the request was refused before anything was executed, so that there is no `data` to speak of.
pub fn is_request_error(response: &Response) -> bool {
    response.is_err() && response.data == Value::Null && response.errors.iter().all(|error| error.path.is_empty())
}

/// An error as GraphQL shows it: its words, and a code that programs can tell apart.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn error(error: Error) -> async_graphql::Error {
    let code = match &error {
        Error::PipelineNotFound(_) => "PIPELINE_NOT_FOUND",
        Error::SourceNotFound { .. } => "SOURCE_NOT_FOUND",
        Error::AlertNotFound(_) => "ALERT_NOT_FOUND",
        Error::DefaultPipelineStays => "DEFAULT_PIPELINE_STAYS",
        Error::LimitReached(_) => "BAD_USER_INPUT",
        Error::Database(_) | Error::Unusable(_) => "DATABASE_UNAVAILABLE",
        Error::ShuttingDown => "SHUTTING_DOWN",
    };
    if let Error::Database(_) = &error {
        tracing::error!(error = &error as &dyn std::error::Error, "a GraphQL operation failed");
    }
    coded(error.to_string(), code)
}

/// An error about an argument.
fn bad_input(message: impl Into<String>) -> async_graphql::Error {
    coded(message.into(), "BAD_USER_INPUT")
}

fn coded(message: String, code: &'static str) -> async_graphql::Error {
    use async_graphql::ErrorExtensions as _;
    async_graphql::Error::new(message).extend_with(|_, extensions| extensions.set("code", code))
}

/// The pipeline that an argument names, if this viewer may know of it. What is no key cannot be one's either.
fn pipeline(ctx: &async_graphql::Context<'_>, key: &str) -> async_graphql::Result<PipelineKey> {
    let parsed: PipelineKey = key.parse().map_err(|error| bad_input(format!("pipeline {key:?}: {error}")))?;
    if ctx.data::<Viewer>()?.may_see(&parsed) { Ok(parsed) } else { Err(error(Error::PipelineNotFound(parsed))) }
}

/// The errors of a response that could not be made otherwise.
pub fn refusal(message: impl Into<String>) -> Response {
    Response::from_errors(vec![ServerError::new(message, None)])
}
