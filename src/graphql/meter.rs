//! The memory of answers under construction, and the time that they may take.

use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_graphql::extensions::{
    Extension, ExtensionContext, ExtensionFactory, NextExecute, NextPrepareRequest, NextResolve, ResolveInfo,
};
use async_graphql::{Request, Response, ServerError, ServerResult, Value};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::graphql::answer::{Answer, Reason, Refusal, too_large};
use crate::graphql::errors::server_error;
use crate::graphql::limits::budget::{Budget, EXECUTION};

/// Bytes of all answers under construction.
const MAX_MEMORY: usize = 64 * 1024 * 1024;
/// Bytes of one answer under construction: its values take more memory than its text.
const MAX_MEMORY_OF_ANSWER: usize = MAX_MEMORY / 2;
/// Bytes of one permit of the semaphore.
const UNIT: usize = 1024;
/// Bytes that are reserved before any answer is started.
const FLOOR: usize = 64 * 1024;
/// Bytes that a value takes in addition to its text.
const VALUE: usize = 128;
/// Operations that read rows with long texts at the same time.
const READERS: usize = 2;
/// How long an operation waits for memory.
const WAIT: Duration = Duration::from_secs(2);

/// The memory for answers under construction, shared by all operations.
#[derive(Debug, Clone)]
pub(super) struct Memory {
    units: Arc<Semaphore>,
    /// Turns to read rows with long texts.
    reading: Arc<Semaphore>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { units: Arc::new(Semaphore::new(MAX_MEMORY / UNIT)), reading: Arc::new(Semaphore::new(READERS)) }
    }
}

/// The memory and time that one operation uses.
#[derive(Debug)]
pub(super) struct Meter {
    memory: Memory,
    /// A subscription waits for memory, where a query is refused: no request is waiting for its next answer.
    is_subscription: bool,
    budget: Budget,
    /// Expected bytes: estimated from the cost at first, then the size of the previous answer of a subscription.
    expected: AtomicUsize,
    /// Bytes of the values of the answer under construction, and of its text.
    values: AtomicUsize,
    text: AtomicUsize,
    /// Bytes of long texts in the rows read for the answer.
    rows: AtomicUsize,
    /// Reserved permits.
    reserved: AtomicUsize,
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    failure: Mutex<Option<Failure>>,
}

/// Why an operation is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Its answer is too large.
    TooLarge,
    /// There is no memory for its answer.
    NoMemory,
    /// It exceeds the time limit.
    Timeout,
}

impl Failure {
    fn error(self) -> ServerError {
        match self {
            Self::TooLarge => too_large(),
            Self::NoMemory => {
                let limit = MAX_MEMORY / 1024 / 1024;
                let message =
                    format!("the server is busy: answers under construction take {limit} MiB; retry in a few seconds");
                server_error(message, "OVERLOADED")
            }
            Self::Timeout => {
                let seconds = EXECUTION.as_secs();
                server_error(
                    format!("the operation exceeded the time limit of {seconds} s; request less, or retry later"),
                    "TIMEOUT",
                )
            }
        }
    }
}

impl Meter {
    pub(super) fn new(memory: &Memory, cost: u64, is_subscription: bool, budget: Budget) -> Arc<Self> {
        let expected = usize::try_from(cost).unwrap_or(usize::MAX).saturating_mul(VALUE / 2);
        Arc::new(Self {
            memory: memory.clone(),
            is_subscription,
            budget,
            expected: AtomicUsize::new(expected),
            values: AtomicUsize::new(0),
            text: AtomicUsize::new(0),
            rows: AtomicUsize::new(0),
            reserved: AtomicUsize::new(0),
            permit: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    /// The answer for a response that was executed under this meter. Releases the reserved memory.
    pub(super) fn answer(&self, response: Response) -> Answer {
        let refuse = |reason, failure: Failure| Answer::Refused(Refusal::new(reason, vec![failure.error()]));
        let answer = match self.failure() {
            None => Answer::of(response, self.is_subscription, self.budget),
            Some(Failure::TooLarge) => refuse(Reason::TooLarge, Failure::TooLarge),
            Some(failure) => refuse(Reason::Overload, failure),
        };
        self.expected.store(self.values.load(Ordering::Relaxed), Ordering::Relaxed);
        *lock(&self.permit) = None;
        answer
    }

    /// Reserves the expected memory.
    async fn begin(&self) -> Result<(), Failure> {
        self.values.store(0, Ordering::Relaxed);
        self.text.store(0, Ordering::Relaxed);
        self.rows.store(0, Ordering::Relaxed);
        let expected = self.expected.load(Ordering::Relaxed).clamp(FLOOR, MAX_MEMORY_OF_ANSWER);
        let units = u32::try_from(expected / UNIT).unwrap_or(u32::MAX);
        let waiting = Arc::clone(&self.memory.units).acquire_many_owned(units);
        let permit = if self.is_subscription {
            waiting.await.map_err(|_| Failure::NoMemory)?
        } else {
            timeout(WAIT, waiting).await.ok().and_then(Result::ok).ok_or(Failure::NoMemory)?
        };
        self.reserved.store(permit.num_permits(), Ordering::Relaxed);
        *lock(&self.permit) = Some(permit);
        Ok(())
    }

    /// Counts a value and reserves more memory if necessary.
    fn charge(&self, text: usize) -> Result<(), Failure> {
        self.count(&self.text, text)
    }

    /// Counts the long texts of rows.
    pub(super) fn charge_rows(&self, text: usize) -> Result<(), async_graphql::Error> {
        self.count(&self.rows, text).map_err(to_error)
    }

    /// Waits for a turn to read rows with long texts. Few operations read them at the same time, so that database
    /// connections remain for all others.
    pub(super) async fn turn_to_read(&self) -> Result<SemaphorePermit<'_>, async_graphql::Error> {
        let turn = self.memory.reading.acquire().await.map_err(|_| to_error(Failure::NoMemory))?;
        match self.failure() {
            Some(failure) => Err(to_error(failure)),
            None => Ok(turn),
        }
    }

    fn count(&self, counter: &AtomicUsize, text: usize) -> Result<(), Failure> {
        let written = counter.fetch_add(text, Ordering::Relaxed) + text;
        let values = self.values.fetch_add(VALUE + text, Ordering::Relaxed) + VALUE + text;
        if written > self.budget.bytes || values > MAX_MEMORY_OF_ANSWER {
            return Err(self.fail(Failure::TooLarge));
        }
        if values > self.reserved.load(Ordering::Relaxed) * UNIT { self.reserve_more() } else { Ok(()) }
    }

    fn reserve_more(&self) -> Result<(), Failure> {
        let mut permit = lock(&self.permit);
        let more = u32::try_from(FLOOR / UNIT).unwrap_or(u32::MAX);
        match Arc::clone(&self.memory.units).try_acquire_many_owned(more) {
            Ok(more) => match permit.as_mut() {
                Some(permit) => permit.merge(more),
                None => *permit = Some(more),
            },
            // The next answer of the subscription waits until there is as much as this one took.
            Err(_) if self.is_subscription => {}
            Err(_) => return Err(self.fail(Failure::NoMemory)),
        }
        self.reserved.fetch_add(FLOOR / UNIT, Ordering::Relaxed);
        Ok(())
    }

    fn failure(&self) -> Option<Failure> {
        *lock(&self.failure)
    }

    /// Records the first failure.
    fn fail(&self, failure: Failure) -> Failure {
        *lock(&self.failure).get_or_insert(failure)
    }
}

// Synchronous mutexes: held for a moment, never across an await.
fn lock<T>(mutex: &Mutex<T>) -> parking_lot::MutexGuard<'_, T> {
    mutex.lock()
}

fn to_error(failure: Failure) -> async_graphql::Error {
    async_graphql::Error::new(failure.error().message)
}

/// Executes each request under the meter in its data.
pub(super) struct Metered;

impl ExtensionFactory for Metered {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(MeteredRequest(OnceLock::new()))
    }
}

/// A request under its meter.
struct MeteredRequest(OnceLock<Arc<Meter>>);

#[async_graphql::async_trait::async_trait]
impl Extension for MeteredRequest {
    async fn prepare_request(
        &self,
        ctx: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        let meter = request.data.get(&TypeId::of::<Arc<Meter>>()).and_then(|meter| meter.downcast_ref::<Arc<Meter>>());
        if let Some(meter) = meter {
            // A request is prepared once.
            drop(self.0.set(Arc::clone(meter)));
        }
        next.run(ctx, request).await
    }

    async fn execute(&self, ctx: &ExtensionContext<'_>, name: Option<&str>, next: NextExecute<'_>) -> Response {
        let Some(meter) = self.0.get() else { return next.run(ctx, name).await };
        if let Err(failure) = meter.begin().await {
            return Response::from_errors(vec![meter.fail(failure).error()]);
        }
        match timeout(meter.budget.time, next.run(ctx, name)).await {
            Ok(response) => response,
            Err(_) => Response::from_errors(vec![meter.fail(Failure::Timeout).error()]),
        }
    }

    async fn resolve(
        &self,
        ctx: &ExtensionContext<'_>,
        info: ResolveInfo<'_>,
        next: NextResolve<'_>,
    ) -> ServerResult<Option<Value>> {
        let Some(meter) = self.0.get() else { return next.run(ctx, info).await };
        if let Some(failure) = meter.failure() {
            return Err(failure.error());
        }
        let is_leaf = info.field.selection_set.node.items.is_empty();
        let key = info.alias.unwrap_or(info.name).len();
        let value = next.run(ctx, info).await?;
        let text = key + if is_leaf { value.as_ref().map_or(0, text_of) } else { 0 };
        meter.charge(text).map_err(Failure::error)?;
        Ok(value)
    }
}

/// Estimates the bytes of a scalar as text. The items of a list are counted separately.
fn text_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + VALUE + deep_text_of(value)).sum(),
        _ => 4,
    }
}

fn deep_text_of(value: &Value) -> usize {
    match value {
        Value::List(values) => values.iter().map(|value| VALUE + deep_text_of(value)).sum(),
        value => text_of(value),
    }
}
