use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use pipewatch::alerting::Evaluator;
use pipewatch::clock::Clock;
use pipewatch::domain::alert::Policy;
use pipewatch::domain::anomaly::Budget;
use pipewatch::domain::health::Health;
use pipewatch::domain::key::PipelineKey;
use pipewatch::domain::report::{Report, ReportContext, ReportKind};
use pipewatch::domain::status::RuleBook;
use pipewatch::maintenance::Maintenance;
use pipewatch::notify::{Channels, Notifier};
use pipewatch::self_monitor::SelfMonitor;
use pipewatch::store::leases::Lease;
use pipewatch::store::retention::Retention;
use pipewatch::store::{MigrateTo, NewReport, RecordOutcome, Store};
use serde_json::Value;

use crate::support::Database;

/// Well before the lease expires in real time.
const RENEW_AFTER: Duration = Duration::from_secs(1);

/// The evaluation interval.
const EVERY: Duration = Duration::from_secs(30);

/// An evaluator that holds the lease and has a clock set by the test.
pub(crate) struct EvaluatorFixture {
    pub(crate) store: Arc<Store>,
    pub(crate) maintenance: Arc<Maintenance>,
    evaluator: Evaluator,
    now: Arc<Mutex<DateTime<Utc>>>,
    ahead: Arc<Mutex<TimeDelta>>,
    lease: Option<(Instant, Lease)>,
}

impl EvaluatorFixture {
    pub(crate) async fn start(database: &Database, at: DateTime<Utc>) -> Self {
        let now = Arc::new(Mutex::new(at));
        let ahead = Arc::new(Mutex::new(TimeDelta::zero()));
        let clock = {
            let (now, ahead) = (Arc::clone(&now), Arc::clone(&ahead));
            Clock::skewed(move || *now.lock().expect("no panic"), move || *ahead.lock().expect("no panic"))
        };
        let store = Arc::new(Store::open(&database.url, clock.clone()).await.expect("open"));
        store.migrate(MigrateTo::Up(None)).await.expect("migrated");
        store.prepare().await.expect("prepared");
        let notifier = Arc::new(Notifier::new(Arc::clone(&store), clock.clone(), Channels::default()));
        let rules = Arc::new(RuleBook::default());
        let maintenance = Arc::new(Maintenance::new(Arc::clone(&store), rules, Retention::default(), clock.clone()));
        let self_monitor = Arc::new(SelfMonitor::new(Arc::clone(&store), clock.clone(), EVERY));
        let with = (notifier, Arc::clone(&maintenance), self_monitor);
        let how = (Policy::default(), Budget::default());
        let evaluator = Evaluator::new(Arc::clone(&store), RuleBook::default(), how, with, clock, EVERY);
        let mut fixture = Self { store, maintenance, evaluator, now, ahead, lease: None };
        fixture.lease().await;
        fixture
    }

    pub(crate) fn set_now(&self, at: DateTime<Utc>) {
        *self.now.lock().expect("no panic") = at;
    }

    /// Makes the clock wrong: this far ahead of real time.
    pub(crate) fn set_clock_wrong(&self, ahead: TimeDelta) {
        *self.ahead.lock().expect("no panic") = ahead;
    }

    pub(crate) async fn lease(&mut self) -> Lease {
        if let Some((renewed, lease)) = &self.lease
            && renewed.elapsed() < RENEW_AFTER
        {
            return lease.clone();
        }
        self.renew().await
    }

    /// Takes or renews the lease.
    pub(crate) async fn renew(&mut self) -> Lease {
        let lease = self.store.take_lease("evaluation", "test").await.expect("a database").expect("the lease");
        self.lease = Some((Instant::now(), lease.clone()));
        lease
    }

    pub(crate) async fn release(&mut self) {
        if let Some((_, lease)) = self.lease.take() {
            self.store.release_lease(&lease).await.expect("released");
        }
    }

    pub(crate) async fn evaluate(&mut self, at: DateTime<Utc>) {
        let lease = self.lease().await;
        self.evaluate_under(&lease, at).await;
    }

    /// Evaluates with a lease that may have been lost.
    pub(crate) async fn evaluate_under(&mut self, lease: &Lease, at: DateTime<Utc>) {
        self.set_now(at);
        self.evaluator.evaluate(lease, at).await.expect("evaluated");
    }

    /// Evaluates twice: a condition must hold for two evaluations before its alert changes.
    pub(crate) async fn evaluate_twice(&mut self, at: DateTime<Utc>) {
        self.evaluate(at).await;
        self.evaluate(at + TimeDelta::seconds(30)).await;
    }

    /// Stores runs received at this time.
    pub(crate) async fn runs(&self, at: DateTime<Utc>, runs: &[Value]) {
        self.set_now(at);
        let arrival = ReportContext { received_at: at, pipeline: Ok(PipelineKey::default()) };
        let entries = runs.iter().map(|run| {
            let report = Report::parse(ReportKind::SourceRun, run.clone(), &arrival);
            NewReport { report: report.unwrap_or_else(|faults| panic!("{faults:?}")), status: Health::Healthy }
        });
        let receipt = self.store.record(entries.collect()).await.expect("recorded");
        assert!(receipt.results.iter().all(|result| matches!(result, RecordOutcome::Stored(_))), "{receipt:?}");
    }
}
