//! The pipelines of `serve --demo`: real data at another speed, and a script that shows what real data does not.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock::Clock;
use crate::config::{DEMO_PIPELINE, SCRIPTED_PIPELINE};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::ReportKind;
use crate::domain::source::SourceChange;
use crate::ingest::Ingest;
use crate::replay::Recording;
use crate::store::Store;

/// Real data, described in examples/README.md.
const SAMPLE: &str = include_str!("../examples/nigeria-events-quality.ndjson");
/// The duration of one day of the sample.
const DAY: Duration = Duration::from_secs(2);
/// Invented runs, described in examples/README.md.
const SCRIPT: &str = include_str!("../examples/demo-scripted.ndjson");
/// The script runs at its own speed.
const REAL_DAY: Duration = Duration::from_hours(24);
/// The duration of the script.
const SCRIPT_LENGTH: Duration = Duration::from_mins(2);
/// The sources of the script, with the expected interval of the one that is overdue most of the time.
const SCRIPTED_SOURCES: [(&str, Option<&str>); 5] = [
    ("scripted-checks", None),
    ("scripted-failures", None),
    ("scripted-overdue", Some("10s")),
    ("scripted-retries", None),
    ("scripted-steps", None),
];
/// The grace of these sources.
const SCRIPTED_GRACE: &str = "1s";
/// A label that marks invented data.
const SCRIPTED: (&str, &str) = ("data", "scripted");

pub(crate) struct Demo {
    ingest: Ingest,
    store: Arc<Store>,
    clock: Clock,
}

impl Demo {
    pub(crate) fn new(ingest: Ingest, store: Arc<Store>, clock: Clock) -> Self {
        Self { ingest, store, clock }
    }

    /// Replays the sample and the script repeatedly, until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let (sample, script) = match (Recording::parse(SAMPLE), Recording::parse(SCRIPT)) {
            (Ok(sample), Ok(script)) => (sample, script),
            (Err(error), _) | (_, Err(error)) => return tracing::error!(%error, "cannot parse the data of the demo"),
        };
        let sample_length = sample.length(DAY);
        stop.run_until_cancelled(async {
            if let Err(error) = self.register_scripted_sources().await {
                tracing::warn!(%error, "cannot register the sources of the demo");
            }
            tokio::join!(
                self.replay(&sample, DEMO_PIPELINE, DAY, sample_length),
                self.replay(&script, SCRIPTED_PIPELINE, REAL_DAY, SCRIPT_LENGTH),
            )
        })
        .await;
    }

    /// Replays a recording repeatedly.
    async fn replay(&self, recording: &Recording, pipeline: &str, day: Duration, length: Duration) {
        loop {
            let start = Instant::now();
            let mut ids = HashMap::new();
            for batch in recording.batches(day) {
                sleep_until(start + batch.due).await;
                let mut items = batch.at(self.clock.now());
                for item in &mut items {
                    renew_id(item, &mut ids);
                }
                if let Err(error) = self.ingest.record(ReportKind::SourceRun, items, Some(pipeline)).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "cannot store runs of the demo");
                }
            }
            sleep_until(start + length).await;
        }
    }

    /// Labels the sources of the script, and sets the interval of the overdue one.
    async fn register_scripted_sources(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let pipeline: PipelineKey = SCRIPTED_PIPELINE.parse()?;
        for (source, every) in SCRIPTED_SOURCES {
            let change = SourceChange {
                enabled: None,
                expected: Some(every.map(str::parse).transpose()?),
                grace: Some(Some(SCRIPTED_GRACE.parse()?)),
                labels: Some([SCRIPTED].map(|(name, value)| (name.to_owned(), value.to_owned())).into()),
            };
            self.store.upsert_source(&pipeline, &source.parse::<SourceKey>()?, &change).await?;
        }
        Ok(())
    }
}

/// Replaces the id of a run by one of the current repetition, the same for its start and its end.
fn renew_id(item: &mut Value, ids: &mut HashMap<String, Uuid>) {
    if let Some(id) = item.get_mut("id") {
        let renewed = ids.entry(id.to_string()).or_insert_with(Uuid::now_v7);
        *id = renewed.to_string().into();
    }
}
