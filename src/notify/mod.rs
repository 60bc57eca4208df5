//! Notifies people and programs about alerts: plans due notifications and delivers them.
//!
//! Only the holder of the evaluation lease does either. Every notification is in the outbox before it is sent, and stays
//! there until its receiver has accepted it: a notification may arrive twice if a server dies at the wrong moment, and is
//! never lost.

mod backoff;
mod body;
mod channel;
mod email;
mod plain_text;
mod signature;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::domain::alert::Silence;
use crate::domain::alert::notification::{self, Entry, PlannedNotification, Timing};
use crate::domain::time::Timestamp;
use crate::error::Result;
pub use crate::notify::channel::{Channel, Channels, InvalidChannel};
pub use crate::notify::signature::{InvalidSecret, Secret};
use crate::store::Store;
use crate::store::leases::Lease;
use crate::store::outbox::{Delivery, NotificationPlan, OutboxMessage};

/// Concurrent deliveries per channel, so that one hanging receiver does not delay the others.
const MAX_IN_FLIGHT: usize = 4;
/// The time limit of one delivery attempt.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(10);
/// Multiplies the time limit for e-mail: an SMTP server may scan a message before accepting it, and a client that gives up
/// meanwhile sends it twice.
const SMTP_TIMEOUT_FACTOR: u32 = 3;
/// After this long without success a delivery is abandoned.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(3);
/// The longest `Retry-After` that is honoured.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Ignored events per transaction, since reports wait for it.
const MAX_IGNORED: usize = 1_000;
/// How often notifications are planned, in addition to once after each evaluation.
const PLAN_INTERVAL: Duration = Duration::from_secs(5);
/// How often each channel checks for due deliveries.
const DELIVERY_INTERVAL: Duration = Duration::from_secs(1);
/// How often finished deliveries are removed from the outbox.
const SWEEP_INTERVAL: TimeDelta = TimeDelta::minutes(10);

/// Plans and delivers notifications.
#[derive(Debug)]
pub struct Notifier {
    store: Arc<Store>,
    clock: Clock,
    channels: Channels,
    timing: Timing,
    delivery_timeout: Duration,
    evaluated: Notify,
    // A synchronous mutex: never held across an await.
    last_sweep: Mutex<Option<Timestamp>>,
}

impl Notifier {
    pub fn new(store: Arc<Store>, clock: Clock, channels: Channels) -> Self {
        let (timing, delivery_timeout) = (Timing::default(), DELIVERY_TIMEOUT);
        Self {
            store,
            clock,
            channels,
            timing,
            delivery_timeout,
            evaluated: Notify::new(),
            last_sweep: Mutex::default(),
        }
    }

    /// Sets the time limit of a delivery attempt (default: 10 s). SMTP gets three times as long.
    #[must_use]
    pub fn with_delivery_timeout(self, delivery_timeout: Duration) -> Self {
        Self { delivery_timeout, ..self }
    }

    /// Plans and delivers while this server holds the lease. After `shutdown` nothing new is started, and deliveries in
    /// flight are finished. Dropping the future earlier is safe: the next leader delivers what was in flight.
    pub async fn run(&self, lease: watch::Receiver<Option<Lease>>, shutdown: CancellationToken) {
        let workers = self.channels.as_slice().iter().map(|channel| self.delivery_loop(channel, &lease, &shutdown));
        tokio::join!(self.plan_loop(&lease, &shutdown), join_all(workers));
    }

    /// Signals that an evaluation has finished, so that its events are planned at once.
    pub fn evaluated(&self) {
        self.evaluated.notify_one();
    }

    /// Plans and delivers due notifications. A failed delivery stays in the outbox for a later call.
    pub async fn run_once(&self, lease: &Lease) -> Result<()> {
        self.plan(lease).await?;
        self.deliver(lease).await
    }

    /// Writes due notifications to the outbox, if the lease is held.
    ///
    /// Without channels, events are handled but do not count as reported: a channel that is configured later reports alerts
    /// that fire then, and not all past ones.
    pub async fn plan(&self, lease: &Lease) -> Result<()> {
        let now = self.clock.now();
        self.store.plan_notifications(lease, |entries, silences| self.transactions(entries, silences, now)).await?;
        self.sweep(now).await
    }

    /// Delivers until nothing is due. Starts nothing without the lease.
    pub async fn deliver(&self, lease: &Lease) -> Result<()> {
        let stop = CancellationToken::new();
        let workers = self.channels.as_slice().iter().map(|channel| self.drain_channel(channel, lease, &stop));
        join_all(workers).await.into_iter().collect()
    }

    /// The contents of each transaction: a notification for all channels, or ignored events.
    fn transactions(&self, entries: &[Entry], silences: &[Silence], now: Timestamp) -> Vec<NotificationPlan> {
        let plan = notification::plan(entries, silences, &self.timing, now);
        let ignored = plan
            .ignored
            .chunks(MAX_IGNORED)
            .map(|events| NotificationPlan { handled: events.into(), ..NotificationPlan::default() });
        let mut transactions: Vec<NotificationPlan> = ignored.collect();
        for PlannedNotification { notification, handled, last_notified } in plan.notifications {
            if self.channels.is_empty() {
                transactions.push(NotificationPlan { handled, ..NotificationPlan::default() });
                continue;
            }
            let mut messages = Vec::new();
            for channel in self.channels.as_slice() {
                let body = channel.body(&notification);
                messages.extend(channel.names().iter().map(|name| OutboxMessage {
                    notification: notification.id,
                    pipeline: notification.pipeline.clone(),
                    channel: name.clone(),
                    body: body.clone(),
                }));
            }
            transactions.push(NotificationPlan { handled, last_notified, messages });
        }
        transactions
    }

    async fn sweep(&self, now: Timestamp) -> Result<()> {
        {
            let mut last_sweep = self.last_sweep.lock();
            if last_sweep.is_some_and(|at| now - at < SWEEP_INTERVAL) {
                return Ok(());
            }
            *last_sweep = Some(now);
        }
        let names: Vec<String> = self.channels.as_slice().iter().flat_map(Channel::names).cloned().collect();
        let abandoned = self.store.sweep_outbox(&names).await?;
        if abandoned > 0 {
            tracing::warn!(abandoned, "abandoned notifications to channels that are no longer configured");
        }
        Ok(())
    }

    async fn plan_loop(&self, lease: &watch::Receiver<Option<Lease>>, shutdown: &CancellationToken) {
        let mut tick = every(PLAN_INTERVAL);
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = self.evaluated.notified() => {}
                _ = tick.tick() => {}
            }
            let held = lease.borrow().clone();
            if let Some(held) = held
                && let Err(error) = self.plan(&held).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot plan notifications; will retry");
            }
        }
    }

    async fn delivery_loop(
        &self,
        channel: &Channel,
        lease: &watch::Receiver<Option<Lease>>,
        shutdown: &CancellationToken,
    ) {
        let mut tick = every(DELIVERY_INTERVAL);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            let held = lease.borrow().clone();
            if let Some(held) = held
                && let Err(error) = self.drain_channel(channel, &held, shutdown).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot access the outbox; will retry");
            }
        }
    }

    /// Makes all due deliveries of one channel.
    async fn drain_channel(&self, channel: &Channel, lease: &Lease, stop: &CancellationToken) -> Result<()> {
        let mut in_flight = FuturesUnordered::new();
        let mut outcome = Ok(());
        loop {
            let free = MAX_IN_FLIGHT - in_flight.len();
            if free > 0 && outcome.is_ok() && !stop.is_cancelled() {
                match self.store.due_deliveries(lease, channel.names(), free as u64).await {
                    Ok(due) => in_flight.extend(due.into_iter().map(|delivery| self.attempt(channel, delivery))),
                    // Deliveries in flight are finished first.
                    Err(error) => outcome = Err(error),
                }
            }
            match in_flight.next().await {
                Some(finished) => outcome = outcome.and(finished),
                None => return outcome,
            }
        }
    }

    /// Makes one attempt and stores its result.
    async fn attempt(&self, channel: &Channel, delivery: Delivery) -> Result<()> {
        let limit =
            if channel.is_email() { self.delivery_timeout * SMTP_TIMEOUT_FACTOR } else { self.delivery_timeout };
        let sending = tokio::time::timeout(limit, channel.send(&delivery, self.clock.now()));
        let failure = match sending.await {
            Ok(Ok(())) => {
                metrics::counter!("pipewatch_notifications_total", "result" => "delivered").increment(1);
                return self.store.delivered(&delivery).await;
            }
            Ok(Err(failure)) => failure,
            Err(_) => DeliveryError::new(format!("no response within {} s", limit.as_secs_f64())),
        };
        let now = self.clock.now();
        let backoff = backoff::delay(delivery.attempts.saturating_add(1), fastrand::f64());
        let wait = backoff.max(failure.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER));
        let is_abandoned = now - delivery.created_at >= GIVE_UP_AFTER;
        let next = TimeDelta::from_std(wait).ok().filter(|_| !is_abandoned).map(|wait| now + wait);
        let (notification, to, error) = (delivery.notification, &delivery.channel, &failure.message);
        if is_abandoned {
            metrics::counter!("pipewatch_notifications_total", "result" => "abandoned").increment(1);
            tracing::error!(%notification, to, error, "notification undelivered for three days; giving up");
        } else {
            metrics::counter!("pipewatch_notifications_total", "result" => "failed").increment(1);
            tracing::warn!(%notification, to, error, attempts = delivery.attempts + 1, "delivery failed; will retry");
        }
        self.store.delivery_failed(&delivery, next, error).await
    }
}

/// Why a delivery attempt failed, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct DeliveryError {
    message: String,
    /// The delay that the receiver asks for.
    retry_after: Option<Duration>,
}

impl DeliveryError {
    /// Characters of a message that are kept, since part of it comes from the receiver.
    const MAX_LENGTH: usize = 300;

    fn new(message: impl AsRef<str>) -> Self {
        let message = message.as_ref().replace(char::is_control, " ").trim().chars().take(Self::MAX_LENGTH).collect();
        Self { message, retry_after: None }
    }

    /// An error with its causes, in one line.
    fn of(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source());
        Self::new(causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}")))
    }
}

fn every(span: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(span);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}
