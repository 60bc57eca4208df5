//! Who is told of alerts: plans what is due, and delivers it.
//!
//! Only the holder of the evaluation's lease does either. What it plans is in the outbox before it is sent, and stays
//! there until a receiver has taken it: a notification may arrive twice when a server dies at the wrong moment, and is not lost.

/// Where notifications go.
mod channel;
/// E-mail.
mod mail;
/// Webhooks, and Slack's.
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
use crate::domain::alert::notification::{self, Entry, Timing, Told, next_attempt};
use crate::domain::time::Timestamp;
use crate::error::Result;
pub use crate::notify::channel::{BadChannel, Channel, Channels};
use crate::store::Store;
use crate::store::leases::Lease;
use crate::store::outbox::{Delivery, NotificationPlan, OutboxMessage};

/// Deliveries that are under way at a time, by channel: one that hangs holds no other up.
const AT_A_TIME: usize = 4;
/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// A mail server may look through a mail before it takes it; who gives up meanwhile sends it twice.
const MAIL_PATIENCE: u32 = 3;
/// A receiver that took nothing for so long is not told any more.
const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(3);
/// How long a receiver may ask to be left alone.
const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);
/// Events that nobody is told of and that are settled in one transaction, for which reporters wait.
const UNTOLD: usize = 1_000;
/// How often it is looked whether something is to be planned, besides after each evaluation.
const PLANNING: Duration = Duration::from_secs(5);
/// How often it is looked whether something is to be delivered.
const DELIVERING: Duration = Duration::from_secs(1);
/// How often the outbox is swept.
const SWEEPING: TimeDelta = TimeDelta::minutes(10);

/// Tells people and programs of alerts.
#[derive(Debug)]
pub struct Notifier {
    store: Arc<Store>,
    clock: Clock,
    channels: Channels,
    timing: Timing,
    patience: Duration,
    evaluated: Notify,
    // A synchronous mutex: never held across an await.
    swept: Mutex<Option<Timestamp>>,
}

impl Notifier {
    /// Tells of the store's alerts through these channels.
    pub fn new(store: Arc<Store>, clock: Clock, channels: Channels) -> Self {
        let (timing, patience) = (Timing::default(), PATIENCE);
        Self { store, clock, channels, timing, patience, evaluated: Notify::new(), swept: Mutex::default() }
    }

    /// How long a receiver may take, and three times that for a mail server; 10 seconds unless this is called.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Plans and delivers while this server holds the lease, until `shutdown`. Then nothing new is begun, and what is
    /// under way is ended. To drop it earlier is safe: what was under way is delivered by the next holder.
    pub async fn run(&self, lease: watch::Receiver<Option<Lease>>, shutdown: CancellationToken) {
        let lanes = self.channels.as_slice().iter().map(|channel| self.deliver_on(channel, &lease, &shutdown));
        tokio::join!(self.plan_on(&lease, &shutdown), join_all(lanes));
    }

    /// An evaluation is over: there may be something to tell.
    pub fn evaluated(&self) {
        self.evaluated.notify_one();
    }

    /// Plans what is due, and delivers it. What fails is in the outbox and is tried again when this is called later.
    pub async fn run_once(&self, lease: &Lease) -> Result<()> {
        self.plan(lease).await?;
        self.deliver(lease).await
    }

    /// Writes to the outbox what is to be told now. Without the lease nothing is.
    ///
    /// Without a channel what happens is settled, but does not count as told: who is told first hears of what fires then,
    /// and not of all that was.
    pub async fn plan(&self, lease: &Lease) -> Result<()> {
        let now = self.clock.now();
        self.store.plan_notifications(lease, |entries, silences| self.decide(entries, silences, now)).await?;
        self.sweep(now).await
    }

    /// Delivers what is due, until nothing is. Without the lease nothing is begun.
    pub async fn deliver(&self, lease: &Lease) -> Result<()> {
        let stop = CancellationToken::new();
        let lanes = self.channels.as_slice().iter().map(|channel| self.deliver_by(channel, lease, &stop));
        join_all(lanes).await.into_iter().collect()
    }

    /// What each transaction writes: a notification for all channels, or that some events are told to nobody.
    fn decide(&self, entries: &[Entry], silences: &[Silence], now: Timestamp) -> Vec<NotificationPlan> {
        let plan = notification::plan(entries, silences, &self.timing, now);
        let untold = plan
            .untold
            .chunks(UNTOLD)
            .map(|settled| NotificationPlan { settled: settled.into(), ..NotificationPlan::default() });
        let mut parts: Vec<NotificationPlan> = untold.collect();
        for Told { notification, settled, announced } in plan.told {
            if self.channels.is_empty() {
                parts.push(NotificationPlan { settled, ..NotificationPlan::default() });
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
            parts.push(NotificationPlan { settled, announced, messages });
        }
        parts
    }

    async fn sweep(&self, now: Timestamp) -> Result<()> {
        {
            let mut swept = self.swept.lock();
            if swept.is_some_and(|at| now - at < SWEEPING) {
                return Ok(());
            }
            *swept = Some(now);
        }
        let names: Vec<String> = self.channels.as_slice().iter().flat_map(Channel::names).cloned().collect();
        let given_up = self.store.sweep_outbox(&names).await?;
        if given_up > 0 {
            tracing::warn!(given_up, "notifications to channels that are not configured any more are given up");
        }
        Ok(())
    }

    async fn plan_on(&self, lease: &watch::Receiver<Option<Lease>>, shutdown: &CancellationToken) {
        let mut tick = every(PLANNING);
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
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "notifications are not planned; they will be later"
                );
            }
        }
    }

    async fn deliver_on(
        &self,
        channel: &Channel,
        lease: &watch::Receiver<Option<Lease>>,
        shutdown: &CancellationToken,
    ) {
        let mut tick = every(DELIVERING);
        while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
            let held = lease.borrow().clone();
            if let Some(held) = held
                && let Err(error) = self.deliver_by(channel, &held, shutdown).await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the outbox does not answer; it is asked again"
                );
            }
        }
    }

    /// Delivers what is due on one channel.
    async fn deliver_by(&self, channel: &Channel, lease: &Lease, stop: &CancellationToken) -> Result<()> {
        let mut under_way = FuturesUnordered::new();
        let mut outcome = Ok(());
        loop {
            let free = AT_A_TIME - under_way.len();
            if free > 0 && outcome.is_ok() && !stop.is_cancelled() {
                match self.store.due_deliveries(lease, channel.names(), free as u64).await {
                    Ok(due) => under_way.extend(due.into_iter().map(|delivery| self.attempt(channel, delivery))),
                    // What is under way is ended first.
                    Err(error) => outcome = Err(error),
                }
            }
            match under_way.next().await {
                Some(ended) => outcome = outcome.and(ended),
                None => return outcome,
            }
        }
    }

    /// One attempt, and what becomes of it.
    async fn attempt(&self, channel: &Channel, delivery: Delivery) -> Result<()> {
        let patience = if channel.is_mail() { self.patience * MAIL_PATIENCE } else { self.patience };
        let sending = tokio::time::timeout(patience, channel.send(&delivery, self.clock.now()));
        let failure = match sending.await {
            Ok(Ok(())) => {
                metrics::counter!("pipewatch_notifications_total", "result" => "delivered").increment(1);
                return self.store.delivered(&delivery).await;
            }
            Ok(Err(failure)) => failure,
            Err(_) => Failure::new(format!("no answer within {} s", patience.as_secs_f64())),
        };
        let now = self.clock.now();
        let backoff = next_attempt(delivery.attempts.saturating_add(1), fastrand::f64());
        let wait = backoff.max(failure.retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER));
        let give_up = now - delivery.created_at >= GIVE_UP_AFTER;
        let next = TimeDelta::from_std(wait).ok().filter(|_| !give_up).map(|wait| now + wait);
        let (notification, to, error) = (delivery.notification, &delivery.channel, &failure.message);
        if give_up {
            metrics::counter!("pipewatch_notifications_total", "result" => "given up").increment(1);
            tracing::error!(%notification, to, error, "a notification could not be delivered for three days and is given up");
        } else {
            metrics::counter!("pipewatch_notifications_total", "result" => "failed").increment(1);
            tracing::warn!(%notification, to, error, attempts = delivery.attempts + 1, "a notification is not delivered yet");
        }
        self.store.delivery_failed(&delivery, next, error).await
    }
}

/// Why a delivery failed, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure {
    message: String,
    /// How long the receiver wants to be left alone.
    retry_after: Option<Duration>,
}

impl Failure {
    /// At most so much of a message is kept: some of it is the receiver's own.
    const LENGTH: usize = 300;

    fn new(message: impl AsRef<str>) -> Self {
        let message = message.as_ref().replace(char::is_control, " ").trim().chars().take(Self::LENGTH).collect();
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
