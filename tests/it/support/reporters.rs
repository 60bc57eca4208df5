use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::server::client;
use crate::support::{ALLOWANCE, eventually, run, with};

/// The promised maximum response time of a report.
const ANSWERED_WITHIN: Duration = Duration::from_secs(8);
/// The pause after a refusal. An honest reporter waits for `Retry-After`; this one does not.
const PAUSE: Duration = Duration::from_millis(50);

/// Reporters that give each report an id and record which ones were acknowledged.
pub(crate) struct Reporters {
    account: Arc<Mutex<Account>>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// The results of the reports.
#[derive(Debug, Default)]
struct Account {
    acknowledged: BTreeSet<Uuid>,
    acknowledgements: u64,
    refusals: u64,
    slowest: Duration,
}

impl Reporters {
    /// Starts `number` reporters to the default pipeline, each of which sends `at_a_time` reports per request.
    pub(crate) fn start(url: &str, number: usize, at_a_time: usize) -> Self {
        Self::start_on(url, "default", number, at_a_time)
    }

    /// Starts reporters to a pipeline.
    pub(crate) fn start_on(url: &str, pipeline: &str, number: usize, at_a_time: usize) -> Self {
        let (account, stop) = (Arc::<Mutex<Account>>::default(), CancellationToken::new());
        let client = client();
        let tasks = (0..number).map(|_| {
            let (client, account, stop) = (client.clone(), Arc::clone(&account), stop.clone());
            let url = format!("{url}/api/v1/source-runs?pipeline={pipeline}");
            tokio::spawn(
                async move { while !stop.is_cancelled() && report(&client, &url, at_a_time, &account).await {} },
            )
        });
        let tasks = tasks.collect();
        Self { account, stop, tasks }
    }

    /// Waits until new reports are acknowledged.
    pub(crate) async fn are_acknowledged(&self, within: Duration) -> Duration {
        let (begun, before) = (Instant::now(), self.account().acknowledgements);
        // Responses to earlier requests may still arrive.
        let enough = before + self.tasks.len() as u64 + 1;
        eventually("acknowledgements", || async { (self.account().acknowledgements >= enough).then_some(()) }).await;
        let took = begun.elapsed();
        assert!(took < within, "acknowledged after {took:?}");
        took
    }

    /// Waits until new reports are refused.
    pub(crate) async fn are_refused(&self) {
        let before = self.account().refusals;
        let enough = before + self.tasks.len() as u64 + 1;
        eventually("refusals", || async { (self.account().refusals >= enough).then_some(()) }).await;
    }

    /// Aborts the reporters, even within a request.
    pub(crate) fn abandon(self) {
        for task in self.tasks {
            task.abort();
        }
    }

    /// Stops the reporters and returns the ids of all acknowledged reports. Every response must have come in time.
    pub(crate) async fn finish(self) -> BTreeSet<Uuid> {
        self.stop.cancel();
        for task in self.tasks {
            task.await.expect("no panic");
        }
        let account = std::mem::take(&mut *self.account.lock().expect("no panic"));
        println!(
            "{} acknowledgements, {} refusals, the slowest answer after {:?}",
            account.acknowledgements, account.refusals, account.slowest
        );
        assert!(account.slowest < ANSWERED_WITHIN + ALLOWANCE, "{:?}", account.slowest);
        account.acknowledged
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().expect("no panic")
    }
}

/// Sends a request and records its response. Returns whether the server is reachable.
async fn report(client: &reqwest::Client, url: &str, at_a_time: usize, account: &Mutex<Account>) -> bool {
    let ids: Vec<Uuid> = (0..at_a_time).map(|_| Uuid::now_v7()).collect();
    let reports: Vec<Value> = ids.iter().map(|id| with(run("a"), json!({"id": id}))).collect();
    let begun = Instant::now();
    let Ok(response) = client.post(url).json(&reports).send().await else { return false };
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    let retry_after = response.headers().contains_key("retry-after");
    let Ok(answer) = response.text().await else { return false };
    {
        let mut account = account.lock().expect("no panic");
        account.slowest = account.slowest.max(took);
        match status {
            201 => {
                account.acknowledgements += 1;
                account.acknowledged.extend(ids);
                return true;
            }
            503 => {
                assert!(retry_after, "a refusal says when to come back: {answer}");
                account.refusals += 1;
            }
            other => panic!("{other}: {answer}"),
        }
    }
    tokio::time::sleep(PAUSE).await;
    true
}
