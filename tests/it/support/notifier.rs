use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use pipewatch::clock::Clock;
use pipewatch::domain::alert::{AlertType, Finding, Policy, Rule, Subject, TrackedAlert, Verdict, advance};
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::severity::Severity;
use pipewatch::domain::time::Timestamp;
use pipewatch::notify::{Channel, Channels, Notifier};
use pipewatch::store::leases::Lease;
use pipewatch::store::{MigrateTo, Store};
use uuid::Uuid;

use crate::support::Database;

/// The lease of the notifying server.
pub(crate) const LEASE: &str = "evaluation";
/// A firing condition.
pub(crate) const BAD: Verdict =
    Verdict::Known { severity: Some(Severity::Medium), not_recovered_from: Some(Severity::Medium) };

/// A notifier with a clock set by the test.
pub(crate) struct NotifierFixture {
    pub(crate) store: Arc<Store>,
    ahead: Arc<AtomicI64>,
    pub(crate) notifier: Notifier,
    name: &'static str,
}

impl NotifierFixture {
    pub(crate) async fn start(database: &Database, channels: impl IntoIterator<Item = Channel>) -> Self {
        Self::start_as("a", database, &Arc::default(), channels).await
    }

    pub(crate) async fn start_as(
        name: &'static str,
        database: &Database,
        ahead: &Arc<AtomicI64>,
        channels: impl IntoIterator<Item = Channel>,
    ) -> Self {
        let clock = Clock::new({
            let ahead = Arc::clone(ahead);
            move || start() + TimeDelta::seconds(ahead.load(Ordering::Relaxed))
        });
        let store = Arc::new(Store::open(&database.url, clock.clone()).await.expect("open"));
        store.migrate(MigrateTo::Up(None)).await.expect("migrated");
        store.prepare().await.expect("prepared");
        let channels: Channels = channels.into_iter().collect();
        // Its 10 seconds are long for a test, and nothing of the machine's own takes three.
        let notifier = Notifier::new(Arc::clone(&store), clock, channels).with_delivery_timeout(Duration::from_secs(3));
        Self { store, ahead: Arc::clone(ahead), notifier, name }
    }

    pub(crate) fn advance(&self, span: TimeDelta) {
        self.ahead.fetch_add(span.num_seconds(), Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        start() + TimeDelta::seconds(self.ahead.load(Ordering::Relaxed))
    }

    /// Takes or renews the lease.
    pub(crate) async fn lease(&self) -> Lease {
        self.store.take_lease(LEASE, self.name).await.expect("a database").expect("the lease")
    }

    /// Evaluates 30 seconds later, with these verdicts for sources.
    pub(crate) async fn evaluate(&self, verdicts: &[(&str, Verdict)]) {
        self.advance(TimeDelta::seconds(30));
        let (now, pipeline) = (self.now(), PipelineKey::default());
        let findings: Vec<_> = verdicts.iter().map(|(source, verdict)| finding(source, *verdict)).collect();
        let lease = self.lease().await;
        let change = self.store.change_alerts(Some(&lease), Some(&pipeline), None, |open| {
            advance(open, &findings, &Policy::default(), now)
        });
        change.await.expect("a database").expect("the lease");
    }

    /// Makes alerts of these sources fire, which takes two evaluations.
    pub(crate) async fn fire(&self, sources: &[&str]) {
        let bad: Vec<_> = sources.iter().map(|source| (*source, BAD)).collect();
        self.evaluate(&bad).await;
        self.evaluate(&bad).await;
    }

    pub(crate) async fn run(&self) {
        self.notifier.run_once(&self.lease().await).await.expect("a database");
    }

    pub(crate) async fn run_after(&self, span: TimeDelta) {
        self.advance(span);
        self.run().await;
    }

    pub(crate) async fn stuck(&self) -> u64 {
        self.store.overdue_deliveries(self.now()).await.expect("a database").count
    }

    /// The id of a source's alert.
    pub(crate) async fn alert_of(&self, source: &str) -> Uuid {
        let request = pipewatch::store::alerts::read::AlertRequest { first: 10, ..Default::default() };
        let alerts = self.store.alerts(&request).await.expect("alerts").rows;
        let is_of = |alert: &&TrackedAlert| alert.subject.source.as_ref().is_some_and(|key| key.as_str() == source);
        alerts.iter().find(is_of).expect("an alert").id
    }
}

fn start() -> Timestamp {
    DateTime::from_timestamp(1_769_614_245, 0).expect("an instant")
}

fn finding(source: &str, verdict: Verdict) -> Finding {
    let subject = Subject::source(PipelineKey::default(), source.parse().expect("a source"));
    let (title, message) = (format!("{source} is silent"), "Check it.".to_owned());
    Finding { rule: Rule::Overdue, kind: AlertType::Overdue, subject, verdict, title, message }
}
