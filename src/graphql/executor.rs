//! Executes operations within the limits on their documents and answers.

use std::sync::Arc;
use std::time::Instant;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
use async_graphql::parser::types::OperationType;
use async_graphql::{Response, Schema};
use futures_util::{Stream, StreamExt as _};

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::graphql::answer::{Answer, Reason, Refusal};
use crate::graphql::limits::budget::Budget;
use crate::graphql::limits::exceeded::{Exceeded, MAX_DOCUMENT, MAX_OPERATIONS};
use crate::graphql::limits::size::Size;
use crate::graphql::meter::{Memory, Meter, Metered};
use crate::graphql::operation::{Operation, RequestParams};
use crate::graphql::schema::{self, Mutation, Query, Subscription};
use crate::graphql::services::Services;
use crate::graphql::subscription::Published;

/// Limits on an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Maximum depth of nested fields.
    pub depth: usize,
    /// Maximum cost of the answer: its fields, where those below a list count once per item.
    pub complexity: usize,
}

/// The schema with its services.
#[derive(Clone)]
pub struct Graphql {
    schema: Schema<Query, Mutation, Subscription>,
    validator: Validator,
    memory: Memory,
}

/// The schema without services: it validator operations and executes nothing.
#[derive(Clone)]
pub struct Validator {
    schema: Schema<Query, Mutation, Subscription>,
    /// Maximum cost of an operation.
    max_cost: u64,
}

impl Validator {
    /// Validator operations against these limits.
    pub fn new(limits: Limits) -> Self {
        Self {
            schema: schema::builder().limit_depth(limits.depth).extension(ValidateOnly).finish(),
            max_cost: u64::try_from(limits.complexity).unwrap_or(u64::MAX),
        }
    }

    /// Parses the operation of a request.
    ///
    /// # Errors
    /// The request is invalid or exceeds a limit.
    pub fn parse(&self, parameters: RequestParams) -> Result<Operation, Refusal> {
        let operation = Operation::parse(parameters)?;
        self.check_cost(operation.cost)?;
        Ok(operation)
    }

    fn check_cost(&self, cost: u64) -> Result<(), Exceeded> {
        let limit = self.max_cost;
        if cost > limit { Err(Exceeded::Cost { cost, limit }) } else { Ok(()) }
    }

    /// Validates an operation of any kind without executing it.
    ///
    /// # Errors
    /// The operation is invalid.
    pub async fn validate(&self, operation: &Operation) -> Result<(), Refusal> {
        let errors = self.schema.execute(operation.request()).await.errors;
        if errors.is_empty() { Ok(()) } else { Err(Refusal::new(Reason::Request, errors)) }
    }
}

impl Graphql {
    /// Builds the schema on these services.
    pub fn new(services: Services, limits: Limits) -> Self {
        Self {
            schema: schema::builder().limit_depth(limits.depth).data(services).extension(Metered).finish(),
            validator: Validator::new(limits),
            memory: Memory::default(),
        }
    }

    /// Parses the operation of a request.
    ///
    /// # Errors
    /// The request is invalid or exceeds a limit.
    pub fn parse(&self, parameters: RequestParams) -> Result<Operation, Refusal> {
        self.validator.parse(parameters)
    }

    /// Validates an operation of any kind without executing it.
    ///
    /// # Errors
    /// The operation is invalid.
    pub async fn validate(&self, operation: &Operation) -> Result<(), Refusal> {
        self.validator.validate(operation).await
    }

    /// Executes a query or mutation.
    pub async fn execute(&self, operation: Operation, viewer: Viewer) -> Answer {
        self.execute_within(Budget::default(), operation, viewer).await
    }

    /// Executes a subscription: an answer per event, with its revision if it is a status.
    pub fn subscribe(
        &self,
        operation: Operation,
        viewer: Viewer,
    ) -> impl Stream<Item = (Answer, Option<Revision>)> + Send + Unpin + 'static {
        let is_subscription = operation.kind == OperationType::Subscription;
        let meter = Meter::new(&self.memory, operation.cost, is_subscription, Budget::default());
        let published = Published::default();
        let request = operation.into_request().data(viewer).data(Arc::clone(&meter)).data(published.clone());
        self.schema.execute_stream(request).map(move |response| (meter.answer(response), published.revision()))
    }
}

/// The operations of a batch. An invalid one has its refusal in its place.
pub type Batch = Vec<Result<Operation, Refusal>>;

impl Graphql {
    /// Parses the operations of a batch, which share the limits of one operation.
    ///
    /// # Errors
    /// The batch exceeds a limit or has a subscription. Any other error of an operation is left to its result.
    pub fn parse_batch(&self, batch: Vec<RequestParams>) -> Result<Batch, Refusal> {
        if batch.len() > MAX_OPERATIONS {
            return Err(Exceeded::Operations(batch.len()).into());
        }
        let bytes = batch.iter().map(|parameters| parameters.query().len()).sum();
        if bytes > MAX_DOCUMENT {
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
                return Err(Refusal::request(
                    "a batch cannot have a subscription; send the subscription over a stream",
                ));
            }
            size.add(operation.size);
            size.check()?;
            cost = cost.saturating_add(operation.cost);
            operations.push(Ok(operation));
        }
        self.validator.check_cost(cost)?;
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
        let request = operation.into_request().data(viewer).data(Arc::clone(&meter));
        meter.answer(self.schema.execute(request).await)
    }
}

/// Ends a request after its validation.
struct ValidateOnly;

impl ExtensionFactory for ValidateOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for ValidateOnly {
    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}
