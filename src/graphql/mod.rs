//! The GraphQL schema, and how operations are executed on it.

/// Alerts: lists, what is done about them, and their steps as they happen.
mod alerts;
/// What an operation is answered with, of a bounded size.
pub mod answer;
/// Changes in the log.
mod audit;
/// Pages of history as connections.
pub mod connection;
/// What the executor leaves out when it checks a document.
mod document;
/// What a document may ask for.
pub mod limits;
/// The memory of answers under construction.
mod meter;
/// What changes something.
mod mutation;
/// Requests, checked and parsed.
pub mod operation;
/// What is asked once.
mod query;
/// Pages of runs, read in parts.
mod run_pages;
/// What is watched.
mod subscription;
/// The types that go in and out.
mod types;

use std::sync::Arc;
use std::time::Instant;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::parser::types::OperationType;
use async_graphql::{MergedObject, MergedSubscription, Response, Schema, SchemaBuilder};
use futures_util::{Stream, StreamExt as _};

use crate::clock::Clock;
use crate::domain::pipeline::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::error::Error;
use crate::graphql::answer::{Answer, Reason, Refusal};
use crate::graphql::limits::budget::Budget;
use crate::graphql::limits::size::Size;
use crate::graphql::limits::{Exceeded, MAX_OPERATIONS};
use crate::graphql::meter::{Memory, Meter, Metered};
use crate::graphql::operation::{Operation, Parameters};
use crate::graphql::subscription::Published;
use crate::ingest::Ingest;
use crate::status::monitor::Monitor;
use crate::store::Store;

/// Pipelines, their status, their history and their alerts.
#[derive(Default, MergedObject)]
struct Query(query::StatusQuery, alerts::AlertQuery);

/// Reports, changes and removals. A mutation is committed before its response is sent.
#[derive(Default, MergedObject)]
struct Mutation(mutation::ReportMutation, alerts::AlertMutation);

/// Live updates. A subscription to a state starts with the current one; a slow client skips to the latest.
#[derive(Default, MergedSubscription)]
struct Subscription(subscription::StatusSubscription, alerts::AlertSubscription);

/// How much an operation may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep its fields may be nested.
    pub depth: usize,
    /// What its answer may cost: its fields, those below a list as often as the list has items.
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
    checks: Checks,
    memory: Memory,
}

/// The schema without services: it checks operations and executes nothing.
#[derive(Clone)]
pub struct Checks {
    schema: Schema<Query, Mutation, Subscription>,
    /// What an operation may cost.
    max_cost: u64,
}

impl Checks {
    /// Checks operations against these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            schema: schema(limits).extension(ChecksOnly).finish(),
            max_cost: u64::try_from(limits.complexity).unwrap_or(u64::MAX),
        }
    }

    /// The operation that a request means, if its document asks for no more than one may.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(&self, parameters: Parameters) -> Result<Operation, Refusal> {
        let operation = Operation::parse(parameters)?;
        self.check_cost(operation.cost)?;
        Ok(operation)
    }

    fn check_cost(&self, cost: u64) -> Result<(), Exceeded> {
        let limit = self.max_cost;
        if cost > limit { Err(Exceeded::Cost { cost, limit }) } else { Ok(()) }
    }

    /// What is wrong with an operation, of any kind, without executing it.
    ///
    /// # Errors
    /// That.
    pub async fn check(&self, operation: Operation) -> Result<(), Refusal> {
        let errors = self.schema.execute(operation.request).await.errors;
        if errors.is_empty() { Ok(()) } else { Err(Refusal::new(Reason::Request, errors)) }
    }
}

fn schema(limits: Limits) -> SchemaBuilder<Query, Mutation, Subscription> {
    let schema = Schema::build(Query::default(), Mutation::default(), Subscription::default());
    schema.limit_depth(limits.depth)
}

impl Graphql {
    /// Builds the schema on these services.
    pub fn new(services: Services, limits: Limits) -> Self {
        Self {
            schema: schema(limits).data(services).extension(Metered).finish(),
            checks: Checks::new(limits),
            memory: Memory::default(),
        }
    }

    /// The operation that a request means, if its document asks for no more than one may.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(&self, parameters: Parameters) -> Result<Operation, Refusal> {
        self.checks.parse(parameters)
    }

    /// What is wrong with an operation, of any kind, without executing it.
    ///
    /// # Errors
    /// That.
    pub async fn check(&self, operation: Operation) -> Result<(), Refusal> {
        self.checks.check(operation).await
    }

    /// Executes a query or mutation.
    pub async fn execute(&self, operation: Operation, viewer: Viewer) -> Answer {
        self.execute_within(Budget::default(), operation, viewer).await
    }

    /// Executes a subscription: an answer for each thing that happens, and the revision that it is of, if it is a status.
    pub fn subscribe(
        &self,
        operation: Operation,
        viewer: Viewer,
    ) -> impl Stream<Item = (Answer, Option<Revision>)> + Send + Unpin + 'static {
        let is_subscription = operation.kind == OperationType::Subscription;
        let meter = Meter::new(&self.memory, operation.cost, is_subscription, Budget::default());
        let published = Published::default();
        let request = operation.request.data(viewer).data(Arc::clone(&meter)).data(published.clone());
        self.schema.execute_stream(request).map(move |response| (meter.answer(response), published.revision()))
    }
}

/// The operations of a batch, each with what is wrong with it.
pub type Batch = Vec<Result<Operation, Refusal>>;

impl Graphql {
    /// The operations of a batch, which together may ask for no more than one may.
    ///
    /// # Errors
    /// It exceeds a limit as a whole, or has a subscription. What is wrong with one operation is left to its result.
    pub fn parse_batch(&self, batch: Vec<Parameters>) -> Result<Batch, Refusal> {
        if batch.len() > MAX_OPERATIONS {
            return Err(Exceeded::Operations(batch.len()).into());
        }
        let bytes = batch.iter().map(|parameters| parameters.query().len()).sum();
        if bytes > limits::MAX_DOCUMENT {
            return Err(Exceeded::Bytes(bytes).into());
        }
        let (mut size, mut cost) = (Size::default(), 0_u64);
        let mut operations = Batch::with_capacity(batch.len());
        for parameters in batch {
            let operation = match Operation::parse(parameters) {
                Ok(operation) => operation,
                Err(refusal) if refusal.reason == Reason::Limit => return Err(refusal),
                Err(refusal) => {
                    operations.push(Err(refusal));
                    continue;
                }
            };
            if operation.kind == OperationType::Subscription {
                return Err(Refusal::request("a batch cannot have a subscription; send it by itself over a stream"));
            }
            size.add(operation.size);
            size.check()?;
            cost = cost.saturating_add(operation.cost);
            operations.push(Ok(operation));
        }
        self.checks.check_cost(cost)?;
        Ok(operations)
    }

    /// Executes the operations of a batch in their order. They share the size and the time that one operation may use.
    pub async fn execute_batch(&self, batch: Batch, viewer: Viewer) -> Vec<Answer> {
        let mut budget = Budget::default();
        budget.errors /= batch.len().max(1);
        let deadline = Instant::now() + budget.time;
        let mut answers = Vec::with_capacity(batch.len());
        for operation in batch {
            budget.time = deadline.saturating_duration_since(Instant::now());
            let answer = match operation {
                Ok(operation) => self.execute_within(budget, operation, viewer).await,
                Err(refusal) => Answer::Refused(refusal.cut(budget.errors)),
            };
            if let Answer::Executed(json) = &answer {
                budget.bytes = budget.bytes.saturating_sub(json.len());
            }
            answers.push(answer);
        }
        answers
    }

    async fn execute_within(&self, budget: Budget, operation: Operation, viewer: Viewer) -> Answer {
        let meter = Meter::new(&self.memory, operation.cost, false, budget);
        let request = operation.request.data(viewer).data(Arc::clone(&meter));
        meter.answer(self.schema.execute(request).await)
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

/// An error as GraphQL shows it: its words, and a code that programs can tell apart.
#[allow(clippy::needless_pass_by_value, reason = "`map_err` hands it over")]
fn error(error: Error) -> async_graphql::Error {
    let code = match &error {
        Error::PipelineNotFound(_) => "PIPELINE_NOT_FOUND",
        Error::SourceNotFound { .. } => "SOURCE_NOT_FOUND",
        Error::AlertNotFound(_) => "ALERT_NOT_FOUND",
        Error::DefaultPipelineStays => "DEFAULT_PIPELINE_STAYS",
        Error::PipelineBeingRemoved(_) => "PIPELINE_BEING_REMOVED",
        Error::SourceBeingRemoved { .. } => "SOURCE_BEING_REMOVED",
        Error::LimitReached(_) => "BAD_USER_INPUT",
        Error::Database(_) | Error::Unusable(_) => "DATABASE_UNAVAILABLE",
        Error::ClockSkew(_) => "CLOCK_SKEW",
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

/// A text that both databases can store.
fn storable(argument: &str, text: String) -> async_graphql::Result<String> {
    if text.contains('\0') {
        return Err(bad_input(format!(
            "{argument}: the text has the character U+0000, which cannot be stored; remove it"
        )));
    }
    Ok(text)
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

/// The revision that an argument names.
fn revision(text: &str) -> async_graphql::Result<Revision> {
    text.parse().map_err(|_| bad_input("sinceRevision: expected the revision of a status, in decimal digits"))
}
